"""Convolutions on GPUs with weights that are mostly zeros: whether products by lists are worth it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cnnc.dims import Dim, product
from cnnc.ir import Array, Node
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
    window_sizes,
)
from cnnc.lower.conv_sparse import density_refusal
from cnnc.lower.cuda.conv import SUM, window_axes
from cnnc.lower.rules import TiledRule
from cnnc.lower.spatial import activation_bits, typical
from cnnc.runtime.cpu.sparse_packing import channel_rows
from cnnc.runtime.cuda.conv_sparse import NAME, SIZES
from cnnc.runtime.cuda.device_facts import facts_of
from cnnc.runtime.cuda.sparse_packing import SparseTile, pack_sparse
from cnnc.runtime.cuda.sparse_tiling import CHANNELS, SparseLayer, rank_sparse_tiles
from cnnc.runtime.cuda.target import LANES
from cnnc.runtime.kernel import Variant
from cnnc.runtime.program import BufferArg

_SHARES = (1, 2, 4)


def _refusal(node: Node, builder: ProgramBuilder) -> str | None:
    reason = dense_refusal(node)
    if reason is not None:
        return reason
    if conv_attrs(node).group != 1:
        return "it has groups"
    if input_lanes(node) is None:
        return "its input is in plain layout"
    weights = constant_array(node, 1)
    assert weights is not None
    return density_refusal(weights)


def _rows(node: Node, weights: Array) -> Array:
    """[OC, channel blocks of the input, taps, LANES], zeros in lanes without a channel."""
    return channel_rows(weights, LANES, conv_shapes(node).blocks_in, input_lanes(node))


def _taken(kept: Array, channels: int) -> int:
    """Places that any of so many neighbouring output channels reads, all such runs together."""
    runs = np.logical_or.reduceat(kept, np.arange(0, len(kept), channels), axis=0)
    return int(np.count_nonzero(runs))


def _layer(node: Node) -> SparseLayer:
    weights, shapes = constant_array(node, 1), conv_shapes(node)
    assert weights is not None
    kept: Array = _rows(node, weights) != 0
    reads: Array = np.logical_or.reduce(kept, axis=3)
    entries = tuple((share, _taken(kept, share)) for share in _SHARES)
    groups = tuple((channels, _taken(reads, channels)) for channels in CHANNELS)
    images = typical(node.output.type.shape[0], 1)
    pixels = max(1, images * typical(product(shapes.result)))
    moved = images * typical(product(shapes.source)) * shapes.blocks_in
    moved += pixels * shapes.blocks_out * (2 if node.optional(3) is not None else 1)
    return SparseLayer(shapes.blocks_out, pixels, entries, groups, 4 * LANES * moved)


def _tilings(node: Node, builder: ProgramBuilder, count: int) -> Sequence[tuple[float, SparseTile]]:
    layer = builder.once(("sparse layer", node), lambda: _layer(node))
    return rank_sparse_tiles(layer, facts_of(builder.target), count)


def _emit(node: Node, builder: ProgramBuilder, tile: SparseTile) -> None:
    shapes, weights = conv_shapes(node), constant_array(node, 1)
    assert weights is not None
    offsets = np.array(list(np.ndindex(*shapes.kernel))) * np.array(shapes.dilations)
    tables = pack_sparse(_rows(node, weights), offsets, tile)
    buffers: dict[str, BufferArg | int] = {
        "x": builder.argument(node.input(0), gaps=True),
        "records": BufferArg(builder.constant(tables.records, f"{node.name}.records")),
        "index": BufferArg(builder.constant(tables.index, f"{node.name}.index")),
        "groups": BufferArg(builder.constant(tables.groups, f"{node.name}.groups")),
        "tiles": BufferArg(builder.constant(tables.tiles, f"{node.name}.tiles")),
        **epilogue_buffers(node, builder),
    }
    buffers["y"] = builder.result(node.output, gaps=True)
    sizes: dict[str, Dim] = {"N": node.output.type.shape[0], "XB": shapes.blocks_in, "YB": shapes.blocks_out}
    sizes |= window_sizes(shapes) | gap_sizes(node, builder) | activation_bits(conv_attrs(node).activation)
    sizes |= {"record_count": len(tables.records) - 1, "row_count": len(tables.index)}
    sizes |= {"group_count": len(tables.groups), "splits": tile.splits}
    own = {name: sizes[name] for name in SIZES}
    params = {"share": tile.share, "vectors": tile.vectors, "warps": tile.warps}
    params |= {"window": int(window_axes(node, shapes) > 0), "lanes": LANES}
    epilogue = epilogue_params(node)
    if tile.splits == 1:
        variant = Variant.of(NAME, partial=0, **params, **epilogue)
        builder.kernel_step(node, [builder.call(variant, buffers, own)])
        return
    pixels = product(shapes.result)
    workspace = BufferArg(
        builder.temporary(f"{node.name}.partial", 4 * LANES * tile.splits * shapes.blocks_out * sizes["N"] * pixels)
    )
    alone = {**buffers, "y": workspace, "bias": 0, "slopes": 0, "residual": 0}
    summed = {name: buffers[name] for name in ("y", "bias", "slopes", "residual")} | {"partial": workspace}
    sums = {name: sizes[name] for name in ("N", "YB", "splits", "y_gap", "residual_gap", "alpha", "beta")}
    partial = Variant.of(NAME, partial=1, **params, activation="none", residual=0)
    calls = [
        builder.call(partial, alone, {**own, "y_gap": 0, "residual_gap": 0}),
        builder.call(Variant.of(SUM, **epilogue), summed, {**sums, "pixels": pixels}),
    ]
    builder.kernel_step(node, calls)


RULES = {"conv": (TiledRule(NAME, SparseTile, _refusal, _tilings, _emit),)}
