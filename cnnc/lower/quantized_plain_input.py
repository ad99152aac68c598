"""q_linear_conv of a plain image, in quads of neighbouring columns."""

from __future__ import annotations

from collections.abc import Sequence

from cnnc.dims import Dim
from cnnc.ir import Node
from cnnc.lower.builder import ProgramBuilder
from cnnc.lower.conv import window_sizes
from cnnc.lower.quantized_conv import (
    element_params,
    epilogue_buffers,
    epilogue_sizes,
    fits_registers,
    layer_constants,
    quantized_shapes,
)
from cnnc.lower.rules import TiledRule
from cnnc.lower.spatial import typical
from cnnc.ops.blocking import plain_bytes_refusal
from cnnc.ops.quantized_layer import quantized_conv
from cnnc.runtime.cpu.conv_plain_input_bytes import NAME, pack_plain_input_bytes, quads_of
from cnnc.runtime.cpu.conv_tiling import ConvTiling, rank_conv_tilings
from cnnc.runtime.kernel import Variant
from cnnc.runtime.program import BufferArg

_MOST_RANKED = 1000  # tilings, of which all are ranked


def plain_input_refusal(node: Node, builder: ProgramBuilder) -> str | None:
    """Why a convolution does not read its input as a plain image of bytes."""
    layer = quantized_conv(node)
    if isinstance(layer, str):
        return layer
    if node.input(0).type.layout.is_blocked:
        return f"%{node.input(0).name} is in blocked layout"
    if not node.output.type.layout.is_blocked:
        return f"%{node.output.name} is in plain layout"
    return plain_bytes_refusal(node, layer)


def _tilings(node: Node, builder: ProgramBuilder, count: int) -> Sequence[tuple[float, ConvTiling]]:
    shapes = quantized_shapes(node)
    ranked = rank_conv_tilings(
        [typical(size) for size in shapes.result],
        (1, shapes.kernel[1], quads_of(shapes.kernel[2])),
        shapes.strides,
        shapes.dilations,
        shapes.blocks_in,
        shapes.blocks_out,
        shapes.lanes,
        1,
        typical(node.output.type.shape[0], 1),
        _MOST_RANKED,
    )
    return [
        (cost, tile) for cost, tile in ranked if fits_registers(tile.rows * tile.columns, tile.blocks, builder.target)
    ][:count]


def _emit(node: Node, builder: ProgramBuilder, tiling: ConvTiling) -> None:
    shapes, layer = quantized_shapes(node), layer_constants(node)
    packed = pack_plain_input_bytes(layer.weights, shapes.lanes, tiling.blocks)
    buffers: dict[str, BufferArg | int] = {
        "x": builder.argument(node.input(0), gaps=True),
        "weights": BufferArg(builder.constant(packed, f"{node.name}.weights")),
        **epilogue_buffers(node, builder, shapes),
    }
    buffers["y"] = builder.result(node.output, gaps=True)
    window = window_sizes(shapes)
    sizes: dict[str, Dim] = {"N": node.output.type.shape[0], "C": shapes.blocks_in, "YB": shapes.blocks_out}
    sizes |= {name: window[name] for name in ("H", "W", "OH", "OW", "KH", "SH", "SW", "DH", "PH", "PW")}
    sizes |= {"QW": quads_of(shapes.kernel[2]), "row_tiles": tiling.row_tiles, "oc_tiles": tiling.oc_tiles}
    sizes |= {"fill": layer.x_zero & 255} | epilogue_sizes(node, builder)
    variant = Variant.of(
        NAME,
        rows=tiling.rows,
        columns=tiling.columns,
        blocks=tiling.blocks,
        stride=shapes.strides[2],
        lanes=shapes.lanes,
        **element_params(node),
    )
    builder.kernel_step(node, [builder.call(variant, buffers, sizes)])


RULES = {"q_linear_conv": (TiledRule(NAME, ConvTiling, plain_input_refusal, _tilings, _emit),)}
