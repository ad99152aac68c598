"""fuse-conv-gate: the gate of squeeze-and-excite is applied by the convolution that reads the product.

Before::

    %g = mul(%x, %gate)                     x f32[N, 96, 56, 56], gate f32[N, 96, 1, 1]
    %y = conv(%g, %w, %b)                   w f32[24, 96, 1, 1]

After::

    %y = conv(%x, %w, %b, none, none, none, none, %gate)

It saves a pass of reading and writing the tensor: kernels multiply their weights by the gate.

Fires when
1. the product has two operands: one of the result's shape, and one computed, with an element for each image and
   channel; elements are f32;
2. its only reader is a conv that reads it as its data, has a 1x1 window without stride or padding, constant weights,
   one group, no prologue and no gate, and works on blocked channels;
3. the map has at least as many pixels as the conv has output channels, as far as its size is known: on smaller maps it
   takes less time to multiply the tensor than the weights.

Numerics: rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from cnnc.dims import product
from cnnc.ir import Graph, Node, Notes, Patch, Value, only_use
from cnnc.ops.conv import GATE
from cnnc.passes.base import Pass
from cnnc.passes.fuse_conv_prologue import pointwise_refusal
from cnnc.types import DType

_RULE = "fuse-conv-gate"


@dataclass(frozen=True)
class FuseConvGate(Pass):
    """mul by a gate into the 1x1 convolution that reads it."""

    name: ClassVar[str] = _RULE

    def run(self, graph: Graph, notes: Notes) -> bool:
        changed = False
        for node in graph.nodes:
            if node.op == "mul" and not notes.is_spent:
                changed |= _fuse(graph, node, notes)
        return changed


def _fuse(graph: Graph, node: Node, notes: Notes) -> bool:
    operands = _gated(node)
    if operands is None or not any(user.op == "conv" for user in node.output.users):
        return False
    conv = only_use(graph, node.output)
    reason = f"%{node.output.name} is read elsewhere too, or is a graph output"
    if conv is not None:
        reason = _refusal(conv, node.output)
    if conv is None or reason:
        notes.refuse(_RULE, node, reason)
        return False
    x, gate = operands
    inputs: list[Value | None] = [x, *conv.inputs[1:]]
    inputs += [None] * (GATE - len(inputs))
    loc = tuple(dict.fromkeys((*node.loc, *conv.loc)))
    attrs: Any = conv.attrs
    patch = Patch(graph, conv)
    patch.replace(conv.output, patch.node("conv", [*inputs, gate], attrs, loc=loc))
    patch.apply()
    notes.fire(_RULE, loc)
    return True


def _gated(node: Node) -> tuple[Value, Value] | None:
    """The operands (x, gate) of a product with a gate."""
    shape = node.output.type.shape
    if len(node.inputs) != 2 or len(shape) < 3 or node.output.type.dtype is not DType.F32:
        return None
    for x, gate in ((node.input(0), node.input(1)), (node.input(1), node.input(0))):
        is_gate = gate.type.shape == (*shape[:2], *[1] * (len(shape) - 2)) and not gate.is_constant
        if is_gate and x.type.shape == shape and x is not gate:
            return x, gate
    return None


def _refusal(conv: Node, data: Value) -> str:
    if [position for position, value in enumerate(conv.inputs) if value is data] != [0]:
        return f"conv {conv.name!r} does not read it as its data"
    pixels, channels = product(conv.output.type.shape[2:]), conv.output.type.shape[1]
    if isinstance(pixels, int) and isinstance(channels, int) and pixels < channels:
        return f"a map of {pixels} pixels is multiplied sooner than the weights of {channels} output channels"
    return pointwise_refusal(conv) or ""
