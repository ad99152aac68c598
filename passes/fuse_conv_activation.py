"""fuse-conv-activation: an activation becomes the epilogue of the layer that computes its input.

Before::

    %y = conv(%x, %w, %b)
    %z = clip(%y, 0.0, 6.0)

After::

    %z = conv(%x, %w, %b) {activation=clip(0.0, 6.0)}

Fires when
1. the activation is relu, clip with constant bounds, leaky_relu, prelu with constant slopes (one a channel, or one in
   all), sigmoid, tanh, hard_sigmoid, hard_swish, swish with alpha 1 (silu), mish, softplus, gelu, elu, or selu;
2. its input is computed by a conv, conv_transpose, gemm or scale_shift without activation, which nobody else reads;
3. prelu: the layer is a conv, the only one that takes slopes;
4. a gemm may have a reshape behind it that nobody else reads: the activation then moves before the reshape.

Must not fire when the layer's result is needed without the activation too, or bounds or slopes are computed.

Numerics: rounding. f16 results are rounded once, after the activation, and hard_swish multiplies by a rounded 1/6.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from cnnc.ir import ANY, Graph, Match, Node, Notes, Op, Patch, Rule, Value, rewrite
from cnnc.passes.activation_of import ACTIVATION_OPS, FusedActivation, read_activation
from cnnc.passes.base import Pass

_LAYER = Op("conv|conv_transpose|gemm|scale_shift", name="layer", rest=True)
_CONV_INPUTS = 5
"""x, w, bias, residual, slopes."""


def _with_activation(layer: Node, fused: FusedActivation, patch: Patch, loc: Sequence[str]) -> Value | str:
    attrs: Any = layer.attrs
    if not attrs.activation.is_identity:
        return f"{layer.op} {layer.name!r} already applies {attrs.activation.kind}"
    inputs = list(layer.inputs)
    if fused.slopes is not None:
        if layer.op != "conv":
            return f"{layer.op} takes no slopes of prelu"
        inputs += [None] * (_CONV_INPUTS - len(inputs))
        inputs[4] = patch.constant(fused.slopes, f"{layer.name}.slopes")
    return patch.node(layer.op, inputs, replace(attrs, activation=fused.activation), loc=tuple(loc))


def _apply(found: Match, patch: Patch) -> str | None:
    fused = read_activation(found.root)
    if isinstance(fused, str):
        return fused
    made = _with_activation(found.node("layer"), fused, patch, found.loc)
    if isinstance(made, str):
        return made
    patch.replace(found.root.output, made)
    return None


def _apply_through_reshape(found: Match, patch: Patch) -> str | None:
    fused = read_activation(found.root)
    if isinstance(fused, str):
        return fused
    reshape = found.node("reshape")
    made = _with_activation(found.node("layer"), fused, patch, found.loc)
    if isinstance(made, str):
        return made
    reshaped = patch.node("reshape", [made, *reshape.inputs[1:]], reshape.attrs, loc=reshape.loc)
    patch.replace(found.root.output, reshaped)
    return None


_RULES = (
    Rule("fuse-conv-activation", Op(ACTIVATION_OPS, _LAYER, rest=True), _apply),
    Rule(
        "fuse-conv-activation-through-reshape",
        Op(ACTIVATION_OPS, Op("reshape", Op("gemm", name="layer", rest=True), ANY, name="reshape"), rest=True),
        _apply_through_reshape,
    ),
)


@dataclass(frozen=True)
class FuseConvActivation(Pass):
    """Activation into the conv, conv_transpose, gemm or scale_shift before it."""

    name: ClassVar[str] = "fuse-conv-activation"
    numerics: ClassVar[str] = "rounding"

    def run(self, graph: Graph, notes: Notes) -> bool:
        return rewrite(graph, _RULES, notes) > 0
