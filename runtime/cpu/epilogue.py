"""Activations applied to sums while they are in registers.

Parameters come at run time as float32 bits in the argument block (``alpha``, ``beta``), so that one compiled kernel
serves every slope and bound.
"""

from __future__ import annotations

from typing import Any

ACTIVATIONS = ("none", "relu", "clip", "leaky_relu", "prelu")


def emit_activation(b: Any, kind: str, x: Any, alpha: Any, beta: Any, slope: Any = None) -> Any:
    """``kind`` of vector ``x``. ``alpha`` and ``beta`` are vectors; ``slope`` holds PReLU's slopes of the lanes."""
    if kind == "none":
        return x
    if kind == "relu":
        return b.at_least(x, b.zero())
    if kind == "clip":
        return b.clamp(x, alpha, beta)
    if kind == "leaky_relu":
        return b.select(b.compare("<", x, b.zero()), b.mul(x, alpha), x)
    if kind == "prelu":
        return b.select(b.compare("<", x, b.zero()), b.mul(x, slope), x)
    raise AssertionError(kind)
