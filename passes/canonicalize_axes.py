"""canonicalize-axes: axes count from the front, and reductions list theirs in order.

Before:

    %a: f32[N, C, 1, 1] = reduce_mean(%x, %axes)         axes = [-1, 2]
    %y: f32[N, C, 1, 1] = softmax(%a)                    axis = -1

After:

    %a: f32[N, C, 1, 1] = reduce_mean(%x, %a.axes)       a.axes = [2, 3]
    %y: f32[N, C, 1, 1] = softmax(%a) {axis=3}

Conditions: the axes of a reduction are known. A reduction over all axes lists them all; one over none
(``noop_with_empty_axes``) stays.

Numerics: exact.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cnnc.ir import Attrs, Graph, Node, Notes, Patch
from cnnc.ops.reduction import ReduceAttrs
from cnnc.passes.base import Pass
from cnnc.passes.local_rewrite import known_ints, rewrite_locally

_WITH_AXIS = (
    "softmax",
    "log_softmax",
    "hardmax",
    "concat",
    "split",
    "gather",
    "gather_elements",
    "arg_max",
    "arg_min",
    "top_k",
)
_REDUCTIONS = (
    "reduce_mean",
    "reduce_sum",
    "reduce_max",
    "reduce_min",
    "reduce_prod",
    "reduce_l1",
    "reduce_l2",
    "reduce_sum_square",
    "reduce_log_sum",
    "reduce_log_sum_exp",
)


@dataclass(frozen=True)
class CanonicalizeAxes(Pass):
    """Rewrite each node once."""

    name: ClassVar[str] = "canonicalize-axes"

    def run(self, graph: Graph, notes: Notes) -> bool:
        rules = {**dict.fromkeys(_WITH_AXIS, (_axis,)), **dict.fromkeys(_REDUCTIONS, (_reduction,))}
        return rewrite_locally(graph, notes, self.name, rules)


def _axis(node: Node, patch: Patch) -> bool:
    axis = axis_of(node.attrs)
    if axis is None or axis >= 0:
        return False
    attrs = with_axis(node.attrs, axis + node.input(0).type.rank)
    made = patch.node_outputs(node.op, node.inputs, attrs, loc=node.loc, outputs=len(node.outputs))
    for old, new in zip(node.outputs, made, strict=True):
        patch.replace(old, new)
    return True


def axis_of(attrs: Attrs) -> int | None:
    """The attribute ``axis`` where there is one and it is set."""
    axis = getattr(attrs, "axis", None)
    return axis if isinstance(axis, int) else None


def with_axis(attrs: Attrs, axis: int) -> Attrs:
    """The same attributes with another ``axis``, which their class must have."""
    fields = {field.name: getattr(attrs, field.name) for field in dataclasses.fields(attrs)}
    return type(attrs)(**{**fields, "axis": axis})


def reduced_axes(node: Node) -> tuple[int, ...] | None:
    """Axes of a reduction, counted from the front and sorted; None where they are not known or none are reduced."""
    if not isinstance(node.attrs, ReduceAttrs):
        return None
    rank = node.input(0).type.rank
    listed = node.optional(1)
    axes = () if listed is None else known_ints(listed)
    if axes is None:
        return None
    if not axes:
        return None if node.attrs.noop_with_empty_axes else tuple(range(rank))
    return tuple(sorted(axis % rank for axis in axes))


def _reduction(node: Node, patch: Patch) -> bool:
    axes = reduced_axes(node)
    if axes is None or not isinstance(node.attrs, ReduceAttrs):
        return False
    attrs = ReduceAttrs(node.attrs.keepdims)
    if known_ints(node.optional(1)) == axes and node.attrs == attrs:
        return False
    listed = patch.constant(np.array(axes, np.int64), f"{node.output.name}.axes")
    patch.replace(node.output, patch.node(node.op, [node.input(0), listed], attrs, loc=node.loc))
    return True
