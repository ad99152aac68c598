"""Convolutions by Winograd's method: where it may be used, and with which outputs a tile."""

from __future__ import annotations

from collections.abc import Sequence

from cnnc.dims import Dim
from cnnc.ir import Node
from cnnc.lower.builder import ProgramBuilder
from cnnc.lower.conv import (
    block_refusal,
    constant_array,
    conv_attrs,
    conv_shapes,
    depthwise_refusal,
    epilogue_params,
    input_lanes,
    packed_operands,
    window_sizes,
)
from cnnc.lower.error_budget import may_err_by
from cnnc.lower.rules import TiledRule
from cnnc.lower.spatial import typical
from cnnc.runtime.cpu.machine import Machine
from cnnc.runtime.cpu.tile_table import CHAIN
from cnnc.runtime.cpu.winograd_error import winograd_error
from cnnc.runtime.cpu.winograd_matrices import MOST_PRODUCTS
from cnnc.runtime.cpu.winograd_packing import pack_taps, pack_winograd
from cnnc.runtime.cpu.winograd_tiling import WinogradLayer, WinogradTiling, rank_winograd_tilings
from cnnc.runtime.kernel import Variant

NAME = "conv.f32.blocked.winograd"
_OUTPUTS = {"f2": (2,), "f4": (4,), "auto": (4, 3, 2)}
"""Outputs of a tile along an axis by choice; fewer if there are no points for so many with the window."""
WINDOW_SIZES = "D H W OD OH OW KD SD DD DH DW PD PH PW".split()
"""What the kernel takes of ``window_sizes``."""


def method_refusal(node: Node, builder: ProgramBuilder) -> str | None:
    """Why Winograd's method cannot compute the node, whatever its rounding errors; None if it can."""
    if builder.numerics.winograd == "off":
        return "Winograd is off"
    if depthwise_refusal(node, builder) is None:
        return "it is one filter a channel"
    reason = block_refusal(node, builder)
    if reason is not None:
        return reason
    if not node.input(0).type.layout.is_blocked:
        return "its input is in plain layout"
    shapes = conv_shapes(node)
    if shapes.strides[1:] != (1, 1):
        return "it has a stride"
    if shapes.kernel[1:] == (1, 1):
        return "its window is 1x1"
    if max(shapes.kernel[1:]) >= MOST_PRODUCTS:
        return f"its window is larger than {MOST_PRODUCTS - 1}"
    return None


def _refusal(node: Node, builder: ProgramBuilder) -> str | None:
    reason = method_refusal(node, builder)
    if reason is None and not exact_outputs(node, builder):
        return "its rounding errors could exceed the network's share"
    return reason


def exact_outputs(
    node: Node, builder: ProgramBuilder, chain: int = CHAIN, most_products: int = MOST_PRODUCTS
) -> list[tuple[int, int]]:
    """Rows and columns that the outputs of a tile may have; axes without a window have one.

    Args:
        chain: products that a kernel adds up one after the other.
        most_products: of a tile along an axis.
    """
    window, weights = conv_shapes(node).kernel[1:], constant_array(node, 1)
    assert weights is not None
    products = weights.shape[1] * conv_shapes(node).kernel[0]
    found: dict[tuple[int, int], None] = {}
    for most in most_outputs(builder):
        rows, columns = (1 if size == 1 else min(most, most_products + 1 - size) for size in window)
        error = winograd_error((rows, columns), window, products, chain)
        if builder.numerics.winograd != "auto" or may_err_by(error, node, builder):
            found[rows, columns] = None
    return list(found)


def most_outputs(builder: ProgramBuilder) -> Sequence[int]:
    """Outputs of a tile along an axis that the option allows."""
    return _OUTPUTS[builder.numerics.winograd]


def _is_allowed(node: Node, builder: ProgramBuilder, tiling: WinogradTiling) -> bool:
    return (tiling.out_rows, tiling.out_columns) in exact_outputs(node, builder)


def _layer(node: Node, machine: Machine) -> WinogradLayer:
    shapes = conv_shapes(node)
    depth, height, width = (typical(size) for size in shapes.result)
    return WinogradLayer(
        typical(node.output.type.shape[0], 1),
        (depth, height, width),
        shapes.kernel,
        shapes.dilations[1:],
        max(1, shapes.blocks_in // conv_attrs(node).group),
        shapes.blocks_out,
        shapes.lanes,
        machine=machine,
    )


def _tilings(node: Node, builder: ProgramBuilder, count: int) -> Sequence[tuple[float, WinogradTiling]]:
    return rank_winograd_tilings(_layer(node, builder.machine), exact_outputs(node, builder), count)


def _emit(node: Node, builder: ProgramBuilder, tiling: WinogradTiling) -> None:
    shapes = conv_shapes(node)
    weights = constant_array(node, 1)
    assert weights is not None
    outputs = tiling.out_rows, tiling.out_columns
    weights = weights.reshape(*weights.shape[:2], *shapes.kernel)
    groups = conv_attrs(node).group
    if tiling.taps:
        packed = pack_taps(weights, shapes.lanes, tiling.blocks, groups, input_lanes(node))
    else:
        packed = pack_winograd(
            weights, outputs, shapes.lanes, tiling.blocks, tiling.chunk_tiles, groups, input_lanes(node)
        )
    buffers, sizes = packed_operands(node, builder, shapes, packed)
    window: dict[str, Dim] = window_sizes(shapes)
    sizes |= {name: window[name] for name in WINDOW_SIZES} | {"fill": 0}
    sizes |= {"column_tiles": tiling.column_tiles, "chunk_tiles": tiling.chunk_tiles, "oc_tiles": tiling.oc_tiles}
    variant = Variant.of(
        NAME,
        out_rows=tiling.out_rows,
        out_columns=tiling.out_columns,
        window_rows=shapes.kernel[1],
        window_columns=shapes.kernel[2],
        columns=tiling.columns,
        blocks=tiling.blocks,
        lanes=shapes.lanes,
        **({"taps": 1} if tiling.taps else {}),
        **epilogue_params(node),
    )
    builder.kernel_step(node, [builder.call(variant, buffers, sizes)])


def insists_on_winograd(builder: ProgramBuilder) -> bool:
    return builder.numerics.winograd in ("f2", "f4")


RULES = {"conv": (TiledRule(NAME, WinogradTiling, _refusal, _tilings, _emit, insists_on_winograd, _is_allowed),)}
