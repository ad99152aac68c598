"""Operations on the bits of integers, and on booleans."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.types import DType

Array = NDArray[Any]


def bitwise_and(a: Array, b: Array) -> Array:
    """a & b with broadcasting."""
    return np.bitwise_and(a, b)


def bitwise_or(a: Array, b: Array) -> Array:
    """a | b with broadcasting."""
    return np.bitwise_or(a, b)


def bitwise_xor(a: Array, b: Array) -> Array:
    """a ^ b with broadcasting."""
    return np.bitwise_xor(a, b)


def bitwise_not(x: Array) -> Array:
    """All bits inverted."""
    return np.bitwise_not(x)


def bit_shift(x: Array, y: Array, *, direction: str) -> Array:
    """x shifted by y bits; a count outside 0..bits-1 leaves only sign bits: -1 for a right shift of a negative x."""
    bits = x.dtype.itemsize * 8
    outside = (y < 0) | (y >= bits)
    count = np.where(outside, np.zeros((), y.dtype), y)
    if direction == "LEFT":
        return np.where(outside, np.zeros((), x.dtype), np.left_shift(x, count))
    fill = np.where(x < 0, ~np.zeros((), x.dtype), np.zeros((), x.dtype))
    return np.where(outside, fill, np.right_shift(x, count))


def bit_cast(x: Array, *, to: str) -> Array:
    """The same bytes read as another element type of the same size."""
    return np.ascontiguousarray(x).view(DType(to).numpy).reshape(x.shape)


def and_(a: Array, b: Array) -> Array:
    """a and b, of booleans."""
    return np.logical_and(a, b)


def or_(a: Array, b: Array) -> Array:
    """a or b, of booleans."""
    return np.logical_or(a, b)


def xor(a: Array, b: Array) -> Array:
    """Whether exactly one of a and b holds."""
    return np.logical_xor(a, b)


def not_(x: Array) -> Array:
    """The other boolean."""
    return np.logical_not(x)
