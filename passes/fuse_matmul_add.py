"""fuse-matmul-add: a matrix product with constant weights, and what is added to it, becomes one gemm.

Before::

    %y = matmul(%x, %w)            x f32[M, K], w f32[K, N]
    %z = add(%y, %b)               b f32[N]

After::

    %z = gemm(%x, %w, %b)

Fires when
1. matmul takes a tensor of rank 2 and a constant of rank 2; with an add of a constant that broadcasts to [M, N] as one
   value a column or one in all, it becomes gemm's C;
2. x has a higher rank [..., K] and at most one leading size is symbolic: the leading axes are joined before the gemm
   and split after it. Both reshapes are free, because the joined axes lie next to each other;
3. gemm reads a transpose of rank 2 with perm (1, 0) that nobody else reads: transA or transB flips.

Must not fire for computed weights (they need no packing, and batched ones are no gemm), for types that are no float, or
when the product is read elsewhere than by the add.

Numerics: exact by the references, but for the order in which a kernel adds the bias.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from cnnc.ir import ANY, Bind, Const, Graph, Match, Node, Notes, Op, Patch, Rule, Value, rewrite
from cnnc.ops.linear import GemmAttrs
from cnnc.ops.reshaping import ReshapeAttrs
from cnnc.passes.base import Pass


def _is_matrix(array: np.ndarray[Any, Any]) -> bool:
    return array.ndim == 2


def _gemm(product: Node, bias: Value | None, patch: Patch, loc: tuple[str, ...]) -> Value | str:
    """``product`` as a gemm of the type that it has, between reshapes where its input has a higher rank."""
    x, w = product.input(0), product.input(1)
    result = product.output.type
    if not result.dtype.is_float:
        return f"gemm multiplies floats, not {result.dtype.value}"
    if x.type.rank < 2:
        return f"%{x.name} {x.type} is a vector"
    if x.type.rank == 2:
        return patch.node("gemm", [x, w, bias], GemmAttrs(), loc=loc)
    leading = [size if isinstance(size, int) else -1 for size in x.type.shape[:-1]]
    if leading.count(-1) > 1 or 0 in leading:
        return f"the leading axes of {x.type} are not known well enough to split them again"
    inner, columns = w.type.shape
    joined = patch.constant(np.array([-1, inner], np.int64), f"{product.name}.rows")
    split = patch.constant(np.array([*leading, columns], np.int64), f"{product.name}.shape")
    rows = patch.node("reshape", [x, joined], ReshapeAttrs(), loc=loc, name=f"{product.name}.rows")
    made = patch.node("gemm", [rows, w, bias], GemmAttrs(), loc=loc, name=f"{product.name}.gemm")
    return patch.node("reshape", [made, split], ReshapeAttrs(), loc=loc)


def _apply_add(found: Match, patch: Patch) -> str | None:
    product, bias = found.node("product"), found.array("bias")
    columns = product.output.type.shape[-1]
    if bias.size not in (1, columns) or (bias.size > 1 and bias.shape[-1] != columns):
        return f"the addend {list(bias.shape)} is not one value a column of {product.output.type}"
    if bias.ndim > product.output.type.rank:
        return f"the addend {list(bias.shape)} broadcasts {product.output.type} to a higher rank"
    flat = found["bias"] if bias.ndim == 1 else patch.constant(bias.reshape(-1), found["bias"].name)
    made = _gemm(product, flat, patch, found.loc)
    if isinstance(made, str):
        return made
    patch.replace(found.root.output, made)
    return None


def _apply_product(found: Match, patch: Patch) -> str | None:
    made = _gemm(found.root, None, patch, found.loc)
    if isinstance(made, str):
        return made
    patch.replace(found.root.output, made)
    return None


def _apply_transpose(position: int) -> Any:
    def apply(found: Match, patch: Patch) -> str | None:
        gemm, transpose = found.root, found.node("transpose")
        attrs: Any = gemm.attrs
        perm: Any = transpose.attrs
        if perm.perm not in (None, (1, 0)):
            return f"the transpose has perm {perm.perm}"
        inputs = list(gemm.inputs)
        inputs[position] = transpose.input(0)
        flipped = replace(attrs, transA=1 - attrs.transA) if position == 0 else replace(attrs, transB=1 - attrs.transB)
        patch.replace(gemm.output, patch.node("gemm", inputs, flipped, loc=found.loc))
        return None

    return apply


_WEIGHTS = Const(where=_is_matrix)
_TRANSPOSE = Op("transpose", ANY, name="transpose")
_SUMS = (
    Rule(
        "fuse-matmul-add",
        Op("add", Op("matmul", Bind("x"), _WEIGHTS, name="product"), Const("bias"), commutative=True),
        _apply_add,
    ),
)
_PRODUCTS = (
    Rule("fuse-matmul", Op("matmul", Bind("x"), _WEIGHTS), _apply_product),
    Rule("fuse-transpose-into-gemm", Op("gemm", _TRANSPOSE, ANY, rest=True), _apply_transpose(0)),
    Rule("fuse-transpose-into-gemm", Op("gemm", ANY, _TRANSPOSE, rest=True), _apply_transpose(1)),
)


@dataclass(frozen=True)
class FuseMatmulAdd(Pass):
    """matmul with constant weights, and a constant added to it -> gemm."""

    name: ClassVar[str] = "fuse-matmul-add"
    numerics: ClassVar[str] = "rounding"

    def run(self, graph: Graph, notes: Notes) -> bool:
        # Sums first: the driver visits a product before the addition that reads it.
        return sum(rewrite(graph, rules, notes) for rules in (_SUMS, _PRODUCTS)) > 0
