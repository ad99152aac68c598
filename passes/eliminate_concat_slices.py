"""eliminate-concat-slices: a slice or split of a concat that falls on its seams reads the pieces.

Before:

    %c: f32[N, 24, 7, 7] = concat(%a, %b) {axis=1}
    %s: f32[N, 8, 7, 7] = slice(%c, %starts, %ends, %axes)       8 channels from 16 on, which is all of %b
    %y: f32[N, 8, 7, 7] = relu(%s)

After:

    %y: f32[N, 8, 7, 7] = relu(%b)

Conditions:

1. concat and slice (of one axis, step 1) or split work along the same axis; sizes and limits are numbers;
2. the part begins and ends where operands of the concat do. One operand is read as it is; several become a smaller
   concat;
3. the inverse: a concat of all outputs of one split, in order and along its axis, reads the split's operand.

Numerics: exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cnnc.ir import Graph, Node, Notes, Patch, Value
from cnnc.ops.slicing import ConcatAttrs, SplitAttrs
from cnnc.passes.base import Pass
from cnnc.passes.local_rewrite import known_ints, rewrite_locally, same_type


@dataclass(frozen=True)
class EliminateConcatSlices(Pass):
    """Rewrite to a fixed point."""

    name: ClassVar[str] = "eliminate-concat-slices"

    def run(self, graph: Graph, notes: Notes) -> bool:
        rules = {"slice": (_slice,), "split": (_split,), "concat": (_concat_of_split,)}
        return rewrite_locally(graph, notes, self.name, rules)


@dataclass(frozen=True, slots=True)
class _Pieces:
    """A concat's operands with the place where each begins; the last place is the end."""

    node: Node
    axis: int
    values: tuple[Value, ...]
    seams: tuple[int, ...]


def _pieces(value: Value) -> _Pieces | None:
    node = value.producer
    if node is None or node.op != "concat" or not isinstance(node.attrs, ConcatAttrs):
        return None
    axis = node.attrs.axis % value.type.rank
    operands = tuple(operand for operand in node.inputs if operand is not None)
    seams = [0]
    for operand in operands:
        size = operand.type.shape[axis]
        if not isinstance(size, int):
            return None
        seams.append(seams[-1] + size)
    return _Pieces(node, axis, operands, tuple(seams))


def _part(pieces: _Pieces, start: int, end: int, patch: Patch, loc: tuple[str, ...]) -> Value | None:
    """The operands from ``start`` to ``end``, or None where these are no seams."""
    if start >= end or start not in pieces.seams or end not in pieces.seams:
        return None
    chosen = pieces.values[pieces.seams.index(start) : pieces.seams.index(end)]
    # Operands without elements lie on a seam as well.
    chosen = tuple(value for value in chosen if value.type.shape[pieces.axis] != 0)
    if len(chosen) == 1:
        return chosen[0]
    return patch.node("concat", chosen, ConcatAttrs(pieces.axis), loc=(*pieces.node.loc, *loc))


def _slice(node: Node, patch: Patch) -> bool:
    pieces = _pieces(node.input(0))
    if pieces is None:
        return False
    starts, ends = known_ints(node.input(1)), known_ints(node.input(2))
    axes = (0,) if node.optional(3) is None else known_ints(node.optional(3))
    steps = (1,) if node.optional(4) is None else known_ints(node.optional(4))
    if starts is None or ends is None or axes is None or steps != (1,) or len(starts) != 1 or len(axes) != 1:
        return False
    if axes[0] % node.output.type.rank != pieces.axis:
        return False
    start, end, _ = slice(starts[0], ends[0]).indices(pieces.seams[-1])
    if (start, end) == (0, pieces.seams[-1]):
        return False
    part = _part(pieces, start, end, patch, node.loc)
    if part is None or not same_type(part, node.output):
        return False
    patch.replace(node.output, part)
    return True


def _split(node: Node, patch: Patch) -> bool:
    pieces = _pieces(node.input(0))
    if pieces is None or not isinstance(node.attrs, SplitAttrs):
        return False
    if node.attrs.axis % node.input(0).type.rank != pieces.axis:
        return False
    start = 0
    parts: list[Value] = []
    for value in node.outputs:
        size = value.type.shape[pieces.axis]
        if not isinstance(size, int):
            return False
        part = _part(pieces, start, start + size, patch, node.loc)
        if part is None or not same_type(part, value):
            return False
        parts.append(part)
        start += size
    for value, part in zip(node.outputs, parts, strict=True):
        patch.replace(value, part)
    return True


def _concat_of_split(node: Node, patch: Patch) -> bool:
    producer = None if node.inputs[0] is None else node.inputs[0].producer
    if producer is None or producer.op != "split" or producer.outputs != node.inputs or len(node.inputs) < 2:
        return False
    if not isinstance(node.attrs, ConcatAttrs) or not isinstance(producer.attrs, SplitAttrs):
        return False
    source = producer.input(0)
    rank = source.type.rank
    if node.attrs.axis % rank != producer.attrs.axis % rank or not same_type(source, node.output):
        return False
    patch.replace(node.output, source)
    return True
