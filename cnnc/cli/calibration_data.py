"""Calibration data from ``--calib``: an .npz file, a folder of images or arrays, or a function in a Python file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnc.cli.images import ImageSettings
from cnnc.cli.inputs import read_feeds
from cnnc.cli.python_file import python_failure, run_python_file
from cnnc.errors import InputError, OptionError, UserError
from cnnc.observation.evaluation import LABELS
from cnnc.runtime.program import Port

Array = np.ndarray[Any, Any]
Batches = Callable[[], Iterable[Mapping[str, Array]]]

_HINT = "give data.npz, a folder of images or .npy files, or reader.py:make"


def calibration_batches(text: str, ports: Sequence[Port], settings: ImageSettings, batch: int) -> Batches:
    """Batches of inputs, read anew for each pass.

    Args:
        text: ``data.npz`` with an array for every input, samples along axis 0, and perhaps labels; a folder, each file
            of which is a sample or a batch of the only input; or ``reader.py:make``, a function that gives batches.
        settings: how images become arrays.
        batch: samples of an .npz at a time.

    Raises:
        InputError, OptionError: there is no such data, or it does not fit the inputs.
    """
    file, colon, name = text.rpartition(":")
    if colon and file.endswith(".py") and name.isidentifier():
        return _from_python(Path(file), name)
    path = Path(text)
    if path.is_dir():
        return _from_folder(path, ports, settings)
    if not path.is_file():
        raise OptionError("there is no such file or folder", where=f"--calib {text}", hint=_HINT)
    return _from_arrays(read_feeds([text], ports, settings), ports, text, batch)


def _from_arrays(arrays: Mapping[str, Array], ports: Sequence[Port], text: str, batch: int) -> Batches:
    names = {port.name for port in ports}
    # Labelled data is as good: labels are not looked at.
    arrays = {name: array for name, array in arrays.items() if name != LABELS or name in names}
    missing = [port.name for port in ports if port.name not in arrays]
    if missing:
        what = f"it holds {', '.join(map(repr, arrays))}, and nothing for {', '.join(map(repr, missing))}"
        raise InputError(what, where=f"--calib {text}", hint="name its arrays as the inputs")
    sizes = {len(array) if array.ndim else 0 for array in arrays.values()}
    if len(sizes) != 1 or sizes == {0}:
        raise InputError(
            f"its arrays have {', '.join(map(str, sorted(sizes)))} samples along axis 0",
            where=f"--calib {text}",
            hint="give at least one sample, and for every input as many",
        )
    [count] = sizes
    return lambda: ({name: a[i : i + batch] for name, a in arrays.items()} for i in range(0, count, batch))


def _from_folder(folder: Path, ports: Sequence[Port], settings: ImageSettings) -> Batches:
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    if not files:
        raise InputError("the folder is empty", where=f"--calib {folder}", hint=_HINT)
    if len(ports) != 1:
        raise InputError(
            f"files of a folder are for one input, the model has {len(ports)}",
            where=f"--calib {folder}",
            hint="give an .npz with an array for every input",
        )

    def batches() -> Iterator[Mapping[str, Array]]:
        for path in files:
            yield read_feeds([f"{ports[0].name}={path}"], ports, settings)

    return batches


def _from_python(path: Path, name: str) -> Batches:
    if not path.is_file():
        raise OptionError("there is no such file", where=f"--calib {path}", hint="check the path")
    make = run_python_file(path).get(name)
    if not callable(make):
        raise OptionError(f"the file defines no function {name!r}", where=f"--calib {path}", hint=_HINT)

    def batches() -> Iterator[Mapping[str, Array]]:
        try:
            yield from make()
        except UserError:
            raise
        except Exception as error:
            raise python_failure(path, error) from error

    return batches
