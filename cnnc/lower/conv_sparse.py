"""Convolutions with weights that are mostly zeros: whether products by lists are worth it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from cnnc.dims import Dim, product
from cnnc.ir import Array, Node
from cnnc.lower.builder import ProgramBuilder
from cnnc.lower.conv import (
    ConvShapes,
    constant_array,
    conv_attrs,
    conv_shapes,
    dense_refusal,
    epilogue_buffers,
    epilogue_params,
    gap_sizes,
    input_lanes,
    window_sizes,
)
from cnnc.lower.conv_prologue import prologue_buffers, prologue_params, prologue_sizes
from cnnc.lower.rules import TiledRule
from cnnc.lower.spatial import activation_bits, typical
from cnnc.runtime.cpu.sparse_packing import WORD_BYTES, channel_rows, pack_sparse
from cnnc.runtime.cpu.sparse_tiling import (
    FLOAT_COSTS,
    SparseCosts,
    SparseLayer,
    SparseTiling,
    last_pixels,
    rank_sparse_tilings,
)
from cnnc.runtime.cpu.tile_table import CHAIN
from cnnc.runtime.kernel import Variant
from cnnc.runtime.program import BufferArg

NAME = "conv.f32.blocked.sparse"

MOST_DENSE = 0.75
"""Share of non-zero weights from which dense kernels are faster on any CPU; entries need not be counted."""

_SHARES = (1, 2, 4)
"""Output channels with one list, doubling."""


def _refusal(node: Node, builder: ProgramBuilder) -> str | None:
    reason = dense_refusal(node, takes_prologue=True)
    if reason is not None:
        return reason
    if conv_attrs(node).group != 1:
        return "it has groups"
    if input_lanes(node) is None:
        return "its input is in plain layout"
    if builder.numerics.wide_sums:
        return "its sums are float64 at this level"
    weights = constant_array(node, 1)
    assert weights is not None
    return density_refusal(weights)


def density_refusal(weights: Array) -> str | None:
    """Why lists of so many weights are not worth counting."""
    density = np.count_nonzero(weights) / max(1, weights.size)
    return f"{density:.0%} of its weights are not zero" if density > MOST_DENSE else None


def _rows(node: Node) -> Array:
    """The weights as ``channel_rows`` gives them."""
    weights, shapes = constant_array(node, 1), conv_shapes(node)
    assert weights is not None
    return channel_rows(weights, shapes.lanes, shapes.blocks_in, input_lanes(node))


def sparse_layer(node: Node, shapes: ConvShapes, rows: Array, costs: SparseCosts) -> SparseLayer:
    """What tilings are ranked by; ``rows`` as ``channel_rows`` gives them, or whether they are not zero."""
    kept: Array = np.zeros((shapes.blocks_out * shapes.lanes, rows[0].size), bool)
    kept[: len(rows)] = (rows != 0).reshape(len(rows), -1)
    entries = [(1, int(np.count_nonzero(kept)))]
    taken = kept
    for share in _SHARES[1:]:
        if shapes.lanes % share == 0:
            taken = np.logical_or(taken[::2], taken[1::2])
            entries.append((share, int(np.count_nonzero(taken))))
    groups = kept.reshape(-1, *rows.shape[1:]).any(axis=(0, 3))
    return SparseLayer(
        typical(node.output.type.shape[0], 1),
        max(1, typical(product(shapes.result))),
        math.prod(shapes.kernel),
        int(np.count_nonzero(groups)),
        rows.shape[3],
        shapes.blocks_out,
        shapes.lanes,
        tuple(entries),
        costs,
    )


def _tilings(node: Node, builder: ProgramBuilder, count: int) -> Sequence[tuple[float, SparseTiling]]:
    weights, shapes = constant_array(node, 1), conv_shapes(node)
    assert weights is not None
    kept = channel_rows(weights != 0, shapes.lanes, shapes.blocks_in, input_lanes(node))
    return rank_sparse_tilings(sparse_layer(node, shapes, kept, FLOAT_COSTS), count)


def sparse_operands(
    node: Node, builder: ProgramBuilder, shapes: ConvShapes, rows: Array, tiling: SparseTiling, chain: int = CHAIN
) -> tuple[dict[str, BufferArg | int], dict[str, Dim]]:
    """Buffers and sizes that the kernels of all element types share: input, lists, window."""
    row_bytes = tiling.vectors * shapes.lanes * WORD_BYTES
    packed = pack_sparse(rows, shapes.lanes, shapes.blocks_out, row_bytes, tiling.share, tiling.part_groups, chain)
    buffers: dict[str, BufferArg | int] = {
        "x": builder.argument(node.input(0), gaps=True),
        "entries": BufferArg(builder.constant(packed.entries, f"{node.name}.entries")),
        "index": BufferArg(builder.constant(packed.index, f"{node.name}.index")),
        "groups": BufferArg(builder.constant(packed.groups, f"{node.name}.groups")),
    }
    sizes: dict[str, Dim] = {"N": node.output.type.shape[0], "XB": shapes.blocks_in, "YB": shapes.blocks_out}
    sizes |= window_sizes(shapes) | {"group_count": len(packed.groups), "parts": packed.parts}
    return buffers, sizes | {"entry_words": packed.entries.size, "oc_blocks": tiling.oc_blocks}


def tile_params(shapes: ConvShapes, tiling: SparseTiling, narrows: bool) -> dict[str, int | str]:
    """Variant parameters of the tile; ``narrows`` as ``last_pixels`` takes it."""
    params: dict[str, int | str] = {"vectors": tiling.vectors, "share": tiling.share, "lanes": shapes.lanes}
    pixels, whole = product(shapes.result), tiling.vectors * shapes.lanes
    last = last_pixels(pixels, tiling.vectors, shapes.lanes, narrows) if isinstance(pixels, int) else whole
    return params | ({"last": last} if last != whole else {})


def _emit(node: Node, builder: ProgramBuilder, tiling: SparseTiling) -> None:
    shapes = conv_shapes(node)
    buffers, sizes = sparse_operands(node, builder, shapes, _rows(node), tiling)
    buffers |= epilogue_buffers(node, builder) | prologue_buffers(node, builder)
    buffers["y"] = builder.result(node.output, gaps=True)
    sizes |= gap_sizes(node, builder) | activation_bits(conv_attrs(node).activation) | prologue_sizes(node, builder)
    sizes |= {"fill": 0}
    variant = Variant.of(
        NAME,
        **tile_params(shapes, tiling, FLOAT_COSTS.narrows),
        **epilogue_params(node),
        **prologue_params(node),
    )
    builder.kernel_step(node, [builder.call(variant, buffers, sizes)])


RULES = {"conv": (TiledRule(NAME, SparseTiling, _refusal, _tilings, _emit),)}
