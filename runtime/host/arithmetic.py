"""Element-wise arithmetic of two or more tensors with broadcasting. Integers wrap around."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.runtime.host.precision import halves_in_float32, is_float, widen

Array = NDArray[Any]


def add(a: Array, b: Array) -> Array:
    """a + b with broadcasting."""
    return np.add(a, b)


def sub(a: Array, b: Array) -> Array:
    """a - b with broadcasting."""
    return np.subtract(a, b)


def mul(a: Array, b: Array) -> Array:
    """a * b with broadcasting."""
    return np.multiply(a, b)


def div(a: Array, b: Array) -> Array:
    """a / b with broadcasting; integers truncate towards zero, and a zero divisor gives 0."""
    if is_float(a.dtype):
        return np.divide(a, b)
    divisor = np.where(b == 0, np.ones((), b.dtype), b)
    floored = a // divisor
    inexact = (floored * divisor != a) & ((a < 0) != (b < 0))
    quotient = np.where(inexact, floored + np.ones((), a.dtype), floored)
    return np.where(b == 0, np.zeros((), a.dtype), quotient).astype(a.dtype)


def mod(a: Array, b: Array, *, fmod: int = 0) -> Array:
    """Remainder with the sign of b, or of a when ``fmod``; an integer divided by zero leaves 0."""
    remainder = _float_mod if is_float(a.dtype) else np.remainder
    return np.asarray((np.fmod if fmod else remainder)(a, b)).astype(a.dtype)


@halves_in_float32
def _float_mod(a: Array, b: Array) -> Array:
    """a - floor(a / b) * b; a zero has the sign of b."""
    return np.remainder(a, b)


# The names below are the op's names, and so shadow builtins that this module does not use.


def pow(a: Array, b: Array) -> Array:
    """a to the power b, in the dtype of a. An integer to a negative power is truncated: 0 except for 1 and -1."""
    if is_float(a.dtype):
        return np.power(widen(a), widen(b)).astype(a.dtype)
    if is_float(b.dtype):
        return np.power(a.astype(np.float64), b.astype(np.float64)).astype(a.dtype)
    wide = np.uint64 if a.dtype.kind == "u" else np.int64
    whole = np.power(a.astype(wide), np.maximum(b, np.zeros((), b.dtype)).astype(wide)).astype(a.dtype)
    sign = np.where(b & 1, a, np.ones((), a.dtype))
    fraction = np.where((a == 1) | (a == _minus_one(a.dtype)), sign, np.zeros((), a.dtype))
    return np.where(b < 0, fraction, whole).astype(a.dtype)


def _minus_one(dtype: np.dtype[Any]) -> Array:
    """-1 of a signed dtype; an unsigned one has none, and 1 stands in."""
    return np.asarray(1 if dtype.kind == "u" else -1, dtype)


def max(*arrays: Array) -> Array:
    """The largest of all inputs; NaN wins."""
    return reduce(np.maximum, arrays)


def min(*arrays: Array) -> Array:
    """The smallest of all inputs; NaN wins."""
    return reduce(np.minimum, arrays)


@halves_in_float32
def sum(*arrays: Array) -> Array:
    """The sum of all inputs, from the left."""
    return reduce(np.add, arrays)


@halves_in_float32
def mean(*arrays: Array) -> Array:
    """The sum of all inputs over their number."""
    total = reduce(np.add, arrays)
    return np.divide(total, np.asarray(len(arrays), total.dtype))
