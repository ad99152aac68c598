"""Convolutions: which kernel, how weights are packed, and what the argument block holds."""

from __future__ import annotations

import numpy as np

from cnnc.dims import Dim, product
from cnnc.ir import Array, Node
from cnnc.lower.builder import ProgramBuilder
from cnnc.lower.conv_tiles import choose_tile
from cnnc.lower.elementwise import SELU_ALPHA, SELU_GAMMA
from cnnc.lower.rules import LoweringRule
from cnnc.lower.spatial import float_bits, sizes_of, volume
from cnnc.ops.conv import ConvAttrs, conv_window
from cnnc.runtime.cpu.activation import ACTIVATIONS
from cnnc.runtime.cpu.conv_packing import pack_channels, pack_weights
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


def _direct_refusal(node: Node, builder: ProgramBuilder) -> str | None:
    reason = conv_refusal(node)
    if reason is not None:
        return reason
    if not node.input(0).type.layout.is_blocked:
        return "its input is in plain layout"
    if node.output.type.layout.pieces:
        return "its output channels lie in several pieces"
    return None


def _emit_direct(node: Node, builder: ProgramBuilder) -> None:
    attrs = conv_attrs(node)
    x, w, y = node.input(0).type, node.input(1).type, node.output.type
    lanes = y.layout.block
    window = conv_window(attrs, x.shape, w.shape)
    weights = constant_array(node, 1)
    channels, out_channels = x.shape[1], y.shape[1]
    assert weights is not None and isinstance(channels, int) and isinstance(out_channels, int)
    blocks_in = x.layout.physical_channels(channels) // lanes
    blocks_out = y.layout.physical_channels(out_channels) // lanes

    source, result = volume(x.shape[2:], 1), volume(y.shape[2:], 1)
    kernel, strides = volume(weights.shape[2:], 1), volume(window.strides, 1)
    dilations, begins = volume(window.dilations, 1), volume(window.begins, 0)
    pointwise = all(size == 1 for size in (*kernel, *strides)) and all(pad == 0 for pad in (*begins, *window.ends))
    if pointwise:
        # Without a window rows need not end where the image's rows do.
        source = result = (1, 1, product(source))
    row_bytes = source[2] * lanes * 4 * blocks_in * kernel[0]
    span = (weights.shape[-2] - 1) * window.dilations[-2] + 1 if weights.ndim > 3 else 1
    registers = 32 if builder.target.vector_bytes == 64 else 16
    tile = choose_tile(
        result[1],
        result[2],
        blocks_out,
        row_bytes,
        span,
        window.strides[-2] if weights.ndim > 3 else 1,
        registers=registers,
    )
    packed = pack_weights(weights, lanes, tile.blocks, attrs.group, x.layout.lanes(channels))
    sizes: dict[str, Dim] = {"N": y.shape[0], "XB": blocks_in, "YB": blocks_out}
    sizes |= sizes_of("D H W", source) | sizes_of("OD OH OW", result) | sizes_of("KD KH KW", kernel)
    sizes |= sizes_of("SD SH SW", strides) | sizes_of("DD DH DW", dilations) | sizes_of("PD PH PW", begins)
    sizes |= {"segment_count": packed.segment_count, "segment_rows": len(packed.segments)}
    sizes |= {"weight_floats": packed.weights.size}
    sizes |= {"row_tiles": tile.row_tiles, "column_tiles": tile.column_tiles, "oc_tiles": tile.oc_tiles}
    buffers: dict[str, BufferArg | int] = {
        "x": builder.argument(node.input(0)),
        "weights": BufferArg(builder.constant(packed.weights, f"{node.name}.weights")),
        "segments": BufferArg(builder.constant(packed.segments, f"{node.name}.segments")),
        **epilogue_buffers(node, builder, out_channels, lanes),
    }
    buffers["y"] = BufferArg(builder.allocate(node.output).buffer)
    variant = Variant.of(
        "conv.f32.blocked.direct",
        rows=tile.rows,
        columns=tile.columns,
        blocks=tile.blocks,
        lanes=lanes,
        **epilogue_params(node),
    )
    builder.kernel_step(node, [builder.call(variant, buffers, sizes | epilogue_sizes(node))])


RULES = {
    "conv": (LoweringRule("conv.f32.blocked.direct", _direct_refusal, _emit_direct),),
}
