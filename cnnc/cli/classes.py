"""The largest classes of a classifier's outputs, with labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnc.errors import OptionError

Array = np.ndarray[Any, Any]

MAX_LABEL_BYTES = 16 << 20


def read_labels(path: Path) -> tuple[str, ...]:
    """The lines of a text file.

    Raises:
        OptionError: it cannot be read as text.
    """
    where = f"--labels {path}"
    try:
        if path.stat().st_size > MAX_LABEL_BYTES:
            raise OptionError("the file is too large for labels", where=where, hint="give a text file, a label a line")
        labels = tuple(path.read_text(encoding="utf-8").splitlines())
    except OSError as error:
        raise OptionError(f"the file cannot be read: {error.strerror}", where=where, hint="check the path") from error
    except UnicodeDecodeError as error:
        raise OptionError("the file is not text", where=where, hint="give a UTF-8 file, a label a line") from error
    if not labels:
        raise OptionError("the file is empty", where=where, hint="give one label a line")
    return labels


def top_classes(results: Mapping[str, Array], top: int, labels: Sequence[str]) -> list[dict[str, Any]]:
    """The ``top`` largest classes of every sample of every output [N, C] or [N, C, 1, ...].

    ``probability`` is the value itself where the values are probabilities already, else their softmax.

    Raises:
        OptionError: no output is a table of classes, or there are fewer labels than classes.
    """
    rows: list[dict[str, Any]] = []
    for name, array in results.items():
        if array.ndim < 2 or array.size != array.shape[0] * array.shape[1] or array.dtype.kind not in "fiu":
            continue
        count = array.shape[1]
        if labels and len(labels) < count:
            raise OptionError(
                f"{len(labels)} labels for the {count} classes of output {name!r}",
                where="--labels",
                hint="give one label a line, in the order of the classes",
            )
        for sample, values in enumerate(array.reshape(array.shape[0], count).astype(np.float64)):
            probabilities = _probabilities(values)
            order = np.argsort(-values, kind="stable")[:top]
            classes = [
                {
                    "class": int(index),
                    "label": labels[index] if labels else "",
                    "value": _number(values[index]),
                    "probability": _number(probabilities[index]),
                }
                for index in order
            ]
            rows.append({"output": name, "sample": sample, "classes": classes})
    if not rows:
        shapes = ", ".join(f"{name!r} {array.shape}" for name, array in results.items())
        raise OptionError(f"no output is [N, C]: {shapes}", where="--top", hint="leave out --top")
    return rows


def _probabilities(values: Array) -> Array:
    if np.all(values >= 0) and abs(float(values.sum()) - 1) < 1e-3:
        return values
    with np.errstate(all="ignore"):
        powers = np.exp(values - values.max())
        probabilities: Array = powers / powers.sum()
    return probabilities


def _number(value: Any) -> float:
    """A number that JSON can hold."""
    return float(f"{value:.6g}") if np.isfinite(value) else 0.0
