"""Convolutions on GPUs in groups, of any size and in any lanes; large groups are cheaper as products of blocks."""

from __future__ import annotations

import math
from collections.abc import Sequence

from cnnc.dims import Dim
from cnnc.ir import Node
from cnnc.lower.builder import ProgramBuilder
from cnnc.lower.conv import (
    constant_array,
    conv_attrs,
    conv_shapes,
    dense_refusal,
    depthwise_refusal,
    epilogue_buffers,
    epilogue_params,
    gap_sizes,
    input_lanes,
    window_sizes,
)
from cnnc.lower.cuda.conv import input_blocks
from cnnc.lower.rules import TiledRule
from cnnc.lower.spatial import activation_bits, typical
from cnnc.runtime.cuda.conv_grouped import NAME, QUAD, GroupedWeights, pack_grouped
from cnnc.runtime.cuda.device_facts import facts_of
from cnnc.runtime.cuda.row_tiling import RowLayer, RowTiling, rank_row_tilings
from cnnc.runtime.cuda.target import LANES
from cnnc.runtime.kernel import Variant
from cnnc.runtime.program import BufferArg


def _refusal(node: Node, builder: ProgramBuilder) -> str | None:
    reason = dense_refusal(node)
    if reason is not None:
        return reason
    if not node.input(0).type.layout.is_blocked:
        return "its input is in plain layout"
    if depthwise_refusal(node, builder) is None:
        return "it is one filter a channel"
    if conv_attrs(node).group == 1 and input_blocks(node).refusal is None:
        return "it is one product of whole blocks"
    return None


def _packed(node: Node) -> GroupedWeights:
    weights, lanes = constant_array(node, 1), input_lanes(node)
    assert weights is not None and lanes is not None
    return pack_grouped(weights, conv_attrs(node).group, lanes)


def _tilings(node: Node, builder: ProgramBuilder, count: int) -> Sequence[tuple[float, RowTiling]]:
    shapes, packed = conv_shapes(node), _packed(node)
    weights = constant_array(node, 1)
    assert weights is not None
    depth, height, width = (typical(size) for size in shapes.result)
    images = typical(node.output.type.shape[0], 1)
    inputs = math.prod(weights.shape[1:])
    source = math.prod(typical(size) for size in shapes.source)
    layer = RowLayer(
        planes=images * shapes.blocks_out * depth,
        map=(height, width),
        steps=inputs // QUAD if packed.quads else inputs,
        fixed_loads=QUAD if packed.quads else 1 + QUAD,
        row_loads=1 if packed.quads else QUAD,
        row_products=QUAD * QUAD if packed.quads else QUAD,
        moved_bytes=4 * LANES * images * (source * shapes.blocks_in + depth * height * width * shapes.blocks_out),
    )
    return rank_row_tilings(layer, facts_of(builder.target), count)


def _emit(node: Node, builder: ProgramBuilder, tiling: RowTiling) -> None:
    shapes, packed, weights = conv_shapes(node), _packed(node), constant_array(node, 1)
    assert weights is not None
    buffers: dict[str, BufferArg | int] = {
        "x": builder.argument(node.input(0), gaps=True),
        "weights": BufferArg(builder.constant(packed.weights, f"{node.name}.weights")),
        "lanes": BufferArg(builder.constant(packed.lanes, f"{node.name}.lanes")),
        **epilogue_buffers(node, builder),
    }
    buffers["y"] = builder.result(node.output, gaps=True)
    sizes: dict[str, Dim] = {"N": node.output.type.shape[0], "XB": shapes.blocks_in, "YB": shapes.blocks_out}
    sizes |= window_sizes(shapes) | gap_sizes(node, builder) | activation_bits(conv_attrs(node).activation)
    sizes["inputs"] = weights.shape[1]
    variant = Variant.of(NAME, rows=tiling.rows, quads=int(packed.quads), lanes=shapes.lanes, **epilogue_params(node))
    builder.kernel_step(node, [builder.call(variant, buffers, sizes)])


RULES = {"conv": (TiledRule(NAME, RowTiling, _refusal, _tilings, _emit),)}
