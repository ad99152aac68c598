"""Transposed convolution: phases of ordinary ones, on the same packed weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cnnc.dims import Dim, ceil_div
from cnnc.ir import Node
from cnnc.lower.builder import ProgramBuilder
from cnnc.lower.rules import TiledRule
from cnnc.lower.spatial import activation_bits, channel_lanes, known_volume, sizes_of, typical, volume
from cnnc.ops.conv import ConvTransposeAttrs, transpose_window
from cnnc.runtime.cpu.activation import ACTIVATIONS
from cnnc.runtime.cpu.conv_packing import pack_weights
from cnnc.runtime.cpu.conv_tiling import ConvTiling, rank_conv_tilings
from cnnc.runtime.cpu.conv_transpose import as_convolution
from cnnc.runtime.kernel import Variant
from cnnc.runtime.program import BufferArg
from cnnc.types import DType


def _attrs(node: Node) -> ConvTransposeAttrs:
    assert isinstance(node.attrs, ConvTransposeAttrs)
    return node.attrs


def _refusal(node: Node, builder: ProgramBuilder) -> str | None:
    if node.output.type.dtype is not DType.F32:
        return f"elements are {node.output.type.dtype.value}, not f32"
    if not node.output.type.layout.is_blocked or not node.input(0).type.layout.is_blocked:
        return "its input or output is in plain layout"
    kind = _attrs(node).activation.kind
    if kind not in ACTIVATIONS or kind == "prelu":
        return f"the epilogue has no {kind}"
    return None


@dataclass(frozen=True, slots=True)
class _Shapes:
    """A transposed convolution as the kernel sees it: spatial triples, windows, channel blocks."""

    result: tuple[Dim, Dim, Dim]
    kernel: tuple[int, int, int]
    strides: tuple[int, int, int]
    dilations: tuple[int, int, int]
    begins: tuple[Dim, Dim, Dim]
    lanes: int
    blocks_in: int
    blocks_out: int


def _shapes(node: Node) -> _Shapes:
    x, w, y = node.input(0).type, node.input(1).type, node.output.type
    window = transpose_window(_attrs(node), x.shape, w.shape)
    channels, out_channels = x.shape[1], y.shape[1]
    assert isinstance(channels, int) and isinstance(out_channels, int)
    lanes = y.layout.block
    return _Shapes(
        volume(y.shape[2:], 1),
        known_volume(w.shape[2:], 1),
        known_volume(window.strides, 1),
        known_volume(window.dilations, 1),
        volume(window.begins, 0),
        lanes,
        x.layout.physical_channels(channels) // lanes,
        y.layout.physical_channels(out_channels) // lanes,
    )


def _tilings(node: Node, builder: ProgramBuilder, count: int) -> Sequence[tuple[float, ConvTiling]]:
    shapes = _shapes(node)
    kernel, strides = shapes.kernel, shapes.strides
    # Every phase is a stride-1 convolution over a map that is smaller by the stride, with some of the taps.
    phase = (typical(shapes.result[0]), *(_phase_size(shapes.result, strides, axis) for axis in (1, 2)))
    taps = (kernel[0], -(-kernel[1] // strides[1]), -(-kernel[2] // strides[2]))
    ranked = rank_conv_tilings(
        phase,
        taps,
        (1, 1, 1),
        shapes.dilations,
        max(1, shapes.blocks_in // _attrs(node).group),
        shapes.blocks_out,
        shapes.lanes,
        batch=typical(node.output.type.shape[0], 1),
        count=count,
        wide=builder.numerics.wide_sums,
    )
    phases = strides[1] * strides[2]
    return [(cost * phases, tiling) for cost, tiling in ranked]


def _emit(node: Node, builder: ProgramBuilder, tiling: ConvTiling) -> None:
    attrs, x, y = _attrs(node), node.input(0).type, node.output.type
    shapes = _shapes(node)
    lanes = shapes.lanes
    weights, channels = node.input(1).array, x.shape[1]
    assert weights is not None and isinstance(channels, int)
    packed = pack_weights(
        as_convolution(weights, attrs.group), lanes, tiling.blocks, attrs.group, x.layout.lanes(channels)
    )
    bias = node.optional(2)
    buffers: dict[str, BufferArg | int] = {
        "x": builder.argument(node.input(0), gaps=True),
        "weights": BufferArg(builder.constant(packed.weights, f"{node.name}.weights")),
        "segments": BufferArg(builder.constant(packed.segments, f"{node.name}.segments")),
        "bias": BufferArg(builder.constant(channel_lanes(None if bias is None else bias.array, y), "bias")),
        "residual": 0,
        "slopes": 0,
    }
    buffers["y"] = builder.result(node.output, gaps=True)
    sizes: dict[str, Dim] = {"N": y.shape[0], "XB": shapes.blocks_in, "YB": shapes.blocks_out}
    sizes |= sizes_of("D H W", volume(x.shape[2:], 1)) | sizes_of("OD OH OW", shapes.result)
    sizes |= sizes_of("KD KH KW", shapes.kernel) | sizes_of("SD SH SW", shapes.strides)
    sizes |= sizes_of("DD DH DW", shapes.dilations) | sizes_of("PD PH PW", shapes.begins)
    sizes |= {"x_gap": builder.gap(node.input(0)), "y_gap": builder.gap(node.output), "residual_gap": 0}
    sizes |= {"segment_count": packed.segment_count, "segment_rows": len(packed.segments)}
    sizes |= {"weight_floats": packed.weights.size, "row_tiles": tiling.row_tiles}
    sizes |= {"column_tiles": tiling.column_tiles, "oc_tiles": tiling.oc_tiles}
    variant = Variant.of(
        "conv_transpose.f32.blocked",
        rows=tiling.rows,
        columns=tiling.columns,
        blocks=tiling.blocks,
        lanes=lanes,
        activation=attrs.activation.kind,
        residual=0,
        **builder.numerics.sum_params,
    )
    builder.kernel_step(node, [builder.call(variant, buffers, sizes | activation_bits(attrs.activation))])


def _phase_size(result: Sequence[Dim], strides: Sequence[int], axis: int) -> int:
    return typical(ceil_div(result[axis], strides[axis]))


RULES = {"conv_transpose": (TiledRule("conv_transpose.f32.blocked", ConvTiling, _refusal, _tilings, _emit),)}
