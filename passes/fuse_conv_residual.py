"""fuse-conv-residual: the addition that closes a residual block happens in the convolution's epilogue.

Before::

    %y = conv(%x, %w, %b)
    %z = add(%y, %skip)
    %r = relu(%z)

After (fuse-conv-activation then takes the relu)::

    %z = conv(%x, %w, %b, %skip)
    %r = relu(%z)

Fires when
1. the node is add, or sum of two values, in f32;
2. one addend is the result of a conv without residual and activation that nobody else reads, and the other addend has
   exactly the shape of that result: the epilogue does not broadcast;
3. where both addends are such convs, the one computed last takes the other.

Must not fire for ``y + y``, for a constant addend (fold-scale-into-conv folds a bias), or after an activation.

Numerics: exact by the references: act((conv + bias) + residual) adds in the same order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from cnnc.ir import Graph, Node, Notes, Patch, Value, only_use
from cnnc.passes.base import Pass
from cnnc.types import DType

_RULE = "fuse-conv-residual"


def _refusal(graph: Graph, conv: Node, add: Node, other: Value) -> str | None:
    """Why ``conv`` cannot take ``other`` as its residual, or None when it can."""
    attrs: Any = conv.attrs
    if only_use(graph, conv.output) is not add:
        return f"%{conv.output.name} is read elsewhere too, or is a graph output"
    if conv.optional(3) is not None:
        return f"conv {conv.name!r} has a residual already"
    if not attrs.activation.is_identity:
        return f"conv {conv.name!r} applies {attrs.activation.kind} before the addition"
    if other.is_constant:
        return f"%{other.name} is constant: a bias folds into the conv, another constant stays an addition"
    if conv.output.type.dtype is not DType.F32:
        return f"residuals are f32, not {conv.output.type.dtype.value}"
    if other.type.shape != conv.output.type.shape:
        return f"%{other.name} {other.type} does not have the shape of the conv's result {conv.output.type}"
    return None


def _fuse(graph: Graph, add: Node, notes: Notes) -> bool:
    addends = [value for value in add.inputs if value is not None]
    if len(addends) != 2:
        return False
    takers: list[tuple[Node, Value]] = []
    for value, other in (addends, addends[::-1]):
        conv = value.producer
        if conv is None or conv.op != "conv":
            continue
        reason = _refusal(graph, conv, add, other)
        if reason is None:
            takers.append((conv, other))
        else:
            notes.refuse(_RULE, add, reason)
    if not takers:
        return False
    conv, residual = takers[0]
    if len(takers) == 2 and graph.precedes(conv, takers[1][0]):
        conv, residual = takers[1]
    loc = tuple(dict.fromkeys((*conv.loc, *add.loc)))
    patch = Patch(graph, add)
    fused = patch.node("conv", [conv.input(0), conv.input(1), conv.optional(2), residual], conv.attrs, loc=loc)
    patch.replace(add.output, fused)
    patch.apply()
    notes.fire(_RULE, loc)
    return True


@dataclass(frozen=True)
class FuseConvResidual(Pass):
    """add of a conv's result and another value -> residual input of the conv."""

    name: ClassVar[str] = _RULE

    def run(self, graph: Graph, notes: Notes) -> bool:
        changed = False
        for node in graph.nodes:
            if node.op in ("add", "sum") and not notes.is_spent:
                changed |= _fuse(graph, node, notes)
        return changed
