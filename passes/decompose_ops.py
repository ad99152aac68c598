"""decompose-ops: ops that are short for others are written out, so that kernels and passes know fewer ops.

Before:

    %y: f32[N, 8] = sum(%a, %b, %c)
    %z: f16[N, 8] = cast_like(%y, %h)

After:

    %y.0: f32[N, 8] = add(%a, %b)
    %y: f32[N, 8] = add(%y.0, %c)
    %z: f16[N, 8] = cast(%y) {to=f16}

Conditions:

1. sum, max, min and mean of two or more inputs, f32 and f64 (narrower floats are added up in f32 and rounded once);
   integers only for max and min;
2. cast_like, always.

Numerics: exact, operands are taken from the left as the ops do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cnnc.ir import Graph, Node, Notes, Patch, Value
from cnnc.ops.conversion import CastAttrs, CastLikeAttrs
from cnnc.passes.base import Pass
from cnnc.passes.local_rewrite import rewrite_locally
from cnnc.types import DType

_BINARY = {"sum": "add", "mean": "add", "max": "max", "min": "min"}
_EXACT = (DType.F32, DType.F64)


@dataclass(frozen=True)
class DecomposeOps(Pass):
    """Write them out."""

    name: ClassVar[str] = "decompose-ops"

    def run(self, graph: Graph, notes: Notes) -> bool:
        rules = {**dict.fromkeys(_BINARY, (_variadic,)), "cast_like": (_cast_like,)}
        return rewrite_locally(graph, notes, self.name, rules)


def _variadic(node: Node, patch: Patch) -> bool:
    op = _BINARY[node.op]
    if len(node.inputs) < 2 or (len(node.inputs) == 2 and node.op == op):
        return False
    if op == "add" and node.output.type.dtype not in _EXACT:
        return False
    total: Value = node.input(0)
    for position in range(1, len(node.inputs)):
        total = patch.node(op, [total, node.input(position)], loc=node.loc)
    if node.op == "mean":
        count = np.array(len(node.inputs), node.output.type.dtype.numpy)
        total = patch.node("div", [total, patch.constant(count, f"{node.output.name}.count")], loc=node.loc)
    if total.type.shape != node.output.type.shape:
        return False
    patch.replace(node.output, total)
    return True


def _cast_like(node: Node, patch: Patch) -> bool:
    if not isinstance(node.attrs, CastLikeAttrs):
        return False
    attrs = CastAttrs(node.input(1).type.dtype, node.attrs.saturate, node.attrs.round_mode)
    patch.replace(node.output, patch.node("cast", [node.input(0)], attrs, loc=node.loc))
    return True
