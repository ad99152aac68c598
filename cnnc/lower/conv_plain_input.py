"""Convolutions of a plain input of known size, which is what a model's first one has."""

from __future__ import annotations

from collections.abc import Sequence

from cnnc.dims import Dim
from cnnc.ir import Node
from cnnc.lower.builder import ProgramBuilder
from cnnc.lower.conv import (
    constant_array,
    conv_attrs,
    conv_shapes,
    dense_refusal,
    epilogue_buffers,
    epilogue_params,
    gap_sizes,
    window_sizes,
)
from cnnc.lower.conv_window import conv_axes
from cnnc.lower.rules import TiledRule
from cnnc.lower.spatial import activation_bits, typical
from cnnc.runtime.cpu.conv_plain_input import pack_plain_input
from cnnc.runtime.cpu.conv_tiling import ConvTiling
from cnnc.runtime.cpu.window_parts import format_places, tile_places
from cnnc.runtime.cpu.window_tiling import WindowLayer, rank_plain_tilings
from cnnc.runtime.kernel import Variant
from cnnc.runtime.program import BufferArg

_MOST_TAPS = 11
"""Of a window row: they are unrolled."""


def _refusal(node: Node, builder: ProgramBuilder) -> str | None:
    reason = dense_refusal(node)
    if reason is not None:
        return reason
    if node.input(0).type.layout.is_blocked:
        return "its input is in blocked layout"
    if conv_attrs(node).group != 1:
        return "it has several groups"
    if builder.numerics.wide_sums:
        return "its sums are float64"
    shapes = conv_shapes(node)
    if not all(isinstance(size, int) for size in (*shapes.source, *shapes.result, *shapes.begins)):
        return "the size of its map is not known"
    if shapes.kernel[2] > _MOST_TAPS:
        return f"its window is more than {_MOST_TAPS} wide"
    return None


def _tilings(node: Node, builder: ProgramBuilder, count: int) -> Sequence[tuple[float, ConvTiling]]:
    shapes = conv_shapes(node)
    batch = typical(node.output.type.shape[0], 1)
    layer = WindowLayer(conv_axes(node), batch, shapes.blocks_in, shapes.blocks_out, shapes.lanes)
    return rank_plain_tilings(layer, count)


def _emit(node: Node, builder: ProgramBuilder, tiling: ConvTiling) -> None:
    shapes = conv_shapes(node)
    weights = constant_array(node, 1)
    assert weights is not None
    packed = pack_plain_input(weights, shapes.lanes, tiling.blocks)
    buffers: dict[str, BufferArg | int] = {
        "x": builder.argument(node.input(0), gaps=True),
        "weights": BufferArg(builder.constant(packed, f"{node.name}.weights")),
        **epilogue_buffers(node, builder),
    }
    buffers["y"] = builder.result(node.output, gaps=True)
    sizes: dict[str, Dim] = {"N": node.output.type.shape[0], "C": shapes.blocks_in, "YB": shapes.blocks_out}
    sizes |= {"item_rows": tiling.row_tiles, "oc_tiles": tiling.oc_tiles}
    sizes |= window_sizes(shapes) | gap_sizes(node, builder) | activation_bits(conv_attrs(node).activation)
    variant = Variant.of(
        "conv.f32.blocked.plain_input",
        columns=tiling.columns,
        blocks=tiling.blocks,
        stride=shapes.strides[2],
        dilation=shapes.dilations[2],
        places=format_places(tile_places(conv_axes(node)[2], tiling.columns)),
        lanes=shapes.lanes,
        **epilogue_params(node),
    )
    builder.kernel_step(node, [builder.call(variant, buffers, sizes)])


RULES = {"conv": (TiledRule("conv.f32.blocked.plain_input", ConvTiling, _refusal, _tilings, _emit),)}
