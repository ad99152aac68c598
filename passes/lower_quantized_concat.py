"""lower-quantized-concat: a concat of pieces of different scales becomes a concat of bytes of one scale.

Before::

    %y = q_linear_concat(%y_scale, %y_zero, %a, %a_scale, %a_zero, %b, %y_scale, %y_zero) {axis=1}

After::

    %a.stored = requantize(%a, %a_scale, %a_zero, %y_scale, %y_zero)
    %y = concat(%a.stored, %b) {axis=1}

Fires when all scales and zero points are constant. A piece of the result's type, scale and zero point is read as it is.
What follows then knows a concat: its pieces are written in their places, and slices of it read them.

Must not fire when a scale or zero point is computed: whether a piece changes would be known at run time only.

Numerics: exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cnnc.ir import Graph, Match, Notes, Op, Patch, Rule, Value, known_array, rewrite
from cnnc.ops.quantized import QLinearConcatAttrs
from cnnc.ops.slicing import ConcatAttrs
from cnnc.passes.base import Pass


def _apply(found: Match, patch: Patch) -> str | None:
    node = found.root
    assert isinstance(node.attrs, QLinearConcatAttrs)
    computed = [value for index, value in enumerate(node.inputs) if index % 3 != 2 and _unknown(value)]
    if computed:
        return f"%{computed[0].name} is computed" if computed[0] is not None else "a zero point is missing"
    scale, zero_point = node.input(0), node.input(1)
    pieces: list[Value] = []
    for index in range(2, len(node.inputs), 3):
        piece, *pair = (node.input(index + step) for step in range(3))
        same = piece.type.dtype is node.output.type.dtype
        if not same or not _equal(pair[0], scale) or not _equal(pair[1], zero_point):
            name = f"{piece.name}.stored"
            piece = patch.node("requantize", [piece, *pair, scale, zero_point], loc=node.loc, name=name)
        pieces.append(piece)
    patch.replace(node.output, patch.node("concat", pieces, ConcatAttrs(node.attrs.axis), loc=node.loc))
    return None


def _unknown(value: Value | None) -> bool:
    return value is None or known_array(value) is None


def _equal(a: Value, b: Value) -> bool:
    one, other = known_array(a), known_array(b)
    return one is not None and other is not None and np.array_equal(one.reshape(-1), other.reshape(-1))


_RULE = Rule("lower-quantized-concat", Op("q_linear_concat", rest=True), _apply)


@dataclass(frozen=True)
class LowerQuantizedConcat(Pass):
    """q_linear_concat with constant scales -> requantize and concat."""

    name: ClassVar[str] = "lower-quantized-concat"

    def run(self, graph: Graph, notes: Notes) -> bool:
        return rewrite(graph, [_RULE], notes) > 0
