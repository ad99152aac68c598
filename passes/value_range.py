"""What the nodes that compute a value say of its range."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnc.ir import Value, known_array

_NEVER_NEGATIVE = ("relu", "sigmoid", "hard_sigmoid", "softplus", "abs", "exp", "softmax", "sqrt", "reduce_l2")
_KEEPS_SIGN = (
    "max_pool",
    "average_pool",
    "global_average_pool",
    "global_max_pool",
    "reduce_mean",
    "reduce_sum",
    "reduce_max",
    "concat",
    "reshape",
    "transpose",
    "squeeze",
    "unsqueeze",
)
_DEPTH = 8
"""Nodes looked at upwards: ranges are asked for often, and seldom decided far away."""


def is_never_negative(value: Value, depth: int = _DEPTH) -> bool:
    """Whether every element is known to be at least 0 (or NaN)."""
    known = known_array(value)
    if known is not None:
        return bool((known.astype(np.float64) >= 0).all())
    node = value.producer
    if node is None or depth == 0 or value.index:
        return False
    attrs: Any = node.attrs
    match node.op:
        case op if op in _NEVER_NEGATIVE:
            return True
        case op if op in _KEEPS_SIGN:
            data = node.inputs if op == "concat" else node.inputs[:1]
            return all(operand is not None and is_never_negative(operand, depth - 1) for operand in data)
        case "add":
            return all(operand is not None and is_never_negative(operand, depth - 1) for operand in node.inputs)
        case "mul":
            is_square = node.input(0) is node.input(1)
            return is_square or all(is_never_negative(node.input(i), depth - 1) for i in (0, 1))
        case "clip":
            low = node.optional(1)
            return low is not None and known_array(low) is not None and is_never_negative(low)
    activation = getattr(attrs, "activation", None)
    if activation is None:
        return False
    return activation.kind in _NEVER_NEGATIVE or (activation.kind == "clip" and activation.alpha >= 0)
