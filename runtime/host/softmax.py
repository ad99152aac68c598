"""Softmax and its kin along one axis. Half floats are computed in float32."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.runtime.host.precision import halves_in_float32

Array = NDArray[Any]


def _shifted(x: Array, axis: int) -> Array:
    """x less its maximum along the axis, so that exp cannot overflow."""
    return x - np.max(x, axis=axis, keepdims=True, initial=-np.inf)


@halves_in_float32
def softmax(x: Array, *, axis: int = -1) -> Array:
    """exp(x) over its sum along the axis."""
    powers = np.exp(_shifted(x, axis))
    return powers / np.sum(powers, axis=axis, keepdims=True)


@halves_in_float32
def log_softmax(x: Array, *, axis: int = -1) -> Array:
    """Logarithm of softmax, without the detour."""
    shifted = _shifted(x, axis)
    return shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))


@halves_in_float32
def hardmax(x: Array, *, axis: int = -1) -> Array:
    """1 at the first largest element along the axis, 0 elsewhere."""
    result = np.zeros_like(x)
    if x.size:
        first = np.expand_dims(np.argmax(x, axis=axis), axis)
        np.put_along_axis(result, first, np.ones((), x.dtype), axis)
    return result
