"""q_linear_conv on blocked bytes: tiles and work items of the float kernels, four input channels a step."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from cnnc.dims import Dim, product
from cnnc.ir import Node
from cnnc.lower.builder import ProgramBuilder
from cnnc.lower.conv import FAST_WINDOWS, ConvShapes, shapes_of, window_sizes
from cnnc.lower.rules import TiledRule
from cnnc.lower.spatial import typical
from cnnc.ops.quantized import QuantizedConvAttrs
from cnnc.ops.quantized_layer import QuantizedLayer, quantized_conv
from cnnc.ops.window import window_of
from cnnc.runtime.cpu.conv_depthwise import pack_depthwise
from cnnc.runtime.cpu.conv_packing import QUAD, PackedWeights, pack_byte_weights
from cnnc.runtime.cpu.conv_tiling import ConvTiling, DepthwiseTiling, rank_conv_tilings, rank_depthwise_tilings
from cnnc.runtime.cpu.pointwise_tiling import PointwiseTiling, rank_pointwise_tilings, tail_halves
from cnnc.runtime.jit.target import has_byte_products
from cnnc.runtime.kernel import Target, Variant
from cnnc.runtime.program import BufferArg
from cnnc.types import DType

_BYTES_OF_WORD = 0x01010101
_MOST_RANKED = 1000  # tilings, of which all are ranked


def quantized_attrs(node: Node) -> QuantizedConvAttrs:
    assert isinstance(node.attrs, QuantizedConvAttrs)
    return node.attrs


def layer_constants(node: Node) -> QuantizedLayer:
    layer = quantized_conv(node)
    assert isinstance(layer, QuantizedLayer)
    return layer


def quantized_shapes(node: Node) -> ConvShapes:
    return shapes_of(node.input(0).type, node.input(3).type, node.output.type, quantized_attrs(node))


def blocked_refusal(node: Node, builder: ProgramBuilder) -> str | None:
    layer = quantized_conv(node)
    if isinstance(layer, str):
        return layer
    for value in (node.input(0), node.output):
        if not value.type.layout.is_blocked:
            return f"%{value.name} is in plain layout"
    return "its output channels lie in several pieces" if node.output.type.layout.pieces else None


def _pointwise_refusal(node: Node, builder: ProgramBuilder) -> str | None:
    reason = blocked_refusal(node, builder)
    if reason is None and not quantized_shapes(node).is_pointwise:
        return "it has a window, a stride or padding"
    return reason


def fits_registers(pixels: int, blocks: int, target: Target) -> bool:
    """Whether a tile's sums, the weights of a step and one broadcast fit the registers.

    Without byte products weights and broadcasts take two registers each, and the products one.
    """
    others = blocks + 1 if has_byte_products(target) else 2 * blocks + 3
    return pixels * blocks + others <= (32 if target.lanes == 16 else 16)


def _word_blocks(shapes: ConvShapes, groups: int) -> int:
    """Input blocks that an output reads, in blocks of as many words of four bytes as there are lanes."""
    return max(1, -(-shapes.blocks_in // (groups * QUAD)))


def _filled(shapes: ConvShapes, groups: int) -> float:
    """The share of these blocks that there are channels for."""
    return max(1, shapes.blocks_in // groups) / (QUAD * _word_blocks(shapes, groups))


def _pointwise_tilings(node: Node, builder: ProgramBuilder, count: int) -> Sequence[tuple[float, PointwiseTiling]]:
    shapes = quantized_shapes(node)
    blocks = _word_blocks(shapes, quantized_attrs(node).group)
    batch = typical(node.output.type.shape[0], 1)
    pixels = typical(product(shapes.source))
    ranked = rank_pointwise_tilings(pixels, blocks, shapes.out_channels, shapes.lanes, batch, _MOST_RANKED)
    return [(cost, tile) for cost, tile in ranked if fits_registers(tile.columns, tile.blocks, builder.target)][:count]


def _emit_pointwise(node: Node, builder: ProgramBuilder, tiling: PointwiseTiling) -> None:
    shapes = quantized_shapes(node)
    tail = tail_halves(shapes.out_channels, tiling.blocks, shapes.lanes)
    buffers, sizes = packed_operands(node, builder, shapes, _packed(node, tiling.blocks, tail * shapes.lanes // 2))
    buffers |= {"input_scale": 0, "input_shift": 0}
    sizes |= {"pixels": product(shapes.source), "slab_tiles": tiling.slab_tiles}
    sizes |= {"pixel_tiles": tiling.pixel_tiles, "oc_tiles": tiling.oc_tiles}
    sizes |= {"input_alpha": 0, "input_beta": 0, "input_image": 0}
    params: dict[str, int | str] = {"tail": tail} if tail else {}
    _emit(node, builder, "conv.u8.blocked.pointwise", tiling, buffers, sizes, params)


def _direct_tilings(node: Node, builder: ProgramBuilder, count: int) -> Sequence[tuple[float, ConvTiling]]:
    shapes = quantized_shapes(node)
    ranked = rank_conv_tilings(
        [typical(size) for size in shapes.result],
        shapes.kernel,
        shapes.strides,
        shapes.dilations,
        _word_blocks(shapes, quantized_attrs(node).group),
        shapes.blocks_out,
        shapes.lanes,
        shapes.lanes,
        typical(node.output.type.shape[0], 1),
        _MOST_RANKED,
    )
    filled = _filled(shapes, quantized_attrs(node).group)
    fitting = [
        (cost, tile) for cost, tile in ranked if fits_registers(tile.rows * tile.columns, tile.blocks, builder.target)
    ]
    return [(cost * filled, tile) for cost, tile in fitting[:count]]


def _emit_direct(node: Node, builder: ProgramBuilder, tiling: ConvTiling) -> None:
    shapes = quantized_shapes(node)
    buffers, sizes = packed_operands(node, builder, shapes, _packed(node, tiling.blocks))
    sizes |= window_sizes(shapes) | {"fill": padding_word(node)}
    sizes |= {"row_tiles": tiling.row_tiles, "column_tiles": tiling.column_tiles, "oc_tiles": tiling.oc_tiles}
    params: dict[str, int | str] = {"rows": tiling.rows, "input_block": shapes.lanes}
    _emit(node, builder, "conv.u8.blocked.direct", tiling, buffers, sizes, params)


def _emit(
    node: Node,
    builder: ProgramBuilder,
    kernel: str,
    tiling: ConvTiling | PointwiseTiling,
    buffers: dict[str, BufferArg | int],
    sizes: dict[str, Dim],
    params: dict[str, int | str],
) -> None:
    variant = Variant.of(
        kernel,
        columns=tiling.columns,
        blocks=tiling.blocks,
        lanes=node.output.type.layout.block,
        **element_params(node),
        **params,
    )
    builder.kernel_step(node, [builder.call(variant, buffers, sizes)])


def padding_word(node: Node) -> int:
    """32 bits of zero points."""
    return (layer_constants(node).x_zero & 255) * _BYTES_OF_WORD


def input_lanes(node: Node) -> Sequence[int]:
    """The physical lane of each channel."""
    x = node.input(0).type
    assert isinstance(x.shape[1], int)
    return x.layout.lanes(x.shape[1])


def _packed(node: Node, blocks: int, tail_lanes: int = 0) -> PackedWeights:
    weights, lanes = layer_constants(node).weights, quantized_shapes(node).lanes
    return pack_byte_weights(weights, lanes, blocks, quantized_attrs(node).group, input_lanes(node), tail_lanes)


def element_params(node: Node) -> dict[str, int | str]:
    return {"element": node.input(0).type.dtype.value, "activation": "requantize", "residual": 0}


def epilogue_buffers(node: Node, builder: ProgramBuilder, shapes: ConvShapes) -> dict[str, BufferArg | int]:
    """Bias and factors, one a lane of the output."""
    layer = layer_constants(node)
    where = node.output.type.layout.lanes(shapes.out_channels)
    room = shapes.blocks_out * shapes.lanes
    bias, factors = np.zeros(room, np.int32), np.zeros(room, np.float32)
    bias[where], factors[where] = layer.bias, layer.factors
    return {
        "bias": BufferArg(builder.constant(bias, f"{node.name}.bias")),
        "slopes": BufferArg(builder.constant(factors, f"{node.name}.factors")),
        "residual": 0,
    }


def epilogue_sizes(node: Node, builder: ProgramBuilder) -> dict[str, Dim]:
    layer = layer_constants(node)
    gaps = {"x_gap": builder.gap(node.input(0)), "y_gap": builder.gap(node.output), "residual_gap": 0}
    return {"alpha": layer.y_zero, "beta": layer.y_least, **gaps}


def packed_operands(
    node: Node, builder: ProgramBuilder, shapes: ConvShapes, packed: PackedWeights
) -> tuple[dict[str, BufferArg | int], dict[str, Dim]]:
    """Buffers and sizes that the kernels share."""
    y = node.output.type
    buffers: dict[str, BufferArg | int] = {
        "x": builder.argument(node.input(0), gaps=True),
        "weights": BufferArg(builder.constant(packed.weights, f"{node.name}.weights")),
        "segments": BufferArg(builder.constant(packed.segments, f"{node.name}.segments")),
        **epilogue_buffers(node, builder, shapes),
    }
    buffers["y"] = builder.result(node.output, gaps=True)
    sizes: dict[str, Dim] = {"N": y.shape[0], "XB": shapes.blocks_in, "YB": shapes.blocks_out}
    sizes |= {"segment_count": packed.segment_count, "segment_rows": len(packed.segments)}
    sizes |= {"weight_floats": packed.weights.size}
    return buffers, sizes | epilogue_sizes(node, builder)


def _depthwise_refusal(node: Node, builder: ProgramBuilder) -> str | None:
    reason = blocked_refusal(node, builder)
    if reason is not None:
        return reason
    x, y = node.input(0).type, node.output.type
    if not quantized_attrs(node).group == x.shape[1] == y.shape[1]:
        return "it is not one filter a channel"
    if x.layout != y.layout:
        return "input and output have different layouts"
    if x.dtype is not DType.U8:
        return f"its input is {x.dtype.value}, not u8"
    window = window_of(quantized_attrs(node), x.shape[2:], node.input(3).type.shape[2:])
    if layer_constants(node).x_zero and any(pad != 0 for pad in (*window.begins, *window.ends)):
        return "its padding stands for another value than 0"
    return None


def _depthwise_tilings(node: Node, builder: ProgramBuilder, count: int) -> Sequence[tuple[float, DepthwiseTiling]]:
    shapes = quantized_shapes(node)
    depth, height, width = (typical(size) for size in shapes.result)
    planes = shapes.blocks_out * typical(node.output.type.shape[0], 1) * depth
    return rank_depthwise_tilings(height, width, planes, math.prod(shapes.kernel), shapes.lanes, count)


def _emit_depthwise(node: Node, builder: ProgramBuilder, tiling: DepthwiseTiling) -> None:
    shapes, layer, y = quantized_shapes(node), layer_constants(node), node.output.type
    packed = pack_depthwise(
        layer.weights, shapes.lanes, y.layout.lanes(shapes.out_channels), shapes.blocks_out, np.int32
    )
    fast = (shapes.kernel[2], shapes.strides[2]) in FAST_WINDOWS and shapes.dilations[2] == 1
    buffers: dict[str, BufferArg | int] = {
        "x": builder.argument(node.input(0), gaps=True),
        "weights": BufferArg(builder.constant(packed, f"{node.name}.weights")),
        **epilogue_buffers(node, builder, shapes),
    }
    buffers["y"] = builder.result(node.output, gaps=True)
    sizes: dict[str, Dim] = {"N": y.shape[0], "CB": shapes.blocks_out, "item_rows": tiling.item_rows}
    sizes |= window_sizes(shapes) | epilogue_sizes(node, builder)
    window = {"window": shapes.kernel[2], "stride": shapes.strides[2], "dilation": 1}
    if not fast:
        window = dict.fromkeys(window, 0)
    variant = Variant.of(
        "conv.u8.blocked.depthwise", columns=tiling.columns, lanes=shapes.lanes, **window, **element_params(node)
    )
    builder.kernel_step(node, [builder.call(variant, buffers, sizes)])


RULES = {
    "q_linear_conv": (
        TiledRule(
            "conv.u8.blocked.depthwise", DepthwiseTiling, _depthwise_refusal, _depthwise_tilings, _emit_depthwise
        ),
        TiledRule(
            "conv.u8.blocked.pointwise", PointwiseTiling, _pointwise_refusal, _pointwise_tilings, _emit_pointwise
        ),
        TiledRule("conv.u8.blocked.direct", ConvTiling, blocked_refusal, _direct_tilings, _emit_direct),
    ),
}
