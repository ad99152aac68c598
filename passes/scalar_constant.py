"""Scalar constants in patterns, and as numbers."""

from __future__ import annotations

import math

from cnnc.ir import Array, Const, Value, known_array

_FLOAT32_STEPS = 4 * 2.0**-24
"""Relative distance allowed: exporters write sqrt(2) and 1/6 in float32, at times a step off."""


def scalar(number: float, name: str = "") -> Const:
    """A constant of one element that is ``number``, up to float32 rounding (exactly, for a small integer)."""

    def fits(array: Array) -> bool:
        return array.size == 1 and math.isclose(
            float(array.reshape(-1)[0]), number, rel_tol=0.0 if number == int(number) else _FLOAT32_STEPS
        )

    return Const(name, where=fits)


def any_scalar(name: str) -> Const:
    """A constant of one element."""
    return Const(name, where=lambda array: array.size == 1)


def number_of(value: Value) -> float:
    """The one element of a value that ``scalar`` or ``any_scalar`` matched."""
    array = known_array(value)
    assert array is not None and array.size == 1
    return float(array.reshape(-1)[0])
