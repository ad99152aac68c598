"""fold-batch-norm: batch normalization with constant statistics becomes part of a neighbouring linear layer.

Before::

    %y = conv(%x, %w, %b)
    %z = batch_normalization(%y, %gamma, %beta, %mean, %variance)

After::

    %z = conv(%x, %w', %b')        w' = w * s,  b' = (b - mean) * s + beta,  s = gamma / sqrt(variance + epsilon)

Fires when
1. the normalization has training_mode=0 and its four parameters are constant,
2. it follows a conv, conv_transpose or gemm whose result nobody else reads, whose weights and bias are constant and
   which has no residual and no activation yet; or
3. its result is read by one such layer alone: a gemm without transA, a conv that does not pad (with any padding, and
   for conv_transpose, only where beta - mean * s is zero in every channel).

Must not fire when the normalized input is also needed elsewhere (the single-use guard), or when the folded weights
would overflow their dtype.

Numerics: rounding. W' and b' are computed in float64 and rounded once to the dtype of the weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cnnc.ir import ANY, Const, Graph, Match, Notes, Op, Patch, Rule, rewrite
from cnnc.passes.base import Pass
from cnnc.passes.channel_affine import affine_source, read_affine
from cnnc.passes.linear_layer import LINEAR_LAYERS, fold_after, fold_before, read_layer


def apply_after(found: Match, patch: Patch) -> str | None:
    """Fold node ``affine`` (the root) into node ``layer`` before it."""
    layer = read_layer(found.node("layer"))
    if isinstance(layer, str):
        return layer
    affine = read_affine(found.node("affine"))
    if isinstance(affine, str):
        return affine
    folded = fold_after(layer, affine, patch, found.loc)
    if isinstance(folded, str):
        return folded
    patch.replace(found.root.output, folded)
    return None


def apply_before(found: Match, patch: Patch) -> str | None:
    """Fold node ``affine`` into node ``layer`` (the root) that reads it."""
    layer = read_layer(found.node("layer"))
    if isinstance(layer, str):
        return layer
    affine = read_affine(found.node("affine"))
    if isinstance(affine, str):
        return affine
    folded = fold_before(layer, affine, affine_source(found.node("affine")), patch, found.loc)
    if isinstance(folded, str):
        return folded
    patch.replace(found.root.output, folded)
    return None


_PARAMETERS = (Const(), Const(), Const(), Const())
_RULES = (
    Rule(
        "fold-batch-norm",
        Op("batch_normalization", Op(LINEAR_LAYERS, name="layer", rest=True), *_PARAMETERS, name="affine"),
        apply_after,
    ),
    Rule(
        "fold-batch-norm-before",
        Op(LINEAR_LAYERS, Op("batch_normalization", ANY, *_PARAMETERS, name="affine"), name="layer", rest=True),
        apply_before,
    ),
)


@dataclass(frozen=True)
class FoldBatchNorm(Pass):
    """Batch normalization into the conv, conv_transpose or gemm before or after it."""

    name: ClassVar[str] = "fold-batch-norm"
    numerics: ClassVar[str] = "rounding"

    def run(self, graph: Graph, notes: Notes) -> bool:
        return rewrite(graph, _RULES, notes) > 0
