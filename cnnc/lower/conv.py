"""Convolutions: which kernel, how weights are packed, and what the argument block holds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from cnnc.dims import Dim, product
from cnnc.ir import Array, Node
from cnnc.lower.builder import ProgramBuilder
from cnnc.lower.conv_prologue import (
    copies_input,
    has_prologue,
    prologue_buffers,
    prologue_params,
    prologue_refusal,
    prologue_sizes,
)
from cnnc.lower.rules import TiledRule
from cnnc.lower.spatial import activation_bits, channel_lanes, known_volume, sizes_of, typical, volume
from cnnc.ops.conv import ConvAttrs
from cnnc.ops.quantized import QuantizedConvAttrs
from cnnc.ops.window import window_of
from cnnc.runtime.cpu.activation import ACTIVATIONS
from cnnc.runtime.cpu.conv_depthwise import pack_depthwise
from cnnc.runtime.cpu.conv_grouped import grouping_refusal
from cnnc.runtime.cpu.conv_packing import PackedWeights, pack_weights
from cnnc.runtime.cpu.conv_tiling import (
    ConvTiling,
    DepthwiseTiling,
    rank_conv_tilings,
    rank_depthwise_tilings,
)
from cnnc.runtime.cpu.pointwise_tiling import PointwiseTiling, rank_pointwise_tilings, tail_halves
from cnnc.runtime.cpu.work_division import divides_rows
from cnnc.runtime.kernel import Variant
from cnnc.runtime.program import BufferArg
from cnnc.types import DType, TensorType


def conv_attrs(node: Node) -> ConvAttrs:
    """The node's attributes, which are a convolution's."""
    assert isinstance(node.attrs, ConvAttrs)
    return node.attrs


def constant_array(node: Node, position: int) -> Array | None:
    """Content of an optional constant operand."""
    value = node.optional(position)
    return None if value is None else value.array


def conv_refusal(node: Node, takes_prologue: bool = False) -> str | None:
    """What every convolution kernel needs: float32, constant weights, an activation that the epilogue knows.

    ``takes_prologue``: the kernel can scale and shift its input.
    """
    attrs = conv_attrs(node)
    if node.output.type.dtype is not DType.F32:
        return f"elements are {node.output.type.dtype.value}, not f32"
    for position in (1, 2, 4):
        value = node.optional(position)
        if value is not None and not value.is_constant:
            return f"%{value.name} is not constant"
    if attrs.activation.kind not in ACTIVATIONS:
        return f"the epilogue has no {attrs.activation.kind}"
    if not node.output.type.layout.is_blocked:
        return "its output is in plain layout"
    residual = node.optional(3)
    if residual is not None and residual.type != node.output.type:
        return "its residual has another shape or layout than its output"
    if has_prologue(node) and not takes_prologue:
        return "it has a prologue"
    return prologue_refusal(node)


def epilogue_params(node: Node) -> dict[str, int | str]:
    """Compile-time parameters of the epilogue."""
    return {"activation": conv_attrs(node).activation.kind, "residual": int(node.optional(3) is not None)}


def epilogue_buffers(node: Node, builder: ProgramBuilder) -> dict[str, BufferArg | int]:
    """Bias and slopes packed to the output's lanes, and the residual's address; 0 for what is absent."""
    output = node.output.type
    slopes = constant_array(node, 4)
    residual = node.optional(3)
    bias = builder.constant(channel_lanes(constant_array(node, 2), output), "bias")
    return {
        "bias": BufferArg(bias),
        "slopes": 0 if slopes is None else BufferArg(builder.constant(channel_lanes(slopes, output), "slopes")),
        "residual": 0 if residual is None else builder.argument(residual, gaps=True),
    }


def dense_refusal(node: Node, takes_prologue: bool = False) -> str | None:
    """What kernels need whose output lanes sum over several input channels."""
    reason = conv_refusal(node, takes_prologue)
    if reason is not None:
        return reason
    if node.output.type.layout.pieces:
        return "its output channels lie in several pieces"
    return None


def small_groups_refusal(node: Node) -> str | None:
    """Why output lanes cannot read their own groups by permutations of one vector; None if they can."""
    groups, lane_of = conv_attrs(node).group, input_lanes(node)
    if groups == 1 or lane_of is None:
        return "it has one group" if groups == 1 else "its input is in plain layout"
    channels, out_channels = node.input(0).type.shape[1], node.output.type.shape[1]
    assert isinstance(channels, int) and isinstance(out_channels, int)
    return grouping_refusal(channels, out_channels, groups, node.output.type.layout.block, lane_of)


def block_refusal(node: Node, builder: ProgramBuilder, takes_prologue: bool = False) -> str | None:
    """What kernels need that sum over whole blocks of input channels."""
    reason = dense_refusal(node, takes_prologue)
    if reason is None and small_groups_refusal(node) is None:
        return "its groups are smaller than a block"
    return reason


@dataclass(frozen=True, slots=True)
class ConvShapes:
    """A convolution as kernels see it: spatial triples, windows, channel blocks; sizes may be symbolic."""

    source: tuple[Dim, Dim, Dim]
    result: tuple[Dim, Dim, Dim]
    kernel: tuple[int, int, int]
    strides: tuple[int, int, int]
    dilations: tuple[int, int, int]
    begins: tuple[Dim, Dim, Dim]
    lanes: int
    input_block: int
    blocks_in: int
    blocks_out: int
    out_channels: int

    @property
    def is_pointwise(self) -> bool:
        """Whether every output pixel reads just the input pixel at its place."""
        return self.kernel == (1, 1, 1) == self.strides and self.source == self.result


def conv_shapes(node: Node) -> ConvShapes:
    """The node's shapes; its output is blocked, its input blocked or plain."""
    return shapes_of(node.input(0).type, node.input(1).type, node.output.type, conv_attrs(node))


