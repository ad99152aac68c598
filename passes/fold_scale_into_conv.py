"""fold-scale-into-conv: constant per-channel arithmetic becomes part of a linear layer, or one scale_shift.

Before::

    %y = conv(%x, %w)
    %z = mul(%y, %scale)           scale f32[1, C, 1, 1] or one element
    %u = add(%z, %shift)

After::

    %u = conv(%x, %w', %b')        w' = w * scale,  b' = shift

Fires when
1. the node is mul, add, sub or div with a constant that holds one value a channel (or one in all), or a scale_shift
   without activation;
2. its other operand is computed by a conv, conv_transpose or gemm that nobody else reads, with constant weights and
   bias, no residual and no activation; or its result is read by one such layer alone, under the conditions of
   fold-batch-norm (no padding where something is added); or
3. its result is read by a gemm through a reshape from [N, C, ...] to [N, C * ...], neither read elsewhere: a row of
   weights belongs to one channel; or
4. two such nodes follow each other, at least one of them with more than one value: they become one scale_shift.

Must not fire for a constant that is divided (``c / x``), one that varies along another axis, one that broadcasts the
other operand to a larger shape, or when the folded weights would overflow.

Numerics: rounding. Computed in float64 and rounded once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cnnc.ir import ANY, Graph, Match, Node, Notes, Op, Patch, Rule, known_array, rewrite
from cnnc.ops.normalization import ScaleShiftAttrs
from cnnc.passes.base import Pass
from cnnc.passes.channel_affine import ChannelAffine, affine_over, affine_source, read_affine
from cnnc.passes.fold_batch_norm import apply_after, apply_before
from cnnc.passes.linear_layer import LINEAR_LAYERS, fold_before, read_layer


def _apply_through_reshape(found: Match, patch: Patch) -> str | None:
    inner, reshape, gemm = found.node("affine"), found.node("reshape"), found.root
    layer = read_layer(gemm)
    if isinstance(layer, str):
        return layer
    affine = read_affine(inner)
    if isinstance(affine, str):
        return affine
    source = affine_source(inner)
    channels, rows = source.type.shape[1], reshape.output.type.shape
    if len(rows) != 2 or rows[0] != source.type.shape[0] or not isinstance(rows[1], int):
        return f"the reshape of {source.type} to {reshape.output.type} does not flatten each image"
    assert isinstance(channels, int)  # read_affine asks for it
    if not channels or rows[1] % channels:
        return f"the reshape of {source.type} to {reshape.output.type} splits channels"
    spread = ChannelAffine(np.repeat(affine.scale, rows[1] // channels), np.repeat(affine.shift, rows[1] // channels))
    flat = patch.node(reshape.op, [source, *reshape.inputs[1:]], reshape.attrs, loc=reshape.loc)
    folded = fold_before(layer, spread, flat, patch, found.loc)
    if isinstance(folded, str):
        return folded
    patch.replace(gemm.output, folded)
    return None


def _merge(found: Match, patch: Patch) -> str | None:
    inner, outer = found.node("inner"), found.root
    if _is_uniform(inner) and _is_uniform(outer):
        return "both constants have one element: an element-wise chain needs no vector of channels for them"
    first, second = read_affine(inner), read_affine(outer)
    if isinstance(first, str):
        return first
    if isinstance(second, str):
        return second
    source = affine_source(inner)
    dtype = source.type.dtype.numpy
    both = first.then(second)
    with np.errstate(all="ignore"):
        scale, shift = both.scale.astype(dtype), both.shift.astype(dtype)
    if not (np.isfinite(scale).all() and np.isfinite(shift).all()):
        return f"the merged scale or shift overflows {source.type.dtype.value}"
    operands = [source, patch.constant(scale, f"{outer.name}.scale"), patch.constant(shift, f"{outer.name}.shift")]
    patch.replace(outer.output, patch.node("scale_shift", operands, ScaleShiftAttrs(), loc=found.loc))
    return None


def _is_uniform(node: Node) -> bool:
    constants = [known_array(value) for value in node.inputs if value is not None and value is not affine_source(node)]
    return all(array is not None and array.size == 1 for array in constants)


def _named(pattern: Op, name: str) -> Op:
    return Op(pattern.ops, *pattern.inputs, name=name, rest=pattern.rest, commutative=pattern.commutative)


_LAYER = Op(LINEAR_LAYERS, name="layer", rest=True)
_ARITHMETIC = [pattern for pattern in affine_over(ANY) if pattern.ops != "batch_normalization"]
_RULES = (
    *(Rule("fold-scale-into-conv", pattern, apply_after) for pattern in affine_over(_LAYER)[:3]),
    *(
        Rule("fold-scale-into-conv-before", Op(LINEAR_LAYERS, pattern, name="layer", rest=True), apply_before)
        for pattern in _ARITHMETIC
    ),
    *(
        Rule(
            "fold-scale-into-gemm-through-reshape",
            Op("gemm", Op("reshape|flatten", pattern, name="reshape", rest=True), rest=True),
            _apply_through_reshape,
        )
        for pattern in _ARITHMETIC
    ),
)
_MERGE = tuple(
    Rule("merge-scale-shift", pattern, _merge)
    for inner in _ARITHMETIC
    for pattern in affine_over(_named(inner, "inner"))[:3]
)


@dataclass(frozen=True)
class FoldScaleIntoConv(Pass):
    """Per-channel mul, add, sub, div and scale_shift into conv, conv_transpose or gemm; chains of them into one."""

    name: ClassVar[str] = "fold-scale-into-conv"
    numerics: ClassVar[str] = "rounding"

    def run(self, graph: Graph, notes: Notes) -> bool:
        # Layers first: a shift after a padded layer folds into it, but merged with a scale before it, it might not.
        folded = rewrite(graph, _RULES, notes)
        merged = rewrite(graph, _MERGE, notes)
        return folded + (rewrite(graph, _RULES, notes) if merged else 0) + merged > 0
