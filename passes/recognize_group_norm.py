"""recognize-group-norm: an instance norm over reshaped groups, scaled and shifted per channel, becomes one op.

Before::

    %g = reshape(%x, [0, 32, -1])                     x f32[N, C, H, W]
    %n = instance_normalization(%g, %ones, %zeros)    over [N, 32, C/32*H*W]
    %b = reshape(%n, shape of %x)
    %m = mul(%b, %gamma)                              gamma f32[C, 1, 1]
    %y = add(%m, %beta)

After::

    %y = group_normalization(%x, %gamma', %beta') {num_groups=32}

Fires when
1. the first reshape keeps the batch axis and makes G groups of whole channels, the second restores the shape of x;
2. the instance norm's own scale and shift are constant; they are folded into gamma and beta (ones and zeros, as
   exporters write them, change nothing);
3. gamma and beta are constants of one value a channel; without them they are ones and zeros;
4. nobody else reads any link of the chain.

Must not fire when the reshape splits channels, or gamma varies along other axes.

Numerics: rounding. Source: Wu and He, "Group normalization" (2018); ONNX GroupNormalization.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnnc.ir import ANY, Bind, Const, Graph, Match, Notes, Op, Patch, Rule, known_array, rewrite
from cnnc.ops.normalization import GroupNormalizationAttrs
from cnnc.passes.base import Pass
from cnnc.passes.channel_affine import Float64, per_channel

_GROUPS = Op("reshape", Bind("x"), ANY, name="groups")
_NORMAL = Op("instance_normalization", _GROUPS, Const("scale"), Const("shift"), name="normal")
_RESTORED = Op("reshape", _NORMAL, ANY, name="restored")


def _apply(found: Match, patch: Patch) -> str | None:
    x = found["x"].type
    grouped, restored = found.node("groups").output.type, found.node("restored").output.type
    if x.rank < 3 or not isinstance(x.shape[1], int):
        return f"{x} has no known number of channels"
    channels, groups = x.shape[1], grouped.shape[1]
    if grouped.rank < 3 or grouped.shape[0] != x.shape[0] or not isinstance(groups, int) or channels % groups:
        return f"the reshape of {x} to {grouped} does not make groups of whole channels"
    if restored.shape != x.shape or found.root.output.type.shape != x.shape:
        return f"the second reshape gives {restored}, not the shape of {x}"
    scale, shift = _spread(found, "scale", channels), _spread(found, "shift", channels)
    if "gamma" in found.values:
        gamma = per_channel(found.array("gamma"), x.shape)
        if gamma is None:
            return f"%{found['gamma'].name} is not one value a channel of {x}"
        scale, shift = scale * gamma, shift * gamma
    if "beta" in found.values:
        beta = per_channel(found.array("beta"), x.shape)
        if beta is None:
            return f"%{found['beta'].name} is not one value a channel of {x}"
        shift = shift + beta
    dtype = x.dtype.numpy
    normal: Any = found.node("normal").attrs
    names = [found.values[name].name if name in found.values else name for name in ("gamma", "beta")]
    operands = [
        found["x"],
        patch.constant(scale.astype(dtype), names[0]),
        patch.constant(shift.astype(dtype), names[1]),
    ]
    attrs = GroupNormalizationAttrs(num_groups=groups, epsilon=normal.epsilon)
    patch.replace(found.root.output, patch.node("group_normalization", operands, attrs, loc=found.loc))
    return None


def _spread(found: Match, name: str, channels: int) -> Float64:
    """One value a channel of what the instance norm has one a group of."""
    array = known_array(found[name])
    assert array is not None  # matched as a constant
    return np.repeat(array.astype(np.float64), channels // array.size)


def _rule(wrap: Callable[[Op], Op]) -> Rule:
    return Rule("recognize-group-norm", wrap(_RESTORED), _apply)


def _scaled(normal: Op) -> Op:
    return Op("mul", normal, Const("gamma"), commutative=True)


_FORMS = (
    _rule(lambda normal: Op("add", _scaled(normal), Const("beta"), commutative=True)),
    _rule(_scaled),
    _rule(lambda normal: normal),
)
"""The longest first: the driver visits inner nodes before outer ones."""


@dataclass(frozen=True)
class RecognizeGroupNorm(Pass):
    """reshape, instance norm, reshape, mul, add -> group_normalization."""

    name: ClassVar[str] = "recognize-group-norm"
    numerics: ClassVar[str] = "rounding"

    def run(self, graph: Graph, notes: Notes) -> bool:
        return sum(rewrite(graph, [rule], notes) for rule in _FORMS) > 0