def shapes_of(x: TensorType, w: TensorType, y: TensorType, attrs: ConvAttrs | QuantizedConvAttrs) -> ConvShapes:
    """Shapes of a convolution of ``x`` with ``w``."""
    window = window_of(attrs, x.shape[2:], w.shape[2:])
    channels, out_channels = x.shape[1], y.shape[1]
    assert isinstance(channels, int) and isinstance(out_channels, int)
    lanes = y.layout.block
    input_block = x.layout.block or 1
    return ConvShapes(
        volume(x.shape[2:], 1),
        volume(y.shape[2:], 1),
        known_volume(w.shape[2:], 1),
        known_volume(window.strides, 1),
        known_volume(window.dilations, 1),
        volume(window.begins, 0),
        lanes,
        input_block,
        x.layout.physical_channels(channels) // input_block,
        y.layout.physical_channels(out_channels) // lanes,
        out_channels,
    )


def gap_sizes(node: Node, builder: ProgramBuilder) -> dict[str, Dim]:
    """Argument slots of the gaps of operands that are ranges of channels; the output has its place by now."""
    residual = node.optional(3)
    return {
        "x_gap": builder.gap(node.input(0)),
        "y_gap": builder.gap(node.output),
        "residual_gap": 0 if residual is None else builder.gap(residual),
    }


def window_sizes(shapes: ConvShapes) -> dict[str, Dim]:
    """Argument slots of sizes and window."""
    return (
        sizes_of("D H W", shapes.source)
        | sizes_of("OD OH OW", shapes.result)
        | sizes_of("KD KH KW", shapes.kernel)
        | sizes_of("SD SH SW", shapes.strides)
        | sizes_of("DD DH DW", shapes.dilations)
        | sizes_of("PD PH PW", shapes.begins)
    )


def _packed(
    node: Node, builder: ProgramBuilder, shapes: ConvShapes, blocks: int, tail_lanes: int = 0
) -> tuple[dict[str, BufferArg | int], dict[str, Dim]]:
    """Buffers and sizes that the dense kernels share: operands, packed weights, epilogue."""
    weights = constant_array(node, 1)
    assert weights is not None
    packed = pack_weights(
        weights, shapes.lanes, blocks, conv_attrs(node).group, input_lanes(node), shapes.input_block, tail_lanes
    )
    return packed_operands(node, builder, shapes, packed)


