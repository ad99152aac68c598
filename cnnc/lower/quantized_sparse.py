"""q_linear_conv with weights that are mostly zeros: products by lists of words of four weights.

Sums are exact, so every level of optimization may use it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cnnc.ir import Array, Node
from cnnc.lower.builder import ProgramBuilder
from cnnc.lower.conv_sparse import density_refusal, sparse_layer, sparse_operands, tile_params
from cnnc.lower.quantized_conv import (
    blocked_refusal,
    element_params,
    epilogue_buffers,
    epilogue_sizes,
    fits_registers,
    input_lanes,
    layer_constants,
    padding_word,
    quantized_attrs,
    quantized_shapes,
)
from cnnc.lower.rules import TiledRule
from cnnc.runtime.cpu.sparse_packing import channel_rows
from cnnc.runtime.cpu.sparse_tiling import BYTE_COSTS, SparseTiling, rank_sparse_tilings
from cnnc.runtime.kernel import Variant

NAME = "conv.u8.blocked.sparse"
_ANY_LENGTH = np.iinfo(np.int32).max  # of a chain of exact sums
_MOST_RANKED = 1000  # tilings, of which all are ranked


def _refusal(node: Node, builder: ProgramBuilder) -> str | None:
    reason = blocked_refusal(node, builder)
    if reason is not None:
        return reason
    if quantized_attrs(node).group != 1:
        return "it has groups"
    return density_refusal(layer_constants(node).weights)


def _rows(node: Node) -> Array:
    """The weights as ``channel_rows`` gives them."""
    shapes = quantized_shapes(node)
    return channel_rows(layer_constants(node).weights, shapes.lanes, shapes.blocks_in, input_lanes(node))


def _tilings(node: Node, builder: ProgramBuilder, count: int) -> Sequence[tuple[float, SparseTiling]]:
    layer = sparse_layer(node, quantized_shapes(node), _rows(node), BYTE_COSTS)
    ranked = rank_sparse_tilings(layer, _MOST_RANKED)
    return [(cost, tile) for cost, tile in ranked if fits_registers(tile.vectors, tile.share, builder.target)][:count]


def _emit(node: Node, builder: ProgramBuilder, tiling: SparseTiling) -> None:
    shapes = quantized_shapes(node)
    buffers, sizes = sparse_operands(node, builder, shapes, _rows(node), tiling, _ANY_LENGTH)
    buffers |= epilogue_buffers(node, builder, shapes) | {"input_scale": 0, "input_shift": 0}
    buffers["y"] = builder.result(node.output, gaps=True)
    sizes |= epilogue_sizes(node, builder) | {"fill": padding_word(node)}
    sizes |= {"input_alpha": 0, "input_beta": 0, "input_image": 0}
    variant = Variant.of(NAME, **tile_params(shapes, tiling, BYTE_COSTS.narrows), **element_params(node))
    builder.kernel_step(node, [builder.call(variant, buffers, sizes)])


RULES = {"q_linear_conv": (TiledRule(NAME, SparseTiling, _refusal, _tilings, _emit),)}
