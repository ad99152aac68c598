"""Element-wise arithmetic. Integers wrap around; integer division truncates towards zero (ONNX Div)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

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
    if a.dtype.kind not in "iu":
        return np.divide(a, b)
    divisor = np.where(b == 0, np.ones((), b.dtype), b)
    quotient = np.abs(a) // np.abs(divisor)
    signed = np.where((a < 0) != (b < 0), -quotient, quotient)
    return np.where(b == 0, np.zeros((), a.dtype), signed).astype(a.dtype)
