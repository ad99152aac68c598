"""q_linear_conv on GPUs: products of bytes with tiles of ``dp4a`` or tensor cores, depthwise, and first layers.

Constants are folded as for the CPU. GPUs multiply bytes of either sign, so that of int8 inputs nothing is shifted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cnnc.dims import Dim, product
from cnnc.ir import Array, Node
from cnnc.lower.builder import ProgramBuilder
from cnnc.lower.conv import ConvShapes
from cnnc.lower.quantized_conv import (
    blocked_refusal,
    input_lanes,
    layer_constants,
    padding_word,
    quantized_attrs,
    quantized_shapes,
)
from cnnc.lower.quantized_plain_input import plain_input_refusal
from cnnc.lower.rules import LoweringRule, TiledRule
from cnnc.lower.spatial import sizes_of, typical
from cnnc.ops.quantized_layer import QuantizedLayer
from cnnc.ops.window import window_of
from cnnc.runtime.cuda.byte_tile import ByteTile
from cnnc.runtime.cuda.byte_tiling import ByteProduct, rank_byte_tiles, taps_of_step
from cnnc.runtime.cuda.conv_depthwise_bytes import pack_words
from cnnc.runtime.cuda.conv_implicit_gemm_bytes import pack
from cnnc.runtime.cuda.conv_plain_input_bytes import QUAD, pack_quads
from cnnc.runtime.cuda.device_facts import facts_of
from cnnc.runtime.cuda.target import LANES
from cnnc.runtime.kernel import Variant
from cnnc.runtime.program import BufferArg
from cnnc.types import DType

_SIGN = 128
_MOST_ROWS = 4


def signed_bias(layer: QuantizedLayer, element: DType) -> Array:
    """int32 [M]: the bias of sums over bytes as they are stored; the layer's is that of sums over unsigned bytes."""
    if element is not DType.I8:
        return layer.bias
    sums = layer.weights.reshape(len(layer.weights), -1).sum(1, dtype=np.int64)
    shifted: Array = (layer.bias + _SIGN * sums).astype(np.uint64).astype(np.uint32).view(np.int32)
    return shifted


@dataclass(frozen=True, slots=True)
class Groups:
    """A convolution in groups of whole blocks: small groups are joined, with weights of 0 between them.

    Attributes:
        count: of the groups.
        weights: int8 [OC, physical lanes of a group's input, *K].
    """

    count: int
    weights: Array


def joined_groups(weights: Array, groups: int, lanes: Sequence[int], physical_lanes: int) -> Groups:
    """Groups of whole blocks of input and output, as few of those given in each as it takes.

    Args:
        weights: int8 [OC, C / groups, *K].
        lanes: the physical lane of every input channel, of ``physical_lanes``.
    """
    outputs, inputs = len(weights) // groups, weights.shape[1]
    together = groups
    if list(lanes) == list(range(physical_lanes)):
        together = next(
            (
                number
                for number in range(1, groups)
                if groups % number == 0 and number * inputs % LANES == number * outputs % LANES == 0
            ),
            groups,
        )
    count = groups // together
    room = physical_lanes // count
    dense = np.zeros((len(weights), room, *weights.shape[2:]), np.int8)
    for group in range(groups):
        own = slice(group * outputs, (group + 1) * outputs)
        where = np.asarray(lanes[group * inputs : (group + 1) * inputs]) - group // together * (together * inputs)
        dense[own, where if count > 1 else np.asarray(lanes[group * inputs : (group + 1) * inputs])] = weights[own]
    return Groups(count, dense)


def _groups(node: Node) -> Groups:
    shapes = quantized_shapes(node)
    lanes = input_lanes(node)
    return joined_groups(
        layer_constants(node).weights, quantized_attrs(node).group, lanes, shapes.blocks_in * shapes.input_block
    )


def _operands(node: Node, builder: ProgramBuilder, packed: Array) -> tuple[dict[str, BufferArg | int], dict[str, Dim]]:
    """What the kernels share: bias and factors, one a lane of y, and the sizes of images."""
    layer, shapes, x = layer_constants(node), quantized_shapes(node), node.input(0)
    where = node.output.type.layout.lanes(shapes.out_channels)
    bias, factors = np.zeros(shapes.blocks_out * LANES, np.int32), np.zeros(shapes.blocks_out * LANES, np.float32)
    bias[where], factors[where] = signed_bias(layer, x.type.dtype), layer.factors
    buffers: dict[str, BufferArg | int] = {
        "x": builder.argument(x, gaps=True),
        "weights": BufferArg(builder.constant(packed, f"{node.name}.weights")),
        "bias": BufferArg(builder.constant(bias, f"{node.name}.bias")),
        "factors": BufferArg(builder.constant(factors, f"{node.name}.factors")),
    }
    buffers["y"] = builder.result(node.output, gaps=True)
    sizes: dict[str, Dim] = {"images": node.output.type.shape[0]}
    sizes |= {"x_image": product(x.type.physical_shape[1:]) + builder.gap(x)}
    sizes |= {"y_image": product(node.output.type.physical_shape[1:]) + builder.gap(node.output)}
    sizes |= {"fill": padding_word(node), "y_zero": layer.y_zero, "y_least": layer.y_least}
    return buffers, sizes


def _window_sizes(shapes: ConvShapes) -> dict[str, Dim]:
    return (
        sizes_of("D H W", shapes.source)
        | sizes_of("OD OH OW", shapes.result)
        | sizes_of("KD KH KW", shapes.kernel)
        | sizes_of("stride_d stride_h stride_w", shapes.strides)
        | sizes_of("dilation_d dilation_h dilation_w", shapes.dilations)
        | sizes_of("begin_d begin_h begin_w", shapes.begins)
    )


