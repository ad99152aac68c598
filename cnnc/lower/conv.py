"""Convolutions: which kernel, how weights are packed, and what the argument block holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cnnc.dims import Dim, product
from cnnc.ir import Array, Node
from cnnc.lower.builder import ProgramBuilder
from cnnc.lower.elementwise import SELU_ALPHA, SELU_GAMMA
from cnnc.lower.rules import LoweringRule
from cnnc.lower.spatial import float_bits, sizes_of, typical, volume
from cnnc.ops.conv import ConvAttrs, conv_window
from cnnc.runtime.cpu.activation import ACTIVATIONS
from cnnc.runtime.cpu.conv_packing import pack_channels, pack_weights
from cnnc.runtime.cpu.conv_tiling import choose_conv_tiling, choose_pointwise_tiling
from cnnc.runtime.kernel import Variant
from cnnc.runtime.program import BufferArg
from cnnc.types import DType


def conv_attrs(node: Node) -> ConvAttrs:
    """The node's attributes, which are a convolution's."""
    assert isinstance(node.attrs, ConvAttrs)
    return node.attrs


def constant_array(node: Node, position: int) -> Array | None:
    """Content of an optional constant operand."""
    value = node.optional(position)
    return None if value is None else value.array


def conv_refusal(node: Node) -> str | None:
    """What every convolution kernel needs: float32, constant weights, an activation that the epilogue knows."""
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
    return None


def epilogue_params(node: Node) -> dict[str, int | str]:
    """Compile-time parameters of the epilogue."""
    return {"activation": conv_attrs(node).activation.kind, "residual": int(node.optional(3) is not None)}


def epilogue_sizes(node: Node) -> dict[str, Dim]:
    """Argument slots of the activation's parameters."""
    activation = conv_attrs(node).activation
    if activation.kind == "selu":
        return {"alpha": float_bits(SELU_ALPHA), "beta": float_bits(SELU_GAMMA)}
    return {"alpha": float_bits(activation.alpha), "beta": float_bits(activation.beta)}


def epilogue_buffers(node: Node, builder: ProgramBuilder, channels: int, lanes: int) -> dict[str, BufferArg | int]:
    """Bias and slopes packed to whole blocks, and the residual's address; 0 for what is absent."""
    bias = constant_array(node, 2)
    slopes = constant_array(node, 4)
    residual = node.optional(3)
    if slopes is not None and slopes.size == 1:
        slopes = np.full(channels, slopes.reshape(-1)[0], np.float32)
    return {
        "bias": BufferArg(builder.constant(pack_channels(bias, channels, lanes), "bias")),
        "slopes": 0
        if slopes is None
        else BufferArg(builder.constant(pack_channels(slopes, channels, lanes), "slopes")),
        "residual": 0 if residual is None else builder.argument(residual),
    }


def _dense_refusal(node: Node, builder: ProgramBuilder) -> str | None:
    reason = conv_refusal(node)
    if reason is not None:
        return reason
    if node.output.type.layout.pieces:
        return "its output channels lie in several pieces"
    return None


@dataclass(frozen=True, slots=True)
class _Shapes:
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

    @property
    def is_pointwise(self) -> bool:
        """Whether every output pixel reads just the input pixel at its place."""
        return self.kernel == (1, 1, 1) == self.strides and self.source == self.result


def _ints(values: Sequence[Dim], fill: int) -> tuple[int, int, int]:
    first, second, third = (int(size) for size in volume(values, fill) if isinstance(size, int))
    return first, second, third


def conv_shapes(node: Node) -> _Shapes:
    """The node's shapes; its output is blocked, its input blocked or plain."""
    x, w, y = node.input(0).type, node.input(1).type, node.output.type
    window = conv_window(conv_attrs(node), x.shape, w.shape)
    channels, out_channels = x.shape[1], y.shape[1]
    assert isinstance(channels, int) and isinstance(out_channels, int)
    lanes = y.layout.block
    input_block = x.layout.block or 1
    return _Shapes(
        volume(x.shape[2:], 1),
        volume(y.shape[2:], 1),
        _ints(w.shape[2:], 1),
        _ints(window.strides, 1),
        _ints(window.dilations, 1),
        volume(window.begins, 0),
        lanes,
        input_block,
        x.layout.physical_channels(channels) // input_block,
        y.layout.physical_channels(out_channels) // lanes,
    )


