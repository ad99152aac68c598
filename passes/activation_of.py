"""Which ``Activation`` an activation op is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnc.ir import Node, Value, known_array
from cnnc.ops.activation import Activation
from cnnc.passes.channel_affine import per_channel

_PLAIN = ("relu", "sigmoid", "tanh", "hard_swish", "mish", "softplus")
ACTIVATION_OPS = "|".join((*_PLAIN, "clip", "leaky_relu", "prelu", "hard_sigmoid", "swish", "gelu", "elu", "selu"))
"""Ops that ``read_activation`` knows."""

_SELU_ALPHA = 1.67326319217681884765625
_SELU_GAMMA = 1.05070102214813232421875


@dataclass(frozen=True)
class FusedActivation:
    """An activation, and the slopes of prelu as one element a channel (or one in all)."""

    activation: Activation
    slopes: np.ndarray[Any, Any] | None = None


def read_activation(node: Node) -> FusedActivation | str:
    """The activation that ``node`` applies to its first input, or why it cannot be an epilogue."""
    attrs: Any = node.attrs
    if node.op in _PLAIN:
        return FusedActivation(Activation(node.op))
    match node.op:
        case "clip":
            return _read_clip(node)
        case "prelu":
            return _read_prelu(node)
        case "leaky_relu" | "elu":
            return FusedActivation(Activation(node.op, alpha=attrs.alpha))
        case "hard_sigmoid":
            return FusedActivation(Activation("hard_sigmoid", alpha=attrs.alpha, beta=attrs.beta))
        case "swish":
            if attrs.alpha != 1.0:
                return f"swish has alpha {attrs.alpha}, only silu (alpha 1) is an epilogue"
            return FusedActivation(Activation("silu"))
        case "gelu":
            return FusedActivation(Activation("gelu_tanh" if attrs.approximate == "tanh" else "gelu"))
        case "selu":
            if not (
                math.isclose(attrs.alpha, _SELU_ALPHA, rel_tol=1e-7)
                and math.isclose(attrs.gamma, _SELU_GAMMA, rel_tol=1e-7)
            ):
                return f"selu has alpha {attrs.alpha} and gamma {attrs.gamma}, not those of its definition"
            return FusedActivation(Activation("selu"))
        case _:
            return f"{node.op} is no epilogue"


def clip_bound(value: Value | None, absent: float) -> float | None:
    """A bound of clip as a number: ``absent`` where the input is, None where it is not constant."""
    if value is None:
        return absent
    array = known_array(value)
    return None if array is None or array.size != 1 else float(array.reshape(-1)[0])


def _read_clip(node: Node) -> FusedActivation | str:
    low = clip_bound(node.optional(1), -math.inf)
    high = clip_bound(node.optional(2), math.inf)
    if low is None or high is None:
        return "a bound of the clip is not constant"
    if low == 0 and high == math.inf:
        return FusedActivation(Activation("relu"))
    return FusedActivation(Activation("clip", alpha=low, beta=high))


def _read_prelu(node: Node) -> FusedActivation | str:
    slopes = known_array(node.input(1))
    if slopes is None:
        return f"the slopes %{node.input(1).name} are not constant"
    x = node.input(0).type
    if slopes.size == 1:
        return FusedActivation(Activation("prelu"), slopes.reshape(1))
    if x.rank < 2 or per_channel(slopes, x.shape) is None:
        return f"slopes {list(slopes.shape)} are not one a channel of {x}"
    return FusedActivation(Activation("prelu"), slopes.reshape(-1))
