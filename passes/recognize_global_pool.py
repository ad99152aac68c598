"""recognize-global-pool: a mean or maximum over all spatial axes becomes a global pool.

Before::

    %y = reduce_mean(%x, [2, 3]) {keepdims=1}          x f32[N, C, H, W]

After::

    %y = global_average_pool(%x)

Fires when
1. reduce_mean or reduce_max of floats has as axes (a known input) exactly the spatial ones of an [N, C, ...] input;
   with keepdims=0 a squeeze of these axes follows; or
2. an average_pool or max_pool has one window that is the whole of each spatial axis, all sizes known, no padding and no
   indices.

Must not fire for other axes, or for a window over a symbolic size.

Numerics: rounding (the order of the sum).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnnc.ir import Bind, Const, Graph, Match, Node, Notes, Op, Patch, Rule, rewrite
from cnnc.ops.pool import pool_window
from cnnc.passes.base import Pass

_RULE = "recognize-global-pool"


def _apply_reduce(found: Match, patch: Patch) -> str | None:
    x, node = found["x"], found.root
    attrs: Any = node.attrs
    rank = x.type.rank
    if rank < 3 or not x.type.dtype.is_float:
        return f"%{x.name} {x.type} is no float tensor with spatial axes"
    axes = sorted({int(axis) % rank for axis in found.array("axes").reshape(-1).tolist()})
    if axes != list(range(2, rank)):
        return f"axes {axes} are not the spatial axes of {x.type}"
    op = "global_average_pool" if node.op == "reduce_mean" else "global_max_pool"
    pooled = patch.node(op, [x], loc=node.loc)
    if not attrs.keepdims:
        spatial = patch.constant(np.array(axes, np.int64), f"{node.name}.axes")
        pooled = patch.node("squeeze", [pooled, spatial], loc=node.loc)
    patch.replace(node.output, pooled)
    return None


def _fuse_whole_window(graph: Graph, node: Node, notes: Notes) -> bool:
    """Replace a pool whose only window is the whole of each spatial axis."""
    attrs: Any = node.attrs
    x = node.input(0)
    window = pool_window(attrs, x.type.shape)
    if window.kernel != x.type.shape[2:] or any(pad != 0 for pad in (*window.begins, *window.ends)):
        return False
    if any(size != 1 for size in window.output) or any(step != 1 for step in window.dilations):
        return False
    if len(node.outputs) > 1 or not x.type.dtype.is_float:
        notes.refuse(_RULE, node, "its indices are used, or it pools integers")
        return False
    patch = Patch(graph, node)
    op = "global_average_pool" if node.op == "average_pool" else "global_max_pool"
    patch.replace(node.output, patch.node(op, [x], loc=node.loc))
    patch.apply()
    notes.fire(_RULE, node.loc)
    return True


_REDUCTION = Rule(_RULE, Op("reduce_mean|reduce_max", Bind("x"), Const("axes")), _apply_reduce)


@dataclass(frozen=True)
class RecognizeGlobalPool(Pass):
    """reduce_mean or reduce_max over the spatial axes -> global_average_pool or global_max_pool."""

    name: ClassVar[str] = _RULE
    numerics: ClassVar[str] = "rounding"

    def run(self, graph: Graph, notes: Notes) -> bool:
        changed = rewrite(graph, [_REDUCTION], notes) > 0
        for node in graph.nodes:
            if node.op in ("average_pool", "max_pool") and not notes.is_spent:
                changed |= _fuse_whole_window(graph, node, notes)
        return changed
