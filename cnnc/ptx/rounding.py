"""Correctly rounded sums and products: fused multiply-add, and the rounding modes that NumPy does not have.

An exact sum is kept as ``high + low``, low being the rounding error of high (Knuth's TwoSum; Dekker's TwoProduct). A
rounding to odd between two roundings makes the second one right (Boldo and Melquiond, Emulation of a FMA and
Correctly-Rounded Sums: Proved Algorithms Using Rounding to Odd, 2008).
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

MODES = frozenset(("rn", "rz", "rm", "rp"))
"""To the nearest, to zero, to minus infinity, to plus infinity."""

_SPLIT = float(2**27 + 1)


def two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """``a + b`` rounded, and the error: their sum is exact."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def two_product(a: Array, b: Array) -> tuple[Array, Array]:
    """``a * b`` of float64 rounded, and the error."""
    product = a * b
    a_high = _SPLIT * a - (_SPLIT * a - a)
    b_high = _SPLIT * b - (_SPLIT * b - b)
    a_low, b_low = a - a_high, b - b_high
    return product, ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


def to_odd(high: Array, low: Array) -> Array:
    """``high + low`` of float64 rounded to odd: to the neighbour with an odd last bit unless it is exact."""
    inexact = (low != 0) & np.isfinite(high) & np.isfinite(low)
    is_even = (high.view(np.int64) & 1) == 0
    return np.where(inexact & is_even, np.nextafter(high, np.where(low > 0, np.inf, -np.inf)), high)


def fused(a: Array, b: Array, c: Array, mode: str) -> Array:
    """``a * b + c`` rounded once, in the operands' type: float16, float32 or float64."""
    kind = np.result_type(a, b, c)
    if kind == np.float64:
        return _fused_double(a, b, c, mode)
    # Products of two floats of at most 24 bits are exact in float64.
    high, low = two_sum(a.astype(np.float64) * b.astype(np.float64), c.astype(np.float64))
    return rounded(high, low, kind, mode)


def _fused_double(a: Array, b: Array, c: Array, mode: str) -> Array:
    a, b, c = np.broadcast_arrays(a, b, c)
    upper, lower = two_product(a, b)
    first, first_error = two_sum(c, lower)
    high, high_error = two_sum(upper, first)
    exact = high + to_odd(*two_sum(first_error, high_error))
    plain = a * b + c
    found = np.where(np.isfinite(exact) & np.isfinite(lower), exact, plain)
    if mode == "rn":
        return found
    return _directed(found, (high - found) + (first_error + high_error), mode)


def rounded(high: Array, low: Array, kind: Any, mode: str) -> Array:
    """``high + low`` of float64 rounded once to the smaller type ``kind``."""
    nearest = np.asarray(to_odd(high, low).astype(kind))
    if mode == "rn":
        return nearest
    return _directed(nearest, (high - nearest.astype(np.float64)) + low, mode)


def _directed(nearest: Array, rest: Array, mode: str) -> Array:
    """The neighbour of ``nearest`` in the direction of ``mode`` where the exact value is ``rest`` away from it."""
    down, up = np.nextafter(nearest, nearest.dtype.type(-np.inf)), np.nextafter(nearest, nearest.dtype.type(np.inf))
    finite = np.isfinite(rest)
    if mode == "rm":
        return np.where(finite & (rest < 0), down, nearest)
    if mode == "rp":
        return np.where(finite & (rest > 0), up, nearest)
    found = np.where(finite & (nearest > 0) & (rest < 0), down, nearest)
    return np.where(finite & (nearest < 0) & (rest > 0), up, found)
