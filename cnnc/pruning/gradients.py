"""Gradients of weights from an .npz file: one array for each weight, by the name of its initializer.

The file may come from anywhere: nothing of it is executed (no pickles), and before an array is read its header must
name the shape of the weight, so that no more is unpacked than the model has weights.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Sequence

import numpy as np

from cnnc.errors import InputError
from cnnc.ir import Array
from cnnc.pruning.weights import Weight

_HINT = "write it with numpy.savez, an array for each weight by the name of its initializer"


def read_gradients(path: str | os.PathLike[str], weights: Sequence[Weight]) -> dict[str, Array]:
    """The arrays of a file that are for these weights; others are not looked at.

    Raises:
        InputError: the file cannot be read, or an array is not float or not of its weight's shape.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = set(archive.namelist())
            return {
                weight.name: _array(archive, weight, str(path)) for weight in weights if f"{weight.name}.npy" in members
            }
    except (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"the .npz file cannot be read: {error}", where=str(path), hint=_HINT) from error


def _array(archive: zipfile.ZipFile, weight: Weight, path: str) -> Array:
    name = f"{weight.name}.npy"
    with archive.open(name) as file:
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"{name} is of version {version} of the format")
        read_header = np.lib.format.read_array_header_1_0
        if version == (2, 0):
            read_header = np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(file)
    if shape != weight.array.shape or dtype.kind != "f":
        what = f"it is {dtype}{list(shape)}, expected a float of {list(weight.array.shape)}"
        hint = "give the gradient as the ONNX model has the weight"
        raise InputError(what, where=f"{path}: gradient of {weight.name!r}", hint=hint)
    with archive.open(name) as file:
        return np.asarray(np.lib.format.read_array(file, allow_pickle=False))
