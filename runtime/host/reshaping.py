"""Ops that keep every element and change its place, and questions about shapes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.errors import InputError, InternalError

Array = NDArray[Any]


def shape(x: Array, *, start: int = 0, end: int | None = None) -> Array:
    """Sizes of the axes start..end as int64."""
    return np.array(x.shape[slice(start, end)], np.int64)


def size(x: Array) -> Array:
    """Number of elements as an int64 scalar."""
    return np.array(x.size, np.int64)


def dims(*, dims: tuple[Any, ...], scalar: bool) -> Array:
    """Refused: the content depends on the sizes of a run, which only the interpreter and the planner know."""
    raise InternalError(f"op dims {dims} has no NumPy function: its symbols have values only during a run")


def reshape(x: Array, target: Array, *, allowzero: int = 0) -> Array:
    """x with the sizes ``target``; one -1 is derived, and 0 copies the input's size unless ``allowzero``."""
    sizes = [int(size) for size in target]
    if not allowzero:
        sizes = [x.shape[axis] if size == 0 and axis < x.ndim else size for axis, size in enumerate(sizes)]
    try:
        return x.reshape(sizes)
    except ValueError as error:
        raise InputError(f"reshape of {list(x.shape)} to {sizes}: the element counts differ") from error


def flatten(x: Array, *, axis: int = 1) -> Array:
    """[product of the axes before ``axis``, product of the others]."""
    split = axis + x.ndim if axis < 0 else axis
    return x.reshape(math.prod(x.shape[:split]), math.prod(x.shape[split:]))


def squeeze(x: Array, axes: Array | None = None) -> Array:
    """x without the given axes of size 1, or without all of them."""
    try:
        return np.squeeze(x, axis=None if axes is None else tuple(int(axis) for axis in axes.reshape(-1)))
    except ValueError as error:
        raise InputError(f"squeeze of {list(x.shape)}: {error}") from error


def unsqueeze(x: Array, axes: Array) -> Array:
    """x with axes of size 1 inserted; places count in the result."""
    return np.expand_dims(x, tuple(int(axis) for axis in axes.reshape(-1)))


def transpose(x: Array, *, perm: tuple[int, ...] | None = None) -> Array:
    """Axis i of the result is axis perm[i] of x; without perm all axes reversed."""
    return np.transpose(x, perm)


def expand(x: Array, target: Array) -> Array:
    """x broadcast with a tensor of shape ``target``, both ways."""
    wanted = tuple(int(size) for size in target)
    try:
        return np.broadcast_to(x, np.broadcast_shapes(x.shape, wanted))
    except ValueError as error:
        raise InputError(f"expand of {list(x.shape)} to {list(wanted)}: they do not broadcast") from error
