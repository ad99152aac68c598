"""1x1 convolutions by Strassen's method: where it may be used."""

from __future__ import annotations

from collections.abc import Sequence

from cnnc.dims import Dim, product
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
    input_lanes,
)
from cnnc.lower.conv_prologue import prologue_buffers, prologue_params, prologue_sizes
from cnnc.lower.error_budget import may_err_by
from cnnc.lower.rules import TiledRule
from cnnc.lower.spatial import activation_bits, typical
from cnnc.ops.conv import GATE
from cnnc.runtime.cpu.strassen_error import strassen_error
from cnnc.runtime.cpu.strassen_packing import pack_strassen
from cnnc.runtime.cpu.strassen_products import HALVES
from cnnc.runtime.cpu.strassen_tiling import StrassenLayer, StrassenTiling, rank_strassen_tilings
from cnnc.runtime.kernel import Variant
from cnnc.runtime.program import BufferArg

NAME = "conv.f32.blocked.strassen"


def _refusal(node: Node, builder: ProgramBuilder) -> str | None:
    choice = builder.numerics.strassen
    if choice == "off":
        return "Strassen's method is off"
    reason = dense_refusal(node, takes_prologue=True)
    if reason is not None:
        return reason
    if conv_attrs(node).group != 1:
        return "it has groups"
    if node.optional(GATE) is not None:
        return "its input has a gate"
    lanes = input_lanes(node)
    if lanes is None:
        return "its input is in plain layout"
    shapes = conv_shapes(node)
    if not (shapes.is_pointwise or _is_strided(node)):
        return "it has a window or padding"
    unit = HALVES * shapes.lanes
    if shapes.out_channels % unit or len(lanes) % unit or list(lanes) != list(range(len(lanes))):
        return f"its channels cannot be halved: they do not fill pairs of blocks of {shapes.lanes}"
    if choice == "auto" and not may_err_by(strassen_error(len(lanes)), node, builder):
        return "its rounding errors could exceed the network's share"
    return None


def _is_strided(node: Node) -> bool:
    """Whether it is a 1x1 convolution of maps that takes every so many rows and columns."""
    shapes = conv_shapes(node)
    taken = tuple((size - 1) // stride + 1 for size, stride in zip(shapes.source, shapes.strides))
    is_map = shapes.source[0] == 1 == shapes.strides[0]
    return is_map and shapes.kernel == (1, 1, 1) and shapes.begins == (0, 0, 0) and shapes.result == taken


def _tilings(node: Node, builder: ProgramBuilder, count: int) -> Sequence[tuple[float, StrassenTiling]]:
    shapes = conv_shapes(node)
    batch, pixels = typical(node.output.type.shape[0], 1), typical(product(shapes.result))
    blocks, copies = (shapes.blocks_in, shapes.blocks_out), not shapes.is_pointwise
    layer = StrassenLayer(batch, pixels, *blocks, shapes.lanes, builder.machine, copies)
    return rank_strassen_tilings(layer, count)


def _emit(node: Node, builder: ProgramBuilder, tiling: StrassenTiling) -> None:
    shapes = conv_shapes(node)
    weights = constant_array(node, 1)
    assert weights is not None
    packed = pack_strassen(weights, shapes.lanes, tiling.blocks)
    buffers: dict[str, BufferArg | int] = {
        "x": builder.argument(node.input(0), gaps=True),
        "weights": BufferArg(builder.constant(packed, f"{node.name}.weights")),
        **epilogue_buffers(node, builder),
        **prologue_buffers(node, builder),
    }
    buffers["y"] = builder.result(node.output, gaps=True)
    sizes: dict[str, Dim] = {"N": node.output.type.shape[0], "XB": shapes.blocks_in, "YB": shapes.blocks_out}
    pixels = product(shapes.result)
    sizes |= {"pixels": pixels, "x_pixels": product(shapes.source), "weight_floats": packed.size}
    sizes |= {"row_pixels": pixels, "row_step": 0, "column_step": 1}
    if not shapes.is_pointwise:
        row_step = shapes.strides[1] * shapes.source[2]
        sizes |= {"row_pixels": shapes.result[2], "row_step": row_step, "column_step": shapes.strides[2]}
    sizes |= {"pixel_tiles": tiling.pixel_tiles, "oc_tiles": tiling.oc_tiles}
    sizes |= gap_sizes(node, builder) | activation_bits(conv_attrs(node).activation) | prologue_sizes(node, builder)
    variant = Variant.of(
        NAME,
        columns=tiling.columns,
        blocks=tiling.blocks,
        lanes=shapes.lanes,
        **({} if shapes.is_pointwise else {"strided": 1}),
        **epilogue_params(node),
        **prologue_params(node),
    )
    builder.kernel_step(node, [builder.call(variant, buffers, sizes)])


def _insists(builder: ProgramBuilder) -> bool:
    return builder.numerics.strassen == "on"


RULES = {"conv": (TiledRule(NAME, StrassenTiling, _refusal, _tilings, _emit, _insists),)}
