"""Convolutions whose groups are smaller than a block of channels."""

from __future__ import annotations

from collections.abc import Sequence

from cnnc.ir import Node
from cnnc.lower.builder import ProgramBuilder
from cnnc.lower.conv import (
    constant_array,
    conv_attrs,
    conv_shapes,
    dense_refusal,
    depthwise_refusal,
    epilogue_params,
    input_lanes,
    packed_operands,
    small_groups_refusal,
    window_sizes,
)
from cnnc.lower.rules import TiledRule
from cnnc.lower.spatial import typical
from cnnc.runtime.cpu.conv_grouped import pack_grouped
from cnnc.runtime.cpu.conv_tiling import ConvTiling, rank_grouped_tilings
from cnnc.runtime.kernel import Variant


def _refusal(node: Node, builder: ProgramBuilder) -> str | None:
    if depthwise_refusal(node, builder) is None:
        return "it is one filter a channel"
    return dense_refusal(node) or small_groups_refusal(node)


def _group(node: Node) -> tuple[int, int]:
    """(inputs, outputs) of a group."""
    weights = constant_array(node, 1)
    assert weights is not None
    return weights.shape[1], weights.shape[0] // conv_attrs(node).group


def _tilings(node: Node, builder: ProgramBuilder, count: int) -> Sequence[tuple[float, ConvTiling]]:
    shapes = conv_shapes(node)
    depth, height, width = (typical(size) for size in shapes.result)
    return rank_grouped_tilings(
        (depth, height, width),
        shapes.kernel,
        shapes.strides,
        _group(node),
        shapes.blocks_out * typical(node.output.type.shape[0], 1),
        shapes.lanes,
        count,
        wide=builder.numerics.wide_sums,
    )


def _emit(node: Node, builder: ProgramBuilder, tiling: ConvTiling) -> None:
    shapes = conv_shapes(node)
    weights = constant_array(node, 1)
    assert weights is not None
    packed = pack_grouped(weights, shapes.lanes, conv_attrs(node).group, input_lanes(node))
    buffers, sizes = packed_operands(node, builder, shapes, packed)
    sizes |= window_sizes(shapes)
    sizes |= {"row_tiles": tiling.row_tiles, "column_tiles": tiling.column_tiles, "oc_tiles": tiling.oc_tiles}
    sizes |= {"fill": 0}
    inputs, outputs = _group(node)
    variant = Variant.of(
        "conv.f32.blocked.grouped",
        rows=tiling.rows,
        columns=tiling.columns,
        blocks=tiling.blocks,
        input_block=shapes.lanes,
        group_inputs=inputs,
        group_outputs=outputs,
        lanes=shapes.lanes,
        **epilogue_params(node),
        **builder.numerics.sum_params,
    )
    builder.kernel_step(node, [builder.call(variant, buffers, sizes)])


RULES = {"conv": (TiledRule("conv.f32.blocked.grouped", ConvTiling, _refusal, _tilings, _emit),)}
