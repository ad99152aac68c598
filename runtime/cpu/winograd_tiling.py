"""Variants, register tiles and work items of ``conv.f32.blocked.winograd`` and of that for bytes, by estimated cost.

As in ``conv_tiling``: pure functions of sizes, costs in vector multiply-adds. What a transform costs, and what share of
the bandwidths is reached, was measured on one core of an AMD EPYC (Zen 4, AVX-512).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from cnnc.runtime.cpu.conv_tiling import rank_register_tiles
from cnnc.runtime.cpu.machine import USUAL_MACHINE, Machine

_NEAR_SHARE = 0.45  # of the third-level cache's bandwidth that reaches the multiply-adds
_FAR_SHARE = 0.7  # of memory's, while other cores read too
_HIDDEN = 0.7  # share of such transfers that multiply-adds hide, or that hides them
_TRANSFORM = 8.0  # multiply-adds that one position of a tile costs, in either transform
_BYTE_TRANSFORMS = 4.0, 10.0  # the same for bytes, in the input and in the output transform
_GROUPS = (28, 50, 100, 200)  # about so many tiles a group are tried, and all tiles
_CHUNKS = (4, 8, 16)  # blocks of output channels of a chunk that are tried, and all blocks
_MOST_PARTS = 16  # items that share a group of tiles
_THREADS = (1, 2, 3, 4)  # over which the time of a layer is averaged: items should be many, and of equal size
_MOST_ITEMS = 64
_MOST_TAPS_TILES, _MOST_TAPS_ROWS = 8, 6  # of tiles that transform weights: beyond, others are better, or the code long
_TAPS_STEP = 5.0  # multiply-adds in the time of what such a tile does beside them for an input channel
_WAIT = 0.25  # share of an item for which threads wait for the last one, beside what their numbers of items differ by


@dataclass(frozen=True, slots=True)
class WinogradTiling:
    """Outputs of a Winograd tile, register tile (columns Winograd tiles, blocks of output channels), tiles per item.

    column_tiles, chunk_tiles, oc_tiles, taps: as in ``conv_winograd``.
    """

    out_rows: int
    out_columns: int
    columns: int
    blocks: int
    column_tiles: int
    chunk_tiles: int
    oc_tiles: int
    taps: int = 0


@dataclass(frozen=True, slots=True)
class WinogradLayer:
    """What the cost of a layer depends on.

    Args:
        output: depth, height, width of the result.
        window: of the filter, depth first.
        dilation: of height and width.
        ic_blocks: blocks of input channels that an output channel reads.
        oc_blocks: blocks of output channels.
        bytes_: whether the tensors hold bytes, and transformed inputs int16.
        machine: what a core moves while it multiplies.
    """

    batch: int
    output: tuple[int, int, int]
    window: tuple[int, int, int]
    dilation: tuple[int, int]
    ic_blocks: int
    oc_blocks: int
    lanes: int
    bytes_: bool = False
    machine: Machine = USUAL_MACHINE

    @property
    def words(self) -> int:
        """32-bit words of a pixel of transformed inputs in one channel block: a step of the register tile each."""
        return self.lanes // 2 if self.bytes_ else self.lanes


def rank_winograd_tilings(
    layer: WinogradLayer, variants: Sequence[tuple[int, int]], count: int = 1
) -> list[tuple[float, WinogradTiling]]:
    """Up to ``count`` tilings: the best of each variant (outputs of a tile) by rising cost, then the others."""
    best = [_rank_variant(layer, outputs) for outputs in variants]
    best.sort(key=lambda ranked: ranked[0][0])
    found = [ranked[0] for ranked in best] + [item for ranked in best for item in ranked[1:]]
    return found[:count]


# Networks repeat their layers.
@lru_cache(maxsize=256)
def _rank_variant(layer: WinogradLayer, outputs: tuple[int, int]) -> tuple[tuple[float, WinogradTiling], ...]:
    tiles = layer.batch
    for size, dilation, made in zip(layer.output[1:], layer.dilation, outputs):
        tiles *= dilation * -(-max(size, 1) // (dilation * made))
    scores: dict[WinogradTiling, float] = {}
    works: dict[WinogradTiling, float] = {}
    for wanted in (*_GROUPS, tiles):
        group = -(-tiles // max(1, round(tiles / wanted)))
        for cost, columns, blocks, taps in _register_tiles(layer, outputs, group):
            oc_tiles = layer.oc_blocks // blocks
            chunks = {1} if taps else {min(max(c // blocks, 1), oc_tiles) for c in (*_CHUNKS, layer.oc_blocks)}
            for chunk in sorted(chunks):
                tiling = WinogradTiling(*outputs, columns, blocks, -(-group // columns), chunk, oc_tiles, taps)
                products, inputs, rest = _work(layer, tiling, tiles, group, cost)
                groups = layer.output[0] * -(-tiles // group)
                largest = groups * group / (layer.output[0] * tiles)
                score, item = min(
                    (time_on_threads(products + rest, inputs, (groups, largest), (oc_tiles, item)), -item)
                    for item in {-(-oc_tiles // parts) for parts in range(1, _MOST_PARTS + 1)}
                    if item == oc_tiles or groups * -(-oc_tiles // item) <= _MOST_ITEMS
                )
                chunk_tiles = min(chunk, -item)
                tiling = replace(tiling, oc_tiles=-(item // chunk_tiles) * chunk_tiles, chunk_tiles=chunk_tiles)
                scores[tiling], works[tiling] = score, products + inputs + rest
    return tuple((works[tiling], tiling) for tiling in sorted(scores, key=scores.__getitem__))


def _register_tiles(layer: WinogradLayer, outputs: tuple[int, int], group: int) -> list[tuple[float, int, int, int]]:
    """Register tiles as (cost, columns, blocks, taps); costs are of all positions for one input word and block."""
    _, window_rows, window_columns = layer.window
    rows, columns = outputs[0] + window_rows - 1, outputs[1] + window_columns - 1
    ranked = rank_register_tiles(group, layer.oc_blocks, layer.lanes)[:2]
    found = [(rows * columns * cost, *tile, 0) for cost, tile in ranked]
    if not layer.bytes_ and layer.lanes == 16 and group <= _MOST_TAPS_TILES and rows <= _MOST_TAPS_ROWS:
        # Beside the sums: combined taps, transformed taps of a pair of positions, a constant.
        tiles = min(group, (32 - window_columns - 3) // columns)
        combined = (window_rows - 1) * window_columns * max(rows - 2, 0)
        transformed = rows * window_columns * (columns - 2) / 2
        steps = -(-group // tiles)
        found.append((steps * (rows * (columns * tiles + _TAPS_STEP) + combined + transformed), tiles, 1, 1))
    return found


def time_on_threads(work: float, inputs: float, groups: tuple[int, float], channels: tuple[int, int]) -> float:
    """Time of a layer on several threads times their number, averaged over numbers of threads.

    A thread transforms the inputs of each group of tiles that it has an item of.

    Args:
        groups: their number, and the size of the largest over the mean.
        channels: tiles of output channels, and how many of them an item has.
    """
    count, largest = groups
    parts = -(-channels[0] // channels[1])
    total = 0.0
    for threads in _THREADS:
        items = -(-count * parts // threads)
        share = min(items * largest * channels[1] / (count * channels[0]), 1.0)
        waiting = _WAIT / (count * parts) if threads > 1 else 0.0
        total += threads * ((share + waiting) * work + min(-(-items // parts) * largest / count, 1.0) * inputs)
    return total / len(_THREADS)


def _work(
    layer: WinogradLayer, tiling: WinogradTiling, tiles: int, group: int, tile_cost: float
) -> tuple[float, float, float]:
    """Multiply-adds of products with what they wait for memory, of the input and of the output transform."""
    rows, columns = tiling.out_rows + layer.window[1] - 1, tiling.out_columns + layer.window[2] - 1
    positions, planes, block_bytes = rows * columns, layer.ic_blocks * layer.window[0], layer.lanes * 4
    groups = layer.output[0] * -(-tiles // group)
    products = groups * tile_cost * planes * layer.words * layer.oc_blocks
    input_cost, output_cost = _BYTE_TRANSFORMS if layer.bytes_ else (_TRANSFORM, _TRANSFORM)
    inputs = layer.output[0] * tiles * positions * input_cost * planes
    outputs = layer.output[0] * tiles * positions * output_cost * layer.oc_blocks

    chunk_blocks = tiling.chunk_tiles * tiling.blocks
    chunks = -(-layer.oc_blocks // chunk_blocks)
    sets = layer.window[1] * layer.window[2] if tiling.taps else positions
    weights = sets * planes * layer.words * layer.oc_blocks * block_bytes
    v, m = positions * planes * group * layer.words * 4, positions * chunk_blocks * group * block_bytes
    machine, cache, near = layer.machine, layer.machine.l2_bytes, 0.0
    if weights + v + m > cache:
        near += (groups - 1) * weights
    if v > cache // 2:
        near += groups * v * (1 + chunks)
    if v + m > cache:
        near += groups * m * 2 * chunks
    transfers = weights / (_FAR_SHARE * machine.memory_bytes_per_fma(layer.lanes))
    transfers += near / (_NEAR_SHARE * machine.l3_bytes_per_fma(layer.lanes))
    waiting = max(products, transfers) + (1 - _HIDDEN) * min(products, transfers) - products
    return products, inputs, outputs + waiting
