"""q_linear_conv with 3x3 windows by Winograd's method in integers: exact, so every level of optimization may use it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cnnc.dims import Dim
from cnnc.ir import Node
from cnnc.lower.builder import ProgramBuilder
from cnnc.lower.conv import window_sizes
from cnnc.lower.conv_winograd import WINDOW_SIZES
from cnnc.lower.quantized_conv import (
    blocked_refusal,
    element_params,
    input_lanes,
    layer_constants,
    packed_operands,
    padding_word,
    quantized_attrs,
    quantized_shapes,
)
from cnnc.lower.rules import TiledRule
from cnnc.lower.spatial import typical
from cnnc.ops.quantized_layer import QuantizedLayer
from cnnc.runtime.cpu.winograd_integers import MOST_OUTPUTS, WINDOW, result_limit
from cnnc.runtime.cpu.winograd_packing import pack_integer_winograd
from cnnc.runtime.cpu.winograd_tiling import WinogradLayer, WinogradTiling, rank_winograd_tilings
from cnnc.runtime.jit.target import has_byte_products
from cnnc.runtime.kernel import Target, Variant

NAME = "conv.u8.blocked.winograd"
_LARGEST_BYTE = 255
_PAIRS_OF_A_QUAD = 2
"""Steps of a pair of int16 products in the time of a step of four byte products, where no instruction has those."""
_MOST_RANKED = 1000  # tilings, of which all are ranked


def _refusal(node: Node, builder: ProgramBuilder) -> str | None:
    reason = blocked_refusal(node, builder)
    if reason is not None:
        return reason
    shapes = quantized_shapes(node)
    if shapes.kernel != (1, WINDOW, WINDOW):
        return "its window is not 3x3"
    if shapes.strides[1:] != (1, 1):
        return "it has a stride"
    if node.input(3).type.shape[1] == 1:
        return "it is one channel a group"
    if not _variants(node):
        return "its sums may be too large for the scale of Winograd's integers"
    return None


def _variants(node: Node) -> list[tuple[int, int]]:
    """Outputs of a tile for which all results are exact."""
    largest = _largest_sum(layer_constants(node))
    made = [(outputs, outputs) for outputs in range(MOST_OUTPUTS, 1, -1)]
    return [outputs for outputs in made if largest < result_limit(outputs)]


def _largest_sum(layer: QuantizedLayer) -> int:
    """The largest magnitude that a sum with its bias can have, whatever the inputs are."""
    weights, bias = layer.weights.reshape(len(layer.bias), -1).astype(np.int64), layer.bias.astype(np.int64)
    highest = bias + np.maximum(weights, 0).sum(1) * _LARGEST_BYTE
    lowest = bias + np.minimum(weights, 0).sum(1) * _LARGEST_BYTE
    return int(max(highest.max(initial=0), -lowest.min(initial=0)))


def _is_allowed(node: Node, builder: ProgramBuilder, tiling: WinogradTiling) -> bool:
    return (tiling.out_rows, tiling.out_columns) in _variants(node)


def _tilings(node: Node, builder: ProgramBuilder, count: int) -> Sequence[tuple[float, WinogradTiling]]:
    shapes = quantized_shapes(node)
    depth, height, width = (typical(size) for size in shapes.result)
    layer = WinogradLayer(
        typical(node.output.type.shape[0], 1),
        (depth, height, width),
        shapes.kernel,
        shapes.dilations[1:],
        max(1, shapes.blocks_in // quantized_attrs(node).group),
        shapes.blocks_out,
        shapes.lanes,
        bytes_=True,
        machine=builder.machine,
    )
    ranked = rank_winograd_tilings(layer, _variants(node), _MOST_RANKED)
    if has_byte_products(builder.target):
        return ranked[:count]
    return [(cost / _PAIRS_OF_A_QUAD, tile) for cost, tile in ranked if _fits(tile, builder.target)][:count]


def _fits(tile: WinogradTiling, target: Target) -> bool:
    """Whether sums, weights, a broadcast and a product fit the registers, where no instruction adds products."""
    return (tile.columns + 1) * tile.blocks + 2 <= (32 if target.lanes == 16 else 16)


def _emit(node: Node, builder: ProgramBuilder, tiling: WinogradTiling) -> None:
    shapes = quantized_shapes(node)
    packed = pack_integer_winograd(
        layer_constants(node).weights.reshape(shapes.out_channels, -1, WINDOW, WINDOW),
        (tiling.out_rows, tiling.out_columns),
        shapes.lanes,
        tiling.blocks,
        tiling.chunk_tiles,
        quantized_attrs(node).group,
        input_lanes(node),
    )
    buffers, sizes = packed_operands(node, builder, shapes, packed)
    window: dict[str, Dim] = window_sizes(shapes)
    sizes |= {name: window[name] for name in WINDOW_SIZES} | {"fill": padding_word(node)}
    sizes |= {"column_tiles": tiling.column_tiles, "chunk_tiles": tiling.chunk_tiles, "oc_tiles": tiling.oc_tiles}
    variant = Variant.of(
        NAME,
        out_rows=tiling.out_rows,
        out_columns=tiling.out_columns,
        window_rows=WINDOW,
        window_columns=WINDOW,
        columns=tiling.columns,
        blocks=tiling.blocks,
        lanes=shapes.lanes,
        **element_params(node),
    )
    builder.kernel_step(node, [builder.call(variant, buffers, sizes)])


RULES = {"q_linear_conv": (TiledRule(NAME, WinogradTiling, _refusal, _tilings, _emit, allows=_is_allowed),)}
