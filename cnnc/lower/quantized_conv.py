"""q_linear_conv on blocked bytes: tiles and work items of the float kernels, four input channels a step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cnnc.dims import Dim, product
from cnnc.ir import Node
from cnnc.lower.builder import ProgramBuilder
from cnnc.lower.conv import ConvShapes, shapes_of, window_sizes
from cnnc.lower.rules import TiledRule
from cnnc.lower.spatial import typical
from cnnc.ops.quantized import QuantizedConvAttrs
from cnnc.ops.quantized_layer import QuantizedLayer, quantized_conv
from cnnc.runtime.cpu.conv_packing import QUAD, pack_byte_weights
from cnnc.runtime.cpu.conv_tiling import ConvTiling, rank_conv_tilings
from cnnc.runtime.cpu.pointwise_tiling import PointwiseTiling, rank_pointwise_tilings, tail_halves
from cnnc.runtime.kernel import Variant
from cnnc.runtime.program import BufferArg

_BYTES_OF_WORD = 0x01010101


def _attrs(node: Node) -> QuantizedConvAttrs:
    assert isinstance(node.attrs, QuantizedConvAttrs)
    return node.attrs


def _layer(node: Node) -> QuantizedLayer:
    layer = quantized_conv(node)
    assert isinstance(layer, QuantizedLayer)
    return layer


def _shapes(node: Node) -> ConvShapes:
    return shapes_of(node.input(0).type, node.input(3).type, node.output.type, _attrs(node))


def _refusal(node: Node, builder: ProgramBuilder) -> str | None:
    layer = quantized_conv(node)
    if isinstance(layer, str):
        return layer
    for value in (node.input(0), node.output):
        if not value.type.layout.is_blocked:
            return f"%{value.name} is in plain layout"
    return "its output channels lie in several pieces" if node.output.type.layout.pieces else None


def _pointwise_refusal(node: Node, builder: ProgramBuilder) -> str | None:
    reason = _refusal(node, builder)
    if reason is None and not _shapes(node).is_pointwise:
        return "it has a window, a stride or padding"
    return reason


def _word_blocks(shapes: ConvShapes, groups: int) -> int:
    """Input blocks that an output reads, in blocks of as many words of four bytes as there are lanes."""
    return max(1, -(-shapes.blocks_in // (groups * QUAD)))


def _pointwise_tilings(node: Node, builder: ProgramBuilder, count: int) -> Sequence[tuple[float, PointwiseTiling]]:
    shapes = _shapes(node)
    blocks = _word_blocks(shapes, _attrs(node).group)
    batch = typical(node.output.type.shape[0], 1)
    pixels = typical(product(shapes.source))
    return rank_pointwise_tilings(pixels, blocks, shapes.out_channels, shapes.lanes, batch, count)


def _emit_pointwise(node: Node, builder: ProgramBuilder, tiling: PointwiseTiling) -> None:
    shapes = _shapes(node)
    tail = tail_halves(shapes.out_channels, tiling.blocks, shapes.lanes)
    buffers, sizes = _operands(node, builder, shapes, tiling.blocks, tail * shapes.lanes // 2)
    buffers |= {"input_scale": 0, "input_shift": 0}
    sizes |= {"pixels": product(shapes.source), "slab_tiles": tiling.slab_tiles}
    sizes |= {"pixel_tiles": tiling.pixel_tiles, "oc_tiles": tiling.oc_tiles}
    sizes |= {"input_alpha": 0, "input_beta": 0, "input_image": 0}
    params: dict[str, int | str] = {"tail": tail} if tail else {}
    _emit(node, builder, "conv.u8.blocked.pointwise", tiling, buffers, sizes, params)


def _direct_tilings(node: Node, builder: ProgramBuilder, count: int) -> Sequence[tuple[float, ConvTiling]]:
    shapes = _shapes(node)
    return rank_conv_tilings(
        [typical(size) for size in shapes.result],
        shapes.kernel,
        shapes.strides,
        shapes.dilations,
        _word_blocks(shapes, _attrs(node).group),
        shapes.blocks_out,
        shapes.lanes,
        shapes.lanes,
        typical(node.output.type.shape[0], 1),
        count,
    )


def _emit_direct(node: Node, builder: ProgramBuilder, tiling: ConvTiling) -> None:
    shapes = _shapes(node)
    buffers, sizes = _operands(node, builder, shapes, tiling.blocks)
    sizes |= window_sizes(shapes) | {"fill": (_layer(node).x_zero & 255) * _BYTES_OF_WORD}
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
        element=node.input(0).type.dtype.value,
        activation="requantize",
        residual=0,
        **params,
    )
    builder.kernel_step(node, [builder.call(variant, buffers, sizes)])


def _operands(
    node: Node, builder: ProgramBuilder, shapes: ConvShapes, blocks: int, tail_lanes: int = 0
) -> tuple[dict[str, BufferArg | int], dict[str, Dim]]:
    """Buffers and sizes that the kernels share."""
    layer, x, y = _layer(node), node.input(0).type, node.output.type
    channels = x.shape[1]
    assert isinstance(channels, int)
    packed = pack_byte_weights(
        layer.weights, shapes.lanes, blocks, _attrs(node).group, x.layout.lanes(channels), tail_lanes
    )
    room = shapes.blocks_out * shapes.lanes
    bias, factors = np.zeros(room, np.int32), np.zeros(room, np.float32)
    bias[: shapes.out_channels], factors[: shapes.out_channels] = layer.bias, layer.factors
    buffers: dict[str, BufferArg | int] = {
        "x": builder.argument(node.input(0), gaps=True),
        "weights": BufferArg(builder.constant(packed.weights, f"{node.name}.weights")),
        "segments": BufferArg(builder.constant(packed.segments, f"{node.name}.segments")),
        "bias": BufferArg(builder.constant(bias, f"{node.name}.bias")),
        "slopes": BufferArg(builder.constant(factors, f"{node.name}.factors")),
        "residual": 0,
    }
    buffers["y"] = builder.result(node.output, gaps=True)
    sizes: dict[str, Dim] = {"N": y.shape[0], "XB": shapes.blocks_in, "YB": shapes.blocks_out}
    sizes |= {"segment_count": packed.segment_count, "segment_rows": len(packed.segments)}
    sizes |= {"weight_floats": packed.weights.size, "alpha": layer.y_zero, "beta": layer.y_least}
    sizes |= {"x_gap": builder.gap(node.input(0)), "y_gap": builder.gap(node.output), "residual_gap": 0}
    return buffers, sizes


RULES = {
    "q_linear_conv": (
        TiledRule(
            "conv.u8.blocked.pointwise", PointwiseTiling, _pointwise_refusal, _pointwise_tilings, _emit_pointwise
        ),
        TiledRule("conv.u8.blocked.direct", ConvTiling, _refusal, _direct_tilings, _emit_direct),
    ),
}
