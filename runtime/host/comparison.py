"""Element-wise comparisons, tests for special floats, and selection by a condition."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.runtime.host.precision import widen

Array = NDArray[Any]


def equal(a: Array, b: Array) -> Array:
    """a == b with broadcasting; NaN equals nothing."""
    return np.equal(a, b)


def greater(a: Array, b: Array) -> Array:
    """a > b with broadcasting."""
    return np.greater(a, b)


def greater_or_equal(a: Array, b: Array) -> Array:
    """a >= b with broadcasting."""
    return np.greater_equal(a, b)


def less(a: Array, b: Array) -> Array:
    """a < b with broadcasting."""
    return np.less(a, b)


def less_or_equal(a: Array, b: Array) -> Array:
    """a <= b with broadcasting."""
    return np.less_equal(a, b)


def is_nan(x: Array) -> Array:
    """Whether each float is NaN."""
    return np.isnan(x)


def is_inf(x: Array, *, detect_negative: int = 1, detect_positive: int = 1) -> Array:
    """Whether each float is one of the chosen infinities."""
    wide = widen(x)
    positive = (wide > 0) if detect_positive else np.zeros((), np.bool_)
    negative = (wide < 0) if detect_negative else np.zeros((), np.bool_)
    return np.isinf(wide) & (positive | negative)


def where(condition: Array, x: Array, y: Array) -> Array:
    """x where the condition holds, else y, all three broadcast."""
    return np.where(condition, x, y)