def input_lanes(node: Node) -> Sequence[int] | None:
    """The physical lane of every input channel; None for a plain input."""
    layout, channels = node.input(0).type.layout, node.input(0).type.shape[1]
    assert isinstance(channels, int)
    return layout.lanes(channels) if layout.is_blocked else None


def packed_operands(
    node: Node, builder: ProgramBuilder, shapes: ConvShapes, packed: PackedWeights
) -> tuple[dict[str, BufferArg | int], dict[str, Dim]]:
    """As ``_packed``, for weights that are packed already."""
    buffers: dict[str, BufferArg | int] = {
        "x": builder.argument(node.input(0), gaps=True),
        "weights": BufferArg(builder.constant(packed.weights, f"{node.name}.weights")),
        "segments": BufferArg(builder.constant(packed.segments, f"{node.name}.segments")),
        **epilogue_buffers(node, builder),
    }
    buffers["y"] = builder.result(node.output, gaps=True)
    sizes: dict[str, Dim] = {"N": node.output.type.shape[0], "XB": shapes.blocks_in, "YB": shapes.blocks_out}
    sizes |= {"segment_count": packed.segment_count, "segment_rows": len(packed.segments)}
    sizes |= {"weight_floats": packed.weights.size}
    return buffers, sizes | gap_sizes(node, builder) | activation_bits(conv_attrs(node).activation)


