"""Convolutions on GPUs: implicit GEMM, also of transposed convolutions.

Costs of tilings are times in multiply-adds of a vector of 8 float32 by the whole device, of the device that stands for
the target's architecture.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from cnnc.dims import Dim, product
from cnnc.ir import Node
from cnnc.lower.builder import ProgramBuilder
from cnnc.lower.conv import (
    ConvShapes,
    constant_array,
    conv_attrs,
    conv_shapes,
    dense_refusal,
    epilogue_buffers,
    epilogue_params,
    gap_sizes,
    input_lanes,
    window_sizes,
)
from cnnc.lower.conv_prologue import prologue_buffers, prologue_params, prologue_sizes
from cnnc.lower.rules import TiledRule
from cnnc.lower.spatial import activation_bits, typical
from cnnc.ops.window import window_of
from cnnc.runtime.cuda.conv_packing import InputBlocks, pack_weights
from cnnc.runtime.cuda.conv_tiling import GemmLayer, GemmTiling, rank_gemm_tilings
from cnnc.runtime.cuda.device_facts import facts_of
from cnnc.runtime.cuda.register_tile import tile_params
from cnnc.runtime.cuda.target import LANES
from cnnc.runtime.kernel import Variant
from cnnc.runtime.program import BufferArg, Call

NAME = "conv.f32.implicit_gemm"
SUM = "conv.f32.sum_splits"

Buffers = dict[str, BufferArg | int]
Sizes = dict[str, Dim]


def input_blocks(node: Node) -> InputBlocks:
    """The blocks of a blocked input."""
    lanes = input_lanes(node)
    assert lanes is not None
    return InputBlocks(tuple(lanes), conv_attrs(node).group)


def groups_refusal(source: InputBlocks, out_channels: int) -> str | None:
    """Why groups are no products of whole blocks."""
    if source.groups > 1 and out_channels // source.groups % LANES:
        return "its groups are no whole blocks of output channels"
    return source.refusal


def _refusal(node: Node, builder: ProgramBuilder) -> str | None:
    reason = dense_refusal(node, takes_prologue=True)
    if reason is not None:
        return reason
    if not node.input(0).type.layout.is_blocked:
        return "its input is in plain layout"
    return groups_refusal(input_blocks(node), conv_shapes(node).out_channels)


def _layer(node: Node) -> GemmLayer:
    shapes, groups = conv_shapes(node), conv_attrs(node).group
    images = typical(node.output.type.shape[0], 1)
    pixels = images * typical(product(shapes.result))
    moved = images * typical(product(shapes.source)) * shapes.blocks_in
    written = pixels * shapes.blocks_out * (2 if node.optional(3) is not None else 1)
    weights = constant_array(node, 1)
    assert weights is not None
    return GemmLayer(
        groups,
        shapes.blocks_out * LANES // groups,
        pixels,
        math.prod(shapes.kernel) * shapes.blocks_in // groups,
        4 * LANES * (moved + written),
        weights.nbytes,
    )


def _tilings(node: Node, builder: ProgramBuilder, count: int) -> Sequence[tuple[float, GemmTiling]]:
    return rank_gemm_tilings(_layer(node), facts_of(builder.target), count)


def window_axes(node: Node, shapes: ConvShapes) -> int:
    """The kernel's parameter: how many of the last spatial axes have taps or padding; 0, 2 or 3."""
    window = window_of(conv_attrs(node), node.input(0).type.shape[2:], node.input(1).type.shape[2:])
    reads_ahead = [size != 1 for size in node.input(1).type.shape[2:]]
    axes = [taps or begin != 0 or end != 0 for taps, begin, end in zip(reads_ahead, window.begins, window.ends)]
    if not any(axes):
        return 0
    return 3 if len(axes) == 3 and axes[0] else 2


def _emit(node: Node, builder: ProgramBuilder, tiling: GemmTiling) -> None:
    shapes, source, weights = conv_shapes(node), input_blocks(node), constant_array(node, 1)
    assert weights is not None
    packed = pack_weights(weights, source, tiling.tile.channels)
    buffers: Buffers = {
        "x": builder.argument(node.input(0), gaps=True),
        "weights": BufferArg(builder.constant(packed, f"{node.name}.weights")),
        "phases": 0,
        **prologue_buffers(node, builder),
        **epilogue_buffers(node, builder),
    }
    buffers["y"] = builder.result(node.output, gaps=True)
    sizes: Sizes = {"N": node.output.type.shape[0], "XB": shapes.blocks_in, "YB": shapes.blocks_out}
    sizes |= window_sizes(shapes) | gap_sizes(node, builder) | activation_bits(conv_attrs(node).activation)
    sizes |= {"groups": source.groups, "phase_count": 1, "weight_floats": packed.size}
    sizes |= prologue_sizes(node, builder)
    options = {"axes": window_axes(node, shapes), "phased": 0, **epilogue_params(node), **prologue_params(node)}
    variant = Variant.of(NAME, **tile_params(tiling.tile), **options)
    builder.kernel_step(node, product_calls(node, builder, variant, tiling.splits, source, buffers, sizes))


def product_calls(
    node: Node,
    builder: ProgramBuilder,
    variant: Variant,
    splits: int,
    source: InputBlocks,
    buffers: Buffers,
    sizes: Sizes,
) -> list[Call]:
    """The product, and where ``splits`` blocks of threads share it the sum of what they find.

    ``variant``: the product's, but for what is found here: ``tail`` and ``partial``.
    """
    counts = source.counts
    has_tail = bool(np.any(counts % LANES))
    buffers = {**buffers, "counts": BufferArg(builder.constant(counts, "lane_counts")) if has_tail else 0}
    options = {**variant.options, "tail": int(has_tail)}
    if splits == 1:
        return [builder.call(Variant.of(variant.kernel, partial=0, **options), buffers, {**sizes, "splits": 1})]
    pixels = product([sizes["OD"], sizes["OH"], sizes["OW"]])
    workspace = builder.temporary(f"{node.name}.partial", sizes["N"] * sizes["YB"] * pixels * (4 * LANES * splits))
    epilogue = {name: buffers[name] for name in ("y", "bias", "slopes", "residual")}
    alone = {**buffers, "y": BufferArg(workspace), "bias": 0, "slopes": 0, "residual": 0}
    raw = Variant.of(variant.kernel, partial=1, **{**options, "activation": "none", "residual": 0})
    own = {**sizes, "splits": splits, "y_gap": 0, "residual_gap": 0}
    sums: Sizes = {name: sizes[name] for name in ("N", "YB", "y_gap", "residual_gap", "alpha", "beta")}
    adding = Variant.of(SUM, activation=options["activation"], residual=options["residual"])
    operands = {**epilogue, "partial": BufferArg(workspace)}
    return [
        builder.call(raw, alone, own),
        builder.call(adding, operands, {**sums, "pixels": pixels, "splits": splits}),
    ]


RULES = {"conv": (TiledRule(NAME, GemmTiling, _refusal, _tilings, _emit),)}
