"""Transposed convolutions on GPUs: one implicit GEMM over all phases of their outputs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from cnnc.dims import Dim, ceil_div, product
from cnnc.ir import Node
from cnnc.lower.builder import ProgramBuilder
from cnnc.lower.cuda.conv import NAME, Buffers, Sizes, groups_refusal, product_calls
from cnnc.lower.rules import TiledRule
from cnnc.lower.spatial import activation_bits, channel_lanes, known_volume, sizes_of, typical, volume
from cnnc.ops.conv import ConvTransposeAttrs, transpose_window
from cnnc.runtime.cpu.activation import ACTIVATIONS
from cnnc.runtime.cpu.conv_transpose import as_convolution
from cnnc.runtime.cpu.prologue import PROLOGUE_BUFFERS, PROLOGUE_SIZES
from cnnc.runtime.cuda.conv_packing import InputBlocks
from cnnc.runtime.cuda.conv_phases import pack_phases, phase_dilation
from cnnc.runtime.cuda.conv_tiling import GemmLayer, GemmTiling, rank_gemm_tilings
from cnnc.runtime.cuda.device_facts import facts_of
from cnnc.runtime.cuda.register_tile import tile_params
from cnnc.runtime.cuda.target import LANES
from cnnc.runtime.kernel import Variant
from cnnc.runtime.program import BufferArg
from cnnc.types import DType


def transpose_attrs(node: Node) -> ConvTransposeAttrs:
    """The node's attributes, which are a transposed convolution's."""
    assert isinstance(node.attrs, ConvTransposeAttrs)
    return node.attrs


def transpose_refusal(node: Node) -> str | None:
    """What kernels for transposed convolutions need."""
    if node.output.type.dtype is not DType.F32:
        return f"elements are {node.output.type.dtype.value}, not f32"
    if not node.output.type.layout.is_blocked or not node.input(0).type.layout.is_blocked:
        return "its input or output is in plain layout"
    if node.output.type.layout.pieces:
        return "its output channels lie in several pieces"
    kind = transpose_attrs(node).activation.kind
    if kind not in ACTIVATIONS or kind == "prelu":
        return f"the epilogue has no {kind}"
    return None


def transpose_begins(node: Node) -> tuple[Dim, Dim, Dim]:
    """Pads at the beginning along three axes."""
    window = transpose_window(transpose_attrs(node), node.input(0).type.shape, node.input(1).type.shape)
    return volume(window.begins, 0)


def transpose_steps(node: Node) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """(strides, dilations) along three axes."""
    window = transpose_window(transpose_attrs(node), node.input(0).type.shape, node.input(1).type.shape)
    return known_volume(window.strides, 1), known_volume(window.dilations, 1)


def transpose_source(node: Node) -> InputBlocks:
    """The blocks of the input."""
    layout, channels = node.input(0).type.layout, node.input(0).type.shape[1]
    assert isinstance(channels, int)
    return InputBlocks(tuple(layout.lanes(channels)), transpose_attrs(node).group)


def _refusal(node: Node, builder: ProgramBuilder) -> str | None:
    return transpose_refusal(node) or product_refusal(node)


def product_refusal(node: Node) -> str | None:
    """Why phases are no products of whole blocks with weights that can be packed."""
    if not all(isinstance(begin, int) for begin in transpose_begins(node)):
        return "its padding is not known"
    channels = node.output.type.shape[1]
    assert isinstance(channels, int)
    return groups_refusal(transpose_source(node), channels)


def _tilings(node: Node, builder: ProgramBuilder, count: int) -> Sequence[tuple[float, GemmTiling]]:
    x, y, source = node.input(0).type, node.output.type, transpose_source(node)
    strides, _ = transpose_steps(node)
    weights, channels = node.input(1).array, y.shape[1]
    assert weights is not None and isinstance(channels, int)
    images, phases = typical(y.shape[0], 1), math.prod(strides)
    outputs = [typical(ceil_div(size, stride)) for size, stride in zip(volume(y.shape[2:], 1), strides)]
    y_lanes = y.layout.physical_channels(channels)
    pixels = images * math.prod(outputs)
    moved = images * typical(product(x.shape[2:])) * source.blocks * source.groups * LANES
    layer = GemmLayer(
        source.groups * phases,
        y_lanes // source.groups,
        pixels,
        -(-math.prod(weights.shape[2:]) // phases) * source.blocks,
        4 * (moved + pixels * phases * y_lanes),
        weights.nbytes,
    )
    return rank_gemm_tilings(layer, facts_of(builder.target), count)


def _emit(node: Node, builder: ProgramBuilder, tiling: GemmTiling) -> None:
    attrs, x, y, source = transpose_attrs(node), node.input(0).type, node.output.type, transpose_source(node)
    weights, channels = node.input(1).array, y.shape[1]
    assert weights is not None and isinstance(channels, int)
    strides, dilations = transpose_steps(node)
    begins = [begin for begin in transpose_begins(node) if isinstance(begin, int)]
    turned = as_convolution(weights, attrs.group)
    turned = turned.reshape(*turned.shape[:2], *known_volume(weights.shape[2:], 1))
    phases = pack_phases(turned, source, tiling.tile.channels, strides, dilations, begins)
    bias = node.optional(2)
    buffers: Buffers = {
        "x": builder.argument(node.input(0), gaps=True),
        "weights": BufferArg(builder.constant(phases.weights, f"{node.name}.weights")),
        "phases": BufferArg(builder.constant(phases.table, f"{node.name}.phases")),
        "bias": BufferArg(builder.constant(channel_lanes(None if bias is None else bias.array, y), "bias")),
        **dict.fromkeys(("slopes", "residual", *PROLOGUE_BUFFERS), 0),
    }
    buffers["y"] = builder.result(node.output, gaps=True)
    sizes: Sizes = {"N": y.shape[0], "XB": source.blocks * source.groups}
    sizes["YB"] = y.layout.physical_channels(channels) // LANES
    sizes |= sizes_of("D H W", volume(x.shape[2:], 1)) | sizes_of("OD OH OW", volume(y.shape[2:], 1))
    sizes |= sizes_of("KD KH KW", (1, 1, 1)) | sizes_of("SD SH SW", strides) | sizes_of("PD PH PW", (0, 0, 0))
    sizes |= sizes_of("DD DH DW", [phase_dilation(*facts) for facts in zip(strides, dilations)])
    sizes |= {"x_gap": builder.gap(node.input(0)), "y_gap": builder.gap(node.output), "residual_gap": 0}
    sizes |= {"groups": source.groups, "phase_count": len(phases.table), "weight_floats": phases.weights.size}
    sizes |= dict.fromkeys(PROLOGUE_SIZES, 0)
    axes = 3 if len(y.shape) == 5 else 2
    options: dict[str, int | str] = {"axes": axes, "phased": 1, "activation": attrs.activation.kind, "residual": 0}
    sizes |= activation_bits(attrs.activation)
    variant = Variant.of(NAME, **tile_params(tiling.tile), **options)
    builder.kernel_step(node, product_calls(node, builder, variant, tiling.splits, source, buffers, sizes))


RULES = {"conv_transpose": (TiledRule(NAME, GemmTiling, _refusal, _tilings, _emit),)}
