"""lower-batch-norm: a batch normalization that no layer took becomes one multiply-add a channel.

Before::

    %y = batch_normalization(%x, %gamma, %beta, %mean, %variance)

After::

    %y = scale_shift(%x, %s, %t)        s = gamma / sqrt(variance + epsilon),  t = beta - mean * s

Fires when training_mode=0 and the four parameters are constant.

Must not fire with training_mode=1 (the statistics are those of the batch) or computed parameters: such nodes stay.

Numerics: rounding. s and t are computed in float64 and rounded once, to the dtype of gamma.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cnnc.ir import ANY, Const, Graph, Match, Notes, Op, Patch, Rule, rewrite
from cnnc.ops.normalization import ScaleShiftAttrs
from cnnc.passes.base import Pass
from cnnc.passes.channel_affine import read_affine


def _apply(found: Match, patch: Patch) -> str | None:
    node = found.root
    affine = read_affine(node)
    if isinstance(affine, str):
        return affine
    gamma, beta = node.input(1), node.input(2)
    dtype = gamma.type.dtype.numpy
    scale = patch.constant(affine.scale.astype(dtype), gamma.name)
    shift = patch.constant(affine.shift.astype(dtype), beta.name)
    lowered = patch.node("scale_shift", [node.input(0), scale, shift], ScaleShiftAttrs(), loc=node.loc)
    patch.replace(node.output, lowered)
    return None


_RULE = Rule("lower-batch-norm", Op("batch_normalization", ANY, Const(), Const(), Const(), Const()), _apply)


@dataclass(frozen=True)
class LowerBatchNorm(Pass):
    """Batch normalization with constant statistics -> scale_shift."""

    name: ClassVar[str] = "lower-batch-norm"
    numerics: ClassVar[str] = "rounding"

    def run(self, graph: Graph, notes: Notes) -> bool:
        return rewrite(graph, [_RULE], notes) > 0
