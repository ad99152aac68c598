"""Convolutions by Winograd's method on GPUs: three launches, with transformed inputs and sums between them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cnnc.dims import Dim
from cnnc.ir import Node
from cnnc.lower.builder import ProgramBuilder
from cnnc.lower.conv import (
    constant_array,
    conv_attrs,
    conv_shapes,
    epilogue_buffers,
    epilogue_params,
    gap_sizes,
    input_lanes,
    window_sizes,
)
from cnnc.lower.conv_winograd import exact_outputs, insists_on_winograd, method_refusal
from cnnc.lower.rules import TiledRule
from cnnc.lower.spatial import activation_bits, typical
from cnnc.runtime.cuda import conv_winograd_input, conv_winograd_output, conv_winograd_products
from cnnc.runtime.cuda.device_facts import facts_of
from cnnc.runtime.cuda.register_tile import DEPTH, tile_params
from cnnc.runtime.cuda.target import LANES
from cnnc.runtime.cuda.winograd_shape import WinogradShape, m_bytes, pack_winograd, v_bytes
from cnnc.runtime.cuda.winograd_tiling import MOST_PRODUCTS, WinogradLayer, WinogradTiling, rank_winograd_tilings
from cnnc.runtime.kernel import KernelDef, Params, Variant
from cnnc.runtime.program import BufferArg, Call

NAME = "conv.f32.winograd"


def _refusal(node: Node, builder: ProgramBuilder) -> str | None:
    reason = method_refusal(node, builder)
    if reason is not None:
        return reason
    if conv_attrs(node).group != 1:
        return "it has groups"
    if max(conv_shapes(node).kernel[1:]) >= MOST_PRODUCTS:
        return f"its window is larger than {MOST_PRODUCTS - 1}"
    if not _outputs(node, builder):
        return "its rounding errors could exceed the network's share"
    return None


def _channels(node: Node) -> int:
    channels = node.input(0).type.shape[1]
    assert isinstance(channels, int)
    return channels


def _outputs(node: Node, builder: ProgramBuilder) -> list[tuple[int, int]]:
    """Products of all channels are added up in one chain."""
    return exact_outputs(node, builder, _channels(node) * conv_shapes(node).kernel[0], MOST_PRODUCTS)


def _is_allowed(node: Node, builder: ProgramBuilder, tiling: WinogradTiling) -> bool:
    return (tiling.out_rows, tiling.out_columns) in _outputs(node, builder)


def _tilings(node: Node, builder: ProgramBuilder, count: int) -> Sequence[tuple[float, WinogradTiling]]:
    shapes = conv_shapes(node)
    depth, height, width = (typical(size) for size in shapes.result)
    layer = WinogradLayer(
        typical(node.output.type.shape[0], 1),
        typical(shapes.source[0]),
        (depth, height, width),
        shapes.kernel,
        shapes.dilations[1:],
        _channels(node),
        shapes.blocks_out,
    )
    return rank_winograd_tilings(layer, _outputs(node, builder), facts_of(builder.target), count)


def _emit(node: Node, builder: ProgramBuilder, tiling: WinogradTiling) -> None:
    shapes, channels, tile = conv_shapes(node), _channels(node), tiling.block_tile
    shape = WinogradShape(tiling.out_rows, tiling.out_columns, *shapes.kernel[1:])
    weights, lanes = constant_array(node, 1), input_lanes(node)
    assert weights is not None and lanes is not None
    packed = pack_winograd(weights.reshape(*weights.shape[:2], *shapes.kernel), shape, tile.channels)
    rows = np.full(shapes.blocks_in * LANES, -1, np.int32)
    rows[np.asarray(lanes)] = np.arange(channels)

    images = node.output.type.shape[0]
    x, epilogue = builder.argument(node.input(0), gaps=True), epilogue_buffers(node, builder)
    y = builder.result(node.output, gaps=True)
    sizes: dict[str, Dim] = window_sizes(shapes) | gap_sizes(node, builder)
    sizes |= activation_bits(conv_attrs(node).activation)
    sizes |= {"N": images, "XB": shapes.blocks_in, "YB": shapes.blocks_out, "channels": channels}
    sizes["positions"] = shape.positions
    plane = sizes["plane_columns"] = shape.plane_columns(sizes)
    v_size = v_bytes(shape.positions, channels, images * sizes["D"], plane)
    m_size = m_bytes(shape.positions, shapes.blocks_out, images * sizes["OD"] * plane)
    v = BufferArg(builder.temporary(f"{node.name}.transformed", v_size))
    m = BufferArg(builder.temporary(f"{node.name}.products", m_size))

    def call(kernel: KernelDef, params: Params, buffers: dict[str, BufferArg | int]) -> Call:
        return builder.call(Variant.of(kernel.name, **params), buffers, {name: sizes[name] for name in kernel.sizes})

    sees_other_planes = (shapes.kernel[0], shapes.strides[0], shapes.begins[0]) != (1, 1, 0)
    products: Params = {
        **tile_params(tile),
        "depth": int(sees_other_planes),
        "tail": int(channels % DEPTH != 0),
    }
    lane_rows = BufferArg(builder.constant(rows, f"{node.name}.rows"))
    u = BufferArg(builder.constant(packed, f"{node.name}.weights"))
    calls = [
        call(conv_winograd_input.KERNEL, shape.params, {"v": v, "x": x, "rows": lane_rows}),
        call(conv_winograd_products.KERNEL, products, {"m": m, "v": v, "weights": u}),
        call(
            conv_winograd_output.KERNEL,
            {**shape.params, **epilogue_params(node), "lanes": shapes.lanes},
            {"m": m, "y": y, **epilogue},
        ),
    ]
    builder.kernel_step(node, calls)


RULES = {"conv": (TiledRule(NAME, WinogradTiling, _refusal, _tilings, _emit, insists_on_winograd, _is_allowed),)}
