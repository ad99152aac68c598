"""Tensors made from a few numbers: constant_of_shape, range, eye_like, one_hot, trilu."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.errors import InputError
from cnnc.runtime.host.precision import halves_in_float32, is_narrow_float
from cnnc.types import DType

Array = NDArray[Any]


def constant_of_shape(shape: Array, *, value: float = 0.0, dtype: str = "f32") -> Array:
    """A tensor of the given sizes filled with ``value``."""
    sizes = [int(size) for size in shape]
    if any(size < 0 for size in sizes):
        raise InputError(f"constant_of_shape: {sizes} has a negative size")
    return np.full(sizes, value, DType(dtype).numpy)


def eye_like(x: Array, *, dtype: str | None = None, k: int = 0) -> Array:
    """Ones on diagonal k of a matrix of the shape of x, zeros elsewhere."""
    rows, columns = x.shape
    return np.eye(rows, columns, k, dtype=np.int8).astype(x.dtype if dtype is None else DType(dtype).numpy)


def one_hot(indices: Array, depth: Array, values: Array, *, axis: int = -1) -> Array:
    """values = (off, on): ``on`` where the place along the new axis of size ``depth`` is the index, else ``off``.

    An index outside -depth..depth-1 has no ``on``.
    """
    count = int(depth.reshape(()))
    wanted = np.expand_dims(indices.astype(np.int64), axis)
    wanted = np.where(wanted < 0, wanted + count, wanted)
    extents = [1] * wanted.ndim
    extents[axis] = count
    return np.where(wanted == np.arange(count).reshape(extents), values[1], values[0])


def trilu(x: Array, k: Array | None = None, *, upper: int = 1) -> Array:
    """The triangle of the last two axes on and above (or below) diagonal k, zeros elsewhere."""
    diagonal = 0 if k is None else int(k.reshape(()))
    rows = np.arange(x.shape[-2])[:, None]
    columns = np.arange(x.shape[-1])
    kept = columns - rows >= diagonal if upper else columns - rows <= diagonal
    return np.where(kept, x, np.zeros((), x.dtype))


@halves_in_float32
def _float_range(start: Array, limit: Array, delta: Array) -> Array:
    count = max(math.ceil((float(limit) - float(start)) / float(delta)), 0)
    return (start + np.arange(count).astype(start.dtype) * delta).astype(start.dtype)


# range is the op's name; the builtin of that name is not used below.


def range(start: Array, limit: Array, delta: Array, *, stash_type: int = 1) -> Array:
    """start, start + delta, ... short of the limit. Half floats are computed in float32 (``stash_type`` 1)."""
    first, last, step = start.reshape(()), limit.reshape(()), delta.reshape(())
    if step == 0:
        raise InputError("range: delta is 0")
    if first.dtype.kind in "iu":
        return np.arange(int(first), int(last), int(step), dtype=first.dtype)
    if is_narrow_float(first.dtype) and not all(math.isfinite(float(x)) for x in (first, last, step)):
        raise InputError("range: start, limit and delta must be finite")
    return _float_range(first, last, step)
