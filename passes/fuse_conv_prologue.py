"""fuse-conv-prologue: a normalization that could not fold is applied by the convolutions that read it, as they load.

Before, as every layer of DenseNet has it, %x being read by others too::

    %n = scale_shift(%x, %scale, %shift) {activation=relu}
    %y = conv(%n, %w, %b)                                   w f32[128, 256, 1, 1]

After::

    %y = conv(%x, %w, %b, none, none, %scale, %shift) {prologue=relu}

It saves a tensor of its own: one pass of writing and one of reading it. Kernels copy their input on the way.

Fires when
1. scale and shift are constants, elements are f32, and the activation has no slopes;
2. every reader of the result is a conv that reads it as its data, has a 1x1 window without padding, constant weights,
   one group, and no prologue yet, and works on blocked channels; and the result is no graph output.

Must not fire for larger windows, for which other algorithms than a direct sum are better, nor for few channels, where
the input is read in plain layout.

Numerics: exact.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from cnnc.ir import Graph, Node, Notes, Patch, Value
from cnnc.ops.blocking import Form, blocked_form
from cnnc.ops.conv import GATE, conv_window
from cnnc.passes.base import Pass
from cnnc.types import DType

_RULE = "fuse-conv-prologue"
_INPUTS = 5
"""x, w, bias, residual, slopes; the input's scale and shift follow."""


@dataclass(frozen=True)
class FuseConvPrologue(Pass):
    """scale_shift into the 1x1 convolutions that read it."""

    name: ClassVar[str] = _RULE

    def run(self, graph: Graph, notes: Notes) -> bool:
        changed = False
        for node in graph.nodes:
            if node.op == "scale_shift" and not notes.is_spent:
                changed |= _fuse(graph, node, notes)
        return changed


def _fuse(graph: Graph, node: Node, notes: Notes) -> bool:
    normal = node.output
    if not any(user.op == "conv" for user in normal.users):
        return False
    reason = _refusal(graph, node)
    if reason is not None:
        notes.refuse(_RULE, node, reason)
        return False
    attrs: Any = node.attrs
    for conv in list(normal.users):
        conv_attrs: Any = conv.attrs
        patch = Patch(graph, conv)
        inputs: list[Value | None] = [node.input(0), *conv.inputs[1:]]
        inputs += [None] * (_INPUTS - len(inputs))
        loc = tuple(dict.fromkeys((*node.loc, *conv.loc)))
        fused = patch.node(
            "conv", inputs + list(node.inputs[1:]), replace(conv_attrs, prologue=attrs.activation), loc=loc
        )
        patch.replace(conv.output, fused)
        patch.apply()
        notes.fire(_RULE, loc)
    return True


def _refusal(graph: Graph, node: Node) -> str | None:
    attrs: Any = node.attrs
    if not (node.input(1).is_constant and node.input(2).is_constant):
        return "its scale or shift is not constant"
    if node.output.type.dtype is not DType.F32:
        return f"elements are {node.output.type.dtype.value}, not f32"
    if attrs.activation.kind == "prelu":
        return "its activation has slopes"
    if graph.is_output(node.output):
        return f"%{node.output.name} is a graph output"
    for user, position in node.output.uses:
        reason = f"{user.op} {user.name!r} reads it too" if user.op != "conv" or position else pointwise_refusal(user)
        if reason is not None:
            return reason
    return None


def pointwise_refusal(conv: Node) -> str | None:
    """Why a convolution cannot transform its input while it loads; None if it can."""
    attrs: Any = conv.attrs
    weights = conv.input(1).type.shape
    if any(size != 1 for size in weights[2:]):
        return f"conv {conv.name!r} has a window of {list(weights[2:])}"
    window = conv_window(attrs, conv.input(0).type.shape, weights)
    if any(pad != 0 for pad in (*window.begins, *window.ends)) or any(stride != 1 for stride in window.strides):
        return f"conv {conv.name!r} has a stride or padding"
    if attrs.group != 1 or conv.optional(_INPUTS) is not None or conv.optional(GATE) is not None:
        return f"conv {conv.name!r} has groups, or a prologue already"
    if blocked_form(conv).form is not Form.BLOCKED:
        return f"conv {conv.name!r} does not read blocks of channels"
    return None
