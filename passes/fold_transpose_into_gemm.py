"""fold-transpose-into-gemm: a transpose in front of a flattened matrix product moves into the weights.

Before, as Keras models have it after their last convolution:

    %t: f32[N, 7, 7, 64] = transpose(%x) {perm=(0, 2, 3, 1)}
    %f: f32[N, 3136] = reshape(%t, %f.shape)
    %y: f32[N, 10] = gemm(%f, %w, %b)

After:

    %f: f32[N, 3136] = reshape(%x, %f.shape)
    %y: f32[N, 10] = gemm(%f, %w_1, %b)

where w_1 has the rows of w in the order of x's elements.

Conditions:

1. the transpose leaves axis 0 in place; the reshape flattens all others, whose sizes are known;
2. the weights are constant; the product is a gemm that does not transpose its data, or a matmul of rank 2;
3. nobody else reads the values in between.

Numerics: rounding (the order of the sum).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cnnc.dims import product
from cnnc.ir import ANY, Bind, Const, Graph, Match, Notes, Op, Patch, Rule, rewrite
from cnnc.ops.linear import GemmAttrs
from cnnc.passes.base import Pass
from cnnc.passes.canonicalize_reshape import reshape_to
from cnnc.passes.eliminate_no_ops import permutation

_FLAT = Op("reshape", Op("transpose", Bind("x"), name="turn"), ANY, name="flat")
_PATTERN = Op("gemm|matmul", _FLAT, Const("w"), rest=True)


@dataclass(frozen=True)
class FoldTransposeIntoGemm(Pass):
    """Match from the product upwards."""

    name: ClassVar[str] = "fold-transpose-into-gemm"
    numerics: ClassVar[str] = "rounding"

    def run(self, graph: Graph, notes: Notes) -> bool:
        return bool(rewrite(graph, [Rule(self.name, _PATTERN, _apply)], notes))


def _apply(found: Match, patch: Patch) -> str | None:
    x, node, flat = found["x"], found.root, found.node("flat").output
    perm, weights = permutation(found.node("turn")), found.array("w")
    sizes = [size for size in x.type.shape[1:] if isinstance(size, int)]
    if perm[0] != 0 or len(sizes) != x.type.rank - 1:
        return "the transpose moves the batch, or sizes are not known"
    if flat.type.shape != (x.type.shape[0], product(sizes)) or weights.ndim != 2:
        return "the reshape does not flatten everything but the batch"
    attrs = node.attrs
    if isinstance(attrs, GemmAttrs) and attrs.transA:
        return "the product transposes its data"
    is_turned = isinstance(attrs, GemmAttrs) and bool(attrs.transB)
    rows = weights.T if is_turned else weights
    # Axis i of the transposed data is axis perm[i] of x; argsort puts the axes of the rows back.
    split = rows.reshape(*(sizes[axis - 1] for axis in perm[1:]), rows.shape[1])
    order = [int(axis) - 1 for axis in np.argsort(perm)[1:]]
    ordered = split.transpose(*order, len(sizes)).reshape(rows.shape)
    moved = patch.constant(np.ascontiguousarray(ordered.T if is_turned else ordered), found["w"].name)
    data = reshape_to(patch, x, flat.type.shape, found.node("flat").loc, flat.name)
    if data is None:
        return "no constant says the flattened shape"
    made = patch.node(node.op, [data, moved, *node.inputs[2:]], attrs, loc=found.loc)
    patch.replace(node.output, made)
    return None