def _packed(
    node: Node, builder: ProgramBuilder, shapes: _Shapes, blocks: int
) -> tuple[dict[str, BufferArg | int], dict[str, Dim]]:
    """Buffers and sizes that the dense kernels share: operands, packed weights, epilogue."""
    weights = constant_array(node, 1)
    channels, out_channels = node.input(0).type.shape[1], node.output.type.shape[1]
    assert weights is not None and isinstance(channels, int) and isinstance(out_channels, int)
    layout = node.input(0).type.layout
    lane_of = layout.lanes(channels) if layout.is_blocked else None
    packed = pack_weights(
        weights, shapes.lanes, blocks, conv_attrs(node).group, lane_of, input_block=shapes.input_block
    )
    buffers: dict[str, BufferArg | int] = {
        "x": builder.argument(node.input(0)),
        "weights": BufferArg(builder.constant(packed.weights, f"{node.name}.weights")),
        "segments": BufferArg(builder.constant(packed.segments, f"{node.name}.segments")),
        **epilogue_buffers(node, builder, out_channels, shapes.lanes),
    }
    buffers["y"] = BufferArg(builder.allocate(node.output).buffer)
    sizes: dict[str, Dim] = {"N": node.output.type.shape[0], "XB": shapes.blocks_in, "YB": shapes.blocks_out}
    sizes |= {"segment_count": packed.segment_count, "segment_rows": len(packed.segments)}
    sizes |= {"weight_floats": packed.weights.size}
    return buffers, sizes | epilogue_sizes(node)


def _emit_direct(node: Node, builder: ProgramBuilder) -> None:
    shapes = conv_shapes(node)
    group = conv_attrs(node).group
    depth, height, width = (typical(size) for size in shapes.result)
    tiling = choose_conv_tiling(
        (depth, height, width),
        shapes.kernel,
        shapes.strides,
        shapes.dilations,
        max(1, shapes.blocks_in // group),
        shapes.blocks_out,
        shapes.lanes,
        shapes.input_block,
        typical(node.output.type.shape[0], 1),
    )
    buffers, sizes = _packed(node, builder, shapes, tiling.blocks)
    sizes |= sizes_of("D H W", shapes.source) | sizes_of("OD OH OW", shapes.result)
    sizes |= sizes_of("KD KH KW", shapes.kernel) | sizes_of("SD SH SW", shapes.strides)
    sizes |= sizes_of("DD DH DW", shapes.dilations) | sizes_of("PD PH PW", shapes.begins)
    sizes |= {"row_tiles": tiling.row_tiles, "column_tiles": tiling.column_tiles, "oc_tiles": tiling.oc_tiles}
    variant = Variant.of(
        "conv.f32.blocked.direct",
        rows=tiling.rows,
        columns=tiling.columns,
        blocks=tiling.blocks,
        input_block=shapes.input_block,
        lanes=shapes.lanes,
        **epilogue_params(node),
    )
    builder.kernel_step(node, [builder.call(variant, buffers, sizes)])


def _pointwise_refusal(node: Node, builder: ProgramBuilder) -> str | None:
    reason = _dense_refusal(node, builder)
    if reason is not None:
        return reason
    if not node.input(0).type.layout.is_blocked:
        return "its input is in plain layout"
    if not conv_shapes(node).is_pointwise:
        return "it has a window, a stride or padding"
    return None


def _emit_pointwise(node: Node, builder: ProgramBuilder) -> None:
    shapes = conv_shapes(node)
    pixels = product(shapes.source)
    blocks_read = max(1, shapes.blocks_in // conv_attrs(node).group)
    batch = typical(node.output.type.shape[0], 1)
    tiling = choose_pointwise_tiling(typical(pixels), blocks_read, shapes.blocks_out, shapes.lanes, batch)
    buffers, sizes = _packed(node, builder, shapes, tiling.blocks)
    sizes |= {"pixels": pixels, "pixel_tiles": tiling.column_tiles, "oc_tiles": tiling.oc_tiles}
    variant = Variant.of(
        "conv.f32.blocked.pointwise",
        columns=tiling.columns,
        blocks=tiling.blocks,
        lanes=shapes.lanes,
        **epilogue_params(node),
    )
    builder.kernel_step(node, [builder.call(variant, buffers, sizes)])


RULES = {
    "conv": (
        LoweringRule("conv.f32.blocked.pointwise", _pointwise_refusal, _emit_pointwise),
        LoweringRule("conv.f32.blocked.direct", _dense_refusal, _emit_direct),
    ),
}
