"""eliminate-no-ops: nodes that return their operand go, and so do pairs that cancel.

Before:

    %a: f32[N, 8] = identity(%x)
    %b: f32[8, N] = transpose(%a) {perm=(1, 0)}
    %c: f32[N, 8] = transpose(%b) {perm=(1, 0)}
    %y: f32[N, 8] = relu(%c)

After:

    %y: f32[N, 8] = relu(%x)

What goes (conditions of each in its function):

1. identity; dropout (its mask becomes ones); concat, split, sum, mean, min, max of one;
2. reshape, flatten, squeeze, unsqueeze, expand, tile, slice, pad and reductions that leave the type as it is and move
   nothing; transpose that moves no axis, or only axes of size 1 around each other;
3. cast to its own type; pairs of casts whose first loses nothing;
4. transposes one after another become one or none; an op applied twice that does nothing the second time (relu, abs,
   floor, ...), or that undoes itself (neg, not);
5. x * 1, x / 1, x - 0 and x + -0.0; integers also x + 0. Not x + 0.0 on floats: it turns -0.0 into 0.0;
6. pools over windows of one element;
7. an expand in front of an element-wise op that broadcasts by itself to the same shape.

Numerics: exact.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cnnc.ir import Array, Graph, Node, Notes, Patch, Value, known_array
from cnnc.ops.conversion import CastAttrs
from cnnc.ops.pool import AveragePoolAttrs, MaxPoolAttrs, pool_window
from cnnc.ops.reshaping import ShapeAttrs, TransposeAttrs
from cnnc.passes.base import Pass
from cnnc.passes.local_rewrite import LocalRule, known_ints, rewrite_locally, same_type
from cnnc.passes.lossless_cast import is_lossless


@dataclass(frozen=True)
class EliminateNoOps(Pass):
    """Remove them to a fixed point."""

    name: ClassVar[str] = "eliminate-no-ops"
    ensures: ClassVar[str] = "normalised"

    def run(self, graph: Graph, notes: Notes) -> bool:
        return rewrite_locally(graph, notes, self.name, _RULES)


def _forward(node: Node, patch: Patch, source: Value) -> bool:
    """Readers of ``node`` read ``source``, which must be of its type."""
    if not same_type(node.output, source):
        return False
    patch.replace(node.output, source)
    return True


def _operand(node: Node, patch: Patch) -> bool:
    return _forward(node, patch, node.input(0))


def _only_operand(node: Node, patch: Patch) -> bool:
    return len(node.inputs) == 1 and len(node.outputs) == 1 and _operand(node, patch)


def _split_of_one(node: Node, patch: Patch) -> bool:
    return len(node.outputs) == 1 and _operand(node, patch)


def _dropout(node: Node, patch: Patch) -> bool:
    if len(node.outputs) > 1:
        # The IR has no dropout that drops: every element is kept.
        shape = patch.node("shape", [node.input(0)], ShapeAttrs(), loc=node.loc)
        kept = patch.node("expand", [patch.constant(np.array(True), "kept"), shape], loc=node.loc)
        if not same_type(node.outputs[1], kept):
            return False
        patch.replace(node.outputs[1], kept)
    return _operand(node, patch)


def merge_transposes(node: Node, patch: Patch) -> bool:
    """A transpose that moves nothing goes; two in a row become one or none."""
    x = node.input(0)
    perm = permutation(node)
    moved = [axis for axis in perm if x.type.shape[axis] != 1]
    if moved == sorted(moved) and same_type(x, node.output):
        return _operand(node, patch)
    inner = x.producer
    if inner is None or inner.op != "transpose":
        return False
    first = permutation(inner)
    combined = tuple(first[axis] for axis in perm)
    if combined == tuple(range(len(combined))):
        return _forward(node, patch, inner.input(0))
    loc = (*inner.loc, *node.loc)
    patch.replace(node.output, patch.node("transpose", [inner.input(0)], TransposeAttrs(combined), loc=loc))
    return True


def permutation(node: Node) -> tuple[int, ...]:
    """The axes of a transpose, the default written out."""
    perm = node.attrs.perm if isinstance(node.attrs, TransposeAttrs) else None
    return tuple(reversed(range(node.input(0).type.rank))) if perm is None else perm


def _cast(node: Node, patch: Patch) -> bool:
    if _operand(node, patch):
        return True
    inner = node.input(0).producer
    if inner is None or inner.op != "cast" or not isinstance(node.attrs, CastAttrs):
        return False
    source = inner.input(0)
    if not is_lossless(source.type.dtype, inner.output.type.dtype):
        return False
    if source.type.dtype is node.attrs.to:
        return _forward(node, patch, source)
    patch.replace(node.output, patch.node("cast", [source], node.attrs, loc=(*inner.loc, *node.loc)))
    return True


def _slice(node: Node, patch: Patch) -> bool:
    steps = node.optional(4)
    return (steps is None or all(step == 1 for step in known_ints(steps) or (0,))) and _operand(node, patch)


def _pad(node: Node, patch: Patch) -> bool:
    pads = known_ints(node.input(1))
    return pads is not None and not any(pads) and _operand(node, patch)


def _idempotent(node: Node, patch: Patch) -> bool:
    inner = node.input(0).producer
    return inner is not None and inner.op == node.op and inner.attrs == node.attrs and _operand(node, patch)


def _involution(node: Node, patch: Patch) -> bool:
    inner = node.input(0).producer
    return inner is not None and inner.op == node.op and _forward(node, patch, inner.input(0))


def _neutral(position: int, is_neutral: Callable[[Array], bool]) -> LocalRule:
    """A rule for a binary op whose operand ``position`` does nothing when ``is_neutral`` holds for it."""

    def rule(node: Node, patch: Patch) -> bool:
        array = known_array(node.input(position))
        if array is None or array.size == 0 or not is_neutral(array):
            return False
        return _forward(node, patch, node.input(1 - position))

    return rule


def _is_one(array: Array) -> bool:
    return bool((array == 1).all())


def _is_zero_to_add(array: Array) -> bool:
    # -0.0 + -0.0 is -0.0, but -0.0 + 0.0 is 0.0.
    return bool((array == 0).all()) and (array.dtype.kind in "iu" or bool(np.signbit(array.astype(np.float64)).all()))


def _is_zero_to_subtract(array: Array) -> bool:
    return bool((array == 0).all()) and (array.dtype.kind in "iu" or not np.signbit(array.astype(np.float64)).any())


def _unit_pool(node: Node, patch: Patch) -> bool:
    if len(node.outputs) > 1 or not isinstance(node.attrs, MaxPoolAttrs | AveragePoolAttrs):
        return False
    window = pool_window(node.attrs, node.input(0).type.shape)
    unpadded = all(pad == 0 for pad in (*window.begins, *window.ends))
    is_unit = unpadded and all(size == 1 for size in (*window.kernel, *window.strides))
    return is_unit and _operand(node, patch)


def _unexpanded(node: Node, patch: Patch) -> bool:
    sources: list[Value | None] = []
    for value in node.inputs:
        producer = None if value is None else value.producer
        sources.append(producer.input(0) if producer is not None and producer.op == "expand" else value)
    if tuple(sources) == node.inputs:
        return False
    made = patch.node(node.op, sources, node.attrs, loc=node.loc)
    if not same_type(made, node.output):
        return False
    patch.replace(node.output, made)
    return True


_RULES: dict[str, tuple[LocalRule, ...]] = {
    "identity": (_operand,),
    "dropout": (_dropout,),
    **dict.fromkeys(("concat", "sum", "mean"), (_only_operand,)),
    **dict.fromkeys(("min", "max"), (_only_operand, _unexpanded)),
    "split": (_split_of_one,),
    **dict.fromkeys(("reshape", "flatten", "squeeze", "unsqueeze", "expand", "tile"), (_operand,)),
    "slice": (_slice,),
    "pad": (_pad,),
    # A reduction keeps its type only over axes of size 1, or over none: one element is its own mean and maximum.
    **dict.fromkeys(("reduce_mean", "reduce_sum", "reduce_max", "reduce_min", "reduce_prod"), (_operand,)),
    "transpose": (merge_transposes,),
    "cast": (_cast,),
    **dict.fromkeys(("relu", "abs", "floor", "ceil", "round", "sign"), (_idempotent,)),
    **dict.fromkeys(("neg", "not"), (_involution,)),
    "mul": (_neutral(0, _is_one), _neutral(1, _is_one), _unexpanded),
    "div": (_neutral(1, _is_one), _unexpanded),
    "add": (_neutral(0, _is_zero_to_add), _neutral(1, _is_zero_to_add), _unexpanded),
    "sub": (_neutral(1, _is_zero_to_subtract), _unexpanded),
    "where": (_unexpanded,),
    **dict.fromkeys(("max_pool", "average_pool"), (_unit_pool,)),
    **dict.fromkeys(("global_average_pool", "global_max_pool"), (_operand,)),
}
