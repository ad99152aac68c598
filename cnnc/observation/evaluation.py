"""How good a model is: top-1 on labelled data, agreement with the float model, or a function of the user's."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from cnnc.errors import InputError
from cnnc.ir import Array, Graph

Predict = Callable[[Mapping[str, Array]], Mapping[str, Array]]
"""Runs a model: one array for every input -> results by name."""

Score = Callable[[Predict], float]
"""How good a model is; more is better."""

LABELS = "labels"
"""Name of the labels beside the inputs."""

BATCH = 32
"""Samples of a run, where the model leaves its batch open."""

Evaluation = Score | Mapping[str, Array]
"""A function, or an array for every input with samples along axis 0, and perhaps ``labels``."""


@dataclass(frozen=True, slots=True)
class Top1:
    """Share of the samples whose largest output along axis 1 is their label.

    Attributes:
        batches: inputs by name.
        labels: int64 [N, ...], as the first result [N, C, ...] without its classes.
        classes: C.
    """

    batches: tuple[Mapping[str, Array], ...]
    labels: Array
    classes: int

    def __call__(self, predict: Predict) -> float:
        """See ``Score``."""
        return float(np.mean(_classes(predict, self.batches)[0] == self.labels))


def score_of(evaluation: Evaluation, source: Graph, exact: Predict) -> Score:
    """What judges every model that is made of ``source``.

    Args:
        evaluation: arrays without ``labels`` are judged by the classes that the float model gives them.
        exact: runs the float model.

    Raises:
        InputError: the arrays fit neither the inputs nor the first result, or the float model does no better than
            guessing on the labels.
    """
    if callable(evaluation):
        return evaluation
    batches = tuple(_batches(evaluation, source))
    classes, count = _classes(exact, batches)
    if LABELS not in evaluation:
        return Top1(batches, classes, count)
    labels = _checked_labels(np.asarray(evaluation[LABELS]), classes, count)
    right = float(np.mean(classes == labels))
    if right <= 1 / count:
        raise InputError(
            f"the float model's top-1 is {right:.4f}, no better than guessing among {count} classes",
            where="evaluation data",
            hint="check the labels, and that samples are preprocessed as the model wants them",
        )
    return Top1(batches, labels, count)


def metric_of(evaluation: Evaluation) -> str:
    """What an evaluation's score is called."""
    if callable(evaluation):
        return "score"
    return "top-1" if LABELS in evaluation else "agreement"


def checked_score(score: Score, predict: Predict) -> float:
    """What a score says of a model.

    Raises:
        InputError: it is no number.
    """
    value = score(predict)
    if not isinstance(value, (int, float, np.number)) or not math.isfinite(value):
        raise InputError(
            f"it gave {value!r}, which is no finite number",
            where="the evaluation",
            hint="return a float, more is better",
        )
    return float(value)


def _batches(arrays: Mapping[str, Array], source: Graph) -> Iterator[Mapping[str, Array]]:
    names = [value.name for value in source.inputs]
    unknown = sorted({*names} ^ {name for name in arrays if name != LABELS})
    if unknown:
        raise InputError(
            f"it holds {', '.join(map(repr, arrays))}; the inputs are {', '.join(map(repr, names))}",
            where="evaluation data",
            hint="name its arrays as the inputs, and the classes labels",
        )
    sizes = {len(array) if np.ndim(array) else 0 for array in arrays.values()}
    if len(sizes) != 1 or sizes == {0}:
        raise InputError(
            f"its arrays have {', '.join(map(str, sorted(sizes)))} samples along axis 0",
            where="evaluation data",
            hint="give at least one sample, and for every input and label as many",
        )
    [count] = sizes
    fixed = {value.type.shape[0] for value in source.inputs if value.type.rank and isinstance(value.type.shape[0], int)}
    batch = max((size for size in fixed if isinstance(size, int)), default=BATCH)
    if fixed and count % batch:
        raise InputError(
            f"{count} samples cannot be divided into batches of {batch}, which the model has",
            where="evaluation data",
            hint="leave the last ones out, or leave the batch open with --shape",
        )
    for start in range(0, count, batch):
        yield {name: arrays[name][start : start + batch] for name in names}


def _classes(predict: Predict, batches: tuple[Mapping[str, Array], ...]) -> tuple[Array, int]:
    """Index of the largest element along axis 1 of the first result, [N, ...]; and how many there are."""
    found: list[Array] = []
    count = 0
    for batch in batches:
        scores = next(iter(predict(batch).values()))
        size = len(next(iter(batch.values())))
        if scores.ndim < 2 or scores.shape[0] != size or scores.shape[1] < 2:
            raise InputError(
                f"the first result has shape {scores.shape} for {size} samples, and not [N, classes]",
                where="evaluation data",
                hint="judge the model by a function of your own: reader.py:score",
            )
        count = scores.shape[1]
        found.append(scores.argmax(1))
    return np.concatenate(found), count


def _checked_labels(labels: Array, classes: Array, count: int) -> Array:
    if labels.dtype.kind not in "iu":
        raise InputError(f"labels are {labels.dtype}, not integers", where="evaluation data", hint="give class numbers")
    if labels.shape != classes.shape:
        raise InputError(
            f"labels have shape {labels.shape}, expected {classes.shape}",
            where="evaluation data",
            hint="give one class number for each sample, or each pixel of it",
        )
    if labels.min() < 0 or labels.max() >= count:
        raise InputError(
            f"labels lie in {labels.min()}..{labels.max()}, the model has classes 0..{count - 1}",
            where="evaluation data",
            hint="count classes as the model does",
        )
    return labels.astype(np.int64)