def _direct_tilings(node: Node, builder: ProgramBuilder, count: int) -> Sequence[tuple[float, ConvTiling]]:
    shapes = conv_shapes(node)
    depth, height, width = (typical(size) for size in shapes.result)
    return rank_conv_tilings(
        (depth, height, width),
        shapes.kernel,
        shapes.strides,
        shapes.dilations,
        max(1, shapes.blocks_in // conv_attrs(node).group),
        shapes.blocks_out,
        shapes.lanes,
        shapes.input_block,
        typical(node.output.type.shape[0], 1),
        count,
        wide=builder.numerics.wide_sums,
    )


def _emit_direct(node: Node, builder: ProgramBuilder, tiling: ConvTiling) -> None:
    shapes = conv_shapes(node)
    buffers, sizes = _packed(node, builder, shapes, tiling.blocks)
    sizes |= window_sizes(shapes)
    sizes |= {"row_tiles": tiling.row_tiles, "column_tiles": tiling.column_tiles, "oc_tiles": tiling.oc_tiles}
    sizes |= {"fill": 0}
    variant = Variant.of(
        "conv.f32.blocked.direct",
        rows=tiling.rows,
        columns=tiling.columns,
        blocks=tiling.blocks,
        input_block=shapes.input_block,
        lanes=shapes.lanes,
        **epilogue_params(node),
        **builder.numerics.sum_params,
    )
    builder.kernel_step(node, [builder.call(variant, buffers, sizes)])


def _pointwise_refusal(node: Node, builder: ProgramBuilder) -> str | None:
    reason = block_refusal(node, builder, takes_prologue=True)
    if reason is not None:
        return reason
    if not node.input(0).type.layout.is_blocked:
        return "its input is in plain layout"
    if not conv_shapes(node).is_pointwise:
        return "it has a window, a stride or padding"
    return None


def _pointwise_tilings(node: Node, builder: ProgramBuilder, count: int) -> Sequence[tuple[float, PointwiseTiling]]:
    shapes = conv_shapes(node)
    pixels = typical(product(shapes.source))
    blocks_read = max(1, shapes.blocks_in // conv_attrs(node).group)
    batch = typical(node.output.type.shape[0], 1)
    wide, copies = builder.numerics.wide_sums, copies_input(node)
    return rank_pointwise_tilings(pixels, blocks_read, shapes.out_channels, shapes.lanes, batch, count, wide, copies)


def _emit_pointwise(node: Node, builder: ProgramBuilder, tiling: PointwiseTiling) -> None:
    shapes = conv_shapes(node)
    tail = tail_halves(shapes.out_channels, tiling.blocks, shapes.lanes)
    buffers, sizes = _packed(node, builder, shapes, tiling.blocks, tail * shapes.lanes // 2)
    buffers |= prologue_buffers(node, builder)
    sizes |= {"pixels": product(shapes.source), "slab_tiles": tiling.slab_tiles}
    sizes |= {"pixel_tiles": tiling.pixel_tiles, "oc_tiles": tiling.oc_tiles}
    sizes |= prologue_sizes(node, builder)
    variant = Variant.of(
        "conv.f32.blocked.pointwise",
        columns=tiling.columns,
        blocks=tiling.blocks,
        lanes=shapes.lanes,
        **({"tail": tail} if tail else {}),
        **epilogue_params(node),
        **prologue_params(node),
        **builder.numerics.sum_params,
    )
    builder.kernel_step(node, [builder.call(variant, buffers, sizes)])


def depthwise_refusal(node: Node, builder: ProgramBuilder) -> str | None:
    reason = conv_refusal(node)
    if reason is not None:
        return reason
    x, y = node.input(0).type, node.output.type
    if not conv_attrs(node).group == x.shape[1] == y.shape[1]:
        return "it is not one filter a channel"
    return None if x.layout == y.layout else "input and output have different layouts"


FAST_WINDOWS = ((3, 1), (3, 2), (5, 1), (5, 2))
"""Horizontal (window, stride) that have variants of their own, without dilation."""


def _depthwise_tilings(node: Node, builder: ProgramBuilder, count: int) -> Sequence[tuple[float, DepthwiseTiling]]:
    shapes = conv_shapes(node)
    depth, height, width = (typical(size) for size in shapes.result)
    planes = shapes.blocks_out * typical(node.output.type.shape[0], 1) * depth
    by_rows = divides_rows(typical(product(shapes.source)), shapes.blocks_out * shapes.lanes)
    return rank_depthwise_tilings(height, width, planes, math.prod(shapes.kernel), shapes.lanes, count, by_rows)


def _emit_depthwise(node: Node, builder: ProgramBuilder, tiling: DepthwiseTiling) -> None:
    shapes = conv_shapes(node)
    weights = constant_array(node, 1)
    channels = node.output.type.shape[1]
    assert weights is not None and isinstance(channels, int)
    packed = pack_depthwise(weights, shapes.lanes, node.output.type.layout.lanes(channels), shapes.blocks_out)
    fast = (shapes.kernel[2], shapes.strides[2]) in FAST_WINDOWS and shapes.dilations[2] == 1
    buffers: dict[str, BufferArg | int] = {
        "x": builder.argument(node.input(0), gaps=True),
        "weights": BufferArg(builder.constant(packed, f"{node.name}.weights")),
        **epilogue_buffers(node, builder),
    }
    buffers["y"] = builder.result(node.output, gaps=True)
    sizes: dict[str, Dim] = {"N": node.output.type.shape[0], "CB": shapes.blocks_out, "item_rows": tiling.item_rows}
    sizes |= window_sizes(shapes) | gap_sizes(node, builder) | activation_bits(conv_attrs(node).activation)
    variant = Variant.of(
        "conv.f32.blocked.depthwise",
        columns=tiling.columns,
        window=shapes.kernel[2] if fast else 0,
        stride=shapes.strides[2] if fast else 0,
        dilation=1 if fast else 0,
        lanes=shapes.lanes,
        **epilogue_params(node),
    )
    builder.kernel_step(node, [builder.call(variant, buffers, sizes)])


RULES = {
    "conv": (
        TiledRule(
            "conv.f32.blocked.depthwise", DepthwiseTiling, depthwise_refusal, _depthwise_tilings, _emit_depthwise
        ),
        TiledRule(
            "conv.f32.blocked.pointwise", PointwiseTiling, _pointwise_refusal, _pointwise_tilings, _emit_pointwise
        ),
        TiledRule("conv.f32.blocked.direct", ConvTiling, block_refusal, _direct_tilings, _emit_direct),
    ),
}