def _tile_params(tile: ByteTile) -> dict[str, int | str]:
    return {
        name: int(getattr(tile, name))
        for name in ("tensor", "rows", "columns", "row_threads", "column_threads", "blocks")
    }


def _pixels(node: Node) -> int:
    batch, _, *spatial = node.output.type.shape
    return typical(batch, 1) * math.prod(typical(size) for size in spatial)


def _tilings(node: Node, builder: ProgramBuilder, count: int) -> Sequence[tuple[float, ByteTile]]:
    shapes, groups = quantized_shapes(node), _groups(node)
    blocks, channels = groups.weights.shape[1] // LANES, shapes.out_channels // groups.count
    layer = ByteProduct(groups.count, channels, _pixels(node), math.prod(shapes.kernel), blocks)
    return rank_byte_tiles(layer, facts_of(builder.target), count)


def _axes(node: Node) -> int:
    """The last axes, 0, 2 or 3, that have taps or padding."""
    shape = node.input(3).type.shape[2:]
    window = window_of(quantized_attrs(node), node.input(0).type.shape[2:], shape)
    has = [size != 1 or begin != 0 or end != 0 for size, begin, end in zip(shape, window.begins, window.ends)]
    if not any(has):
        return 0
    return 3 if any(has[:-2]) else 2


def _emit(node: Node, builder: ProgramBuilder, tile: ByteTile) -> None:
    shapes, groups = quantized_shapes(node), _groups(node)
    x_blocks = groups.weights.shape[1] // LANES
    buffers, sizes = _operands(node, builder, pack(groups.weights, groups.count, tile))
    sizes |= _window_sizes(shapes)
    sizes |= {"groups": groups.count, "x_blocks": x_blocks, "y_blocks": shapes.blocks_out // groups.count}
    variant = Variant.of(
        "conv.u8.implicit_gemm",
        **_tile_params(tile),
        taps=taps_of_step(x_blocks, tile.blocks),
        axes=_axes(node),
        partial=int(x_blocks % tile.blocks > 0),
        element=node.input(0).type.dtype.value,
    )
    builder.kernel_step(node, [builder.call(variant, buffers, sizes)])


def _depthwise_refusal(node: Node, builder: ProgramBuilder) -> str | None:
    reason = blocked_refusal(node, builder)
    if reason is not None:
        return reason
    x, y = node.input(0).type, node.output.type
    if not quantized_attrs(node).group == x.shape[1] == y.shape[1]:
        return "it is not one filter a channel"
    return None if x.layout == y.layout else "input and output have different layouts"


def _emit_depthwise(node: Node, builder: ProgramBuilder) -> None:
    shapes = quantized_shapes(node)
    lanes = node.output.type.layout.lanes(shapes.out_channels)
    packed = pack_words(layer_constants(node).weights, lanes, shapes.blocks_out)
    buffers, sizes = _operands(node, builder, packed)
    sizes |= _window_sizes(shapes) | {"blocks": shapes.blocks_out}
    rows = min(_MOST_ROWS, typical(shapes.result[1]))
    variant = Variant.of("conv.u8.depthwise", rows=rows, element=node.input(0).type.dtype.value)
    builder.kernel_step(node, [builder.call(variant, buffers, sizes)])


def _plain_tilings(node: Node, builder: ProgramBuilder, count: int) -> Sequence[tuple[float, ByteTile]]:
    shapes = quantized_shapes(node)
    quads = shapes.blocks_in * shapes.kernel[1] * -(-shapes.kernel[2] // QUAD)
    layer = ByteProduct(1, shapes.out_channels, _pixels(node), 1, -(-quads * QUAD // LANES))
    return rank_byte_tiles(layer, facts_of(builder.target), count)


def _emit_plain(node: Node, builder: ProgramBuilder, tile: ByteTile) -> None:
    shapes, x = quantized_shapes(node), node.input(0)
    buffers, sizes = _operands(node, builder, pack_quads(layer_constants(node).weights, tile))
    window = _window_sizes(shapes)
    names = ("H", "W", "OH", "OW", "KH", "stride_h", "stride_w", "dilation_h", "begin_h", "begin_w")
    sizes |= {name: window[name] for name in names}
    sizes |= {"C": shapes.blocks_in, "QW": -(-shapes.kernel[2] // QUAD), "y_blocks": shapes.blocks_out}
    start = buffers["x"]
    assert isinstance(start, BufferArg)
    places = (shapes.source[2], sizes["x_image"], start.offset)
    aligned = all(isinstance(size, int) and size % QUAD == 0 for size in places)
    variant = Variant.of(
        "conv.u8.plain_input",
        **_tile_params(tile),
        element=x.type.dtype.value,
        aligned=int(aligned),
        KH=shapes.kernel[1],
        QW=-(-shapes.kernel[2] // QUAD),
    )
    builder.kernel_step(node, [builder.call(variant, buffers, sizes)])


RULES = {
    "q_linear_conv": (
        LoweringRule("conv.u8.depthwise", _depthwise_refusal, _emit_depthwise),
        TiledRule("conv.u8.plain_input", ByteTile, plain_input_refusal, _plain_tilings, _emit_plain),
        TiledRule("conv.u8.implicit_gemm", ByteTile, blocked_refusal, _tilings, _emit),
    ),
}
