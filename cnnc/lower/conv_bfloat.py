"""Convolutions that multiply bfloat16, where the precision of the program allows it: faster, and rounded more."""

from __future__ import annotations

from collections.abc import Sequence

from cnnc.dims import Dim, product
from cnnc.ir import Node
from cnnc.lower.builder import ProgramBuilder
from cnnc.lower.conv import (
    block_refusal,
    constant_array,
    conv_attrs,
    conv_shapes,
    epilogue_params,
    input_lanes,
    packed_operands,
    window_sizes,
)
from cnnc.lower.conv_prologue import prologue_buffers, prologue_params, prologue_sizes
from cnnc.lower.rules import TiledRule
from cnnc.lower.spatial import typical
from cnnc.runtime.cpu.bfloat_tiling import rank_bfloat_conv_tilings, rank_bfloat_pointwise_tilings
from cnnc.runtime.cpu.conv_packing import PackedWeights, fills_pairs, pack_bfloat_weights
from cnnc.runtime.cpu.conv_tiling import ConvTiling
from cnnc.runtime.cpu.pointwise_tiling import PointwiseTiling, tail_halves
from cnnc.runtime.kernel import Variant
from cnnc.runtime.program import BufferArg

POINTWISE = "conv.bf16.blocked.pointwise"
DIRECT = "conv.bf16.blocked.direct"


def _refusal(node: Node, builder: ProgramBuilder, takes_prologue: bool = False) -> str | None:
    if builder.numerics.precision != "bf16":
        return "the precision is f32"
    reason = block_refusal(node, builder, takes_prologue)
    if reason is not None:
        return reason
    lanes = input_lanes(node)
    if lanes is None:
        return "its input is in plain layout"
    if not fills_pairs(lanes, conv_attrs(node).group):
        return "its input channels do not fill pairs of lanes"
    return None


def _pointwise_refusal(node: Node, builder: ProgramBuilder) -> str | None:
    reason = _refusal(node, builder, takes_prologue=True)
    if reason is None and not conv_shapes(node).is_pointwise:
        return "it has a window, a stride or padding"
    return reason


def _pointwise_tilings(node: Node, builder: ProgramBuilder, count: int) -> Sequence[tuple[float, PointwiseTiling]]:
    shapes = conv_shapes(node)
    pixels = typical(product(shapes.source))
    blocks_read = max(1, shapes.blocks_in // conv_attrs(node).group)
    batch = typical(node.output.type.shape[0], 1)
    return rank_bfloat_pointwise_tilings(
        pixels, blocks_read, shapes.out_channels, shapes.lanes, batch, builder.machine, count
    )


def _emit_pointwise(node: Node, builder: ProgramBuilder, tiling: PointwiseTiling) -> None:
    shapes = conv_shapes(node)
    tail = tail_halves(shapes.out_channels, tiling.blocks, shapes.lanes)
    packed = _packed(node, tiling.blocks, tail * shapes.lanes // 2)
    buffers, sizes = packed_operands(node, builder, shapes, packed)
    buffers |= prologue_buffers(node, builder)
    sizes |= {"pixels": product(shapes.source), "slab_tiles": tiling.slab_tiles}
    sizes |= {"pixel_tiles": tiling.pixel_tiles, "oc_tiles": tiling.oc_tiles}
    sizes |= prologue_sizes(node, builder)
    params: dict[str, int | str] = {"columns": tiling.columns, "blocks": tiling.blocks}
    params |= {"tail": tail} if tail else {}
    params |= prologue_params(node)
    _step(node, builder, POINTWISE, params, buffers, sizes)


def _direct_tilings(node: Node, builder: ProgramBuilder, count: int) -> Sequence[tuple[float, ConvTiling]]:
    shapes = conv_shapes(node)
    return rank_bfloat_conv_tilings(
        [typical(size) for size in shapes.result],
        shapes.kernel,
        shapes.strides,
        shapes.dilations,
        max(1, shapes.blocks_in // conv_attrs(node).group),
        shapes.blocks_out,
        shapes.lanes,
        typical(node.output.type.shape[0], 1),
        builder.machine,
        count,
    )


def _emit_direct(node: Node, builder: ProgramBuilder, tiling: ConvTiling) -> None:
    shapes = conv_shapes(node)
    buffers, sizes = packed_operands(node, builder, shapes, _packed(node, tiling.blocks))
    sizes |= window_sizes(shapes) | {"fill": 0}
    sizes |= {"row_tiles": tiling.row_tiles, "column_tiles": tiling.column_tiles, "oc_tiles": tiling.oc_tiles}
    params: dict[str, int | str] = {"rows": tiling.rows, "columns": tiling.columns, "blocks": tiling.blocks}
    _step(node, builder, DIRECT, params | {"input_block": shapes.lanes}, buffers, sizes)


def _packed(node: Node, blocks: int, tail_lanes: int = 0) -> PackedWeights:
    weights = constant_array(node, 1)
    assert weights is not None
    lanes = conv_shapes(node).lanes
    return pack_bfloat_weights(weights, lanes, blocks, conv_attrs(node).group, input_lanes(node), tail_lanes)


def _step(
    node: Node,
    builder: ProgramBuilder,
    kernel: str,
    params: dict[str, int | str],
    buffers: dict[str, BufferArg | int],
    sizes: dict[str, Dim],
) -> None:
    lanes = conv_shapes(node).lanes
    variant = Variant.of(kernel, products="bf16", lanes=lanes, **params, **epilogue_params(node))
    builder.kernel_step(node, [builder.call(variant, buffers, sizes)])


RULES = {
    "conv": (
        TiledRule(POINTWISE, PointwiseTiling, _pointwise_refusal, _pointwise_tilings, _emit_pointwise),
        TiledRule(DIRECT, ConvTiling, _refusal, _direct_tilings, _emit_direct),
    ),
}
