"""Variants and register tiles of ``conv.f32.blocked.plain_winograd``, ranked by estimated cost in multiply-adds.

As in ``conv_tiling``: pure functions of sizes. What a transform costs was measured on one core of an AMD EPYC (Zen 4,
AVX-512).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cnnc.runtime.cpu.conv_plain_winograd import phase_taps
from cnnc.runtime.cpu.conv_tiling import rank_register_tiles, tile_edge
from cnnc.runtime.cpu.window_parts import Axis

_TRANSFORM = 5.0  # multiply-adds that a vector of one position costs, in either transform
_MOVE = 1.5  # that a float of the input costs on its way to its plane
_ITEMS = 16  # work items that a layer should have at least, for several threads


@dataclass(frozen=True, slots=True)
class PlainWinogradTiling:
    """Outputs of a Winograd tile, register tile (columns Winograd tiles, blocks of output channels), rows per item."""

    outputs: int
    columns: int
    blocks: int
    item_rows: int


def rank_plain_winograd_tilings(
    axes: tuple[Axis, Axis, Axis],
    batch: int,
    channels: int,
    oc_blocks: int,
    lanes: int,
    variants: Sequence[int],
    count: int = 1,
) -> list[tuple[float, PlainWinogradTiling]]:
    """Up to ``count`` tilings by rising cost; ``variants`` are the outputs that a tile may have."""
    depth, height, width = axes
    rows, planes = max(height.result, 1), batch * max(depth.result, 1)
    item_rows = max(1, min(rows, planes * rows // _ITEMS))
    sums = channels * depth.window * height.window * width.stride  # products of a position
    slab = (item_rows - 1) * height.stride + height.window
    ranked = []
    for outputs in variants:
        tiles = -(-max(width.result, 1) // outputs)
        positions = outputs + phase_taps(width.window, width.stride) - 1
        inputs = tiles * outputs * _MOVE + -(-tiles // lanes) * positions * _TRANSFORM
        inputs *= channels * depth.window * slab * width.stride
        for cost, (columns, blocks) in rank_register_tiles(tiles, oc_blocks, lanes)[:2]:
            edges = -(-tiles // columns) * tile_edge(1, columns, blocks) / blocks
            row = oc_blocks * (positions * (cost * sums + edges) + tiles * positions * _TRANSFORM)
            total = planes * (rows * row + -(-rows // item_rows) * inputs)
            ranked.append((total, PlainWinogradTiling(outputs, columns, blocks, item_rows)))
    return sorted(ranked, key=lambda item: item[0])[:count]
