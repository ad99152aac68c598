"""Register tiles and work items of ``conv.f32.blocked.pointwise``, ranked by estimated cost. Pure functions of sizes.

Costs count vector multiply-adds, as in ``conv_tiling``.
"""

from __future__ import annotations

from dataclasses import dataclass

from cnnc.runtime.cpu.conv_tiling import sum_registers
from cnnc.runtime.cpu.work_division import divides_pixels

_SLABS = (256 << 10, 128 << 10, 512 << 10)  # input of a slab; the first is a quarter of a usual L2 cache
_ITEMS = 64  # work items a layer should have, if it has as many tiles: threads are done at the same time

_COPYING_ITEMS = 16  # the same for layers that copy their input, of which every item reads its weights
_COPYING_PIXELS = 112  # their items of no more are not divided

_WAIT = 0.1
"""How much of an item's time a layer takes longer, as its last items are not done at the same time."""

_CROSSING = 17.0
"""Multiply-adds in the time that a thread takes to read or write a vector that the other one has in its cache. It does
for the pixels that are not in the same half of this layer and its neighbours, because slabs cannot halve the map."""

_LATENCY = 5
"""Multiply-adds that a tile must hold per input channel to hide their latency, where one starts in each cycle."""

_COPYING_BLOCKS = 4
"""Blocks of output channels of a work item that copies its input, at least: the copy then takes 3 % of its time."""

_COPIED_VECTOR = 2.0
"""Multiply-adds in the time of copying a vector, for the pixels of an image that fill no tile."""


@dataclass(frozen=True, slots=True)
class PointwiseTiling:
    """Register tile (columns: pixels, blocks: of output channels), pixel tiles of a slab, tiles of a work item.

    Slabs are computed one after the other, as one of them, with all its channels, fits the L2 cache.
    """

    columns: int
    blocks: int
    slab_tiles: int
    pixel_tiles: int
    oc_tiles: int


def tail_halves(out_channels: int, blocks: int, lanes: int) -> int:
    """Half vectors of output channels in the last of the tiles of ``blocks`` vectors; 0 where it is as full as all.

    Vectors of four lanes are not halved.
    """
    halves = -(-out_channels * 2 // lanes) if lanes > 4 else -(-out_channels // lanes) * 2
    return halves % (2 * blocks)


def choose_pointwise_tiling(
    pixels: int, ic_blocks: int, out_channels: int, lanes: int, batch: int = 1
) -> PointwiseTiling:
    """The first of ``rank_pointwise_tilings``."""
    return rank_pointwise_tilings(pixels, ic_blocks, out_channels, lanes, batch)[0][1]


def rank_pointwise_tilings(
    pixels: int,
    ic_blocks: int,
    out_channels: int,
    lanes: int,
    batch: int = 1,
    count: int = 1,
    wide: bool = False,
    copies: bool = False,
) -> list[tuple[float, PointwiseTiling]]:
    """Up to ``count`` tilings; ``pixels`` is the size of one image's map. ``wide``: sums are float64. ``copies``: each
    work item copies its input, as with a prologue."""
    pixels = max(pixels, 1)
    oc_blocks = -(-out_channels // lanes)
    make = _copying_tiling if copies else _tiling
    found: list[tuple[float, PointwiseTiling]] = []
    for blocks in range(1, min(4, oc_blocks) + 1):
        for columns in range(1, min(pixels, most_columns(blocks, lanes, wide)) + 1):
            tiling = make(pixels, ic_blocks, oc_blocks, lanes, batch, (columns, blocks), _SLABS[0])
            found.append((_cost(pixels, ic_blocks, out_channels, lanes, batch, tiling), tiling))
    found.sort(key=lambda item: (item[0], -item[1].columns))
    _, first = found[0]
    tile = (first.columns, first.blocks)
    for slab in _SLABS[1:]:
        other = make(pixels, ic_blocks, oc_blocks, lanes, batch, tile, slab)
        if other != first:
            found.insert(1, (_cost(pixels, ic_blocks, out_channels, lanes, batch, other), other))
    scale = batch * ic_blocks * lanes
    return [(cost * scale, tiling) for cost, tiling in found[:count]]


def most_columns(blocks: int, lanes: int, wide: bool = False) -> int:
    """Of tiles whose sums fit the registers, together with the weights of an input channel."""
    if lanes == 16 and not wide:
        return 30 // blocks - 1 if blocks > 1 else 28
    return sum_registers(lanes, wide) // blocks


def _tiling(
    pixels: int,
    ic_blocks: int,
    oc_blocks: int,
    lanes: int,
    batch: int,
    tile: tuple[int, int],
    slab_bytes: int,
) -> PointwiseTiling:
    """Work items of tiles of (columns, blocks): a slab's input fits ``slab_bytes``, and items are many."""
    columns, blocks = tile
    all_tiles, all_oc_tiles = -(-pixels // columns), -(-oc_blocks // blocks)
    most = max(1, min(all_tiles, slab_bytes // (ic_blocks * columns * lanes * 4)))
    slabs = -(-all_tiles // most)
    if batch * slabs % 2 and (slabs > 1 or divides_pixels(pixels, ic_blocks * lanes, oc_blocks * lanes)):
        slabs = min(slabs + 1, all_tiles)
    slab_tiles = -(-all_tiles // slabs)
    groups = -(-_ITEMS // (batch * slabs * all_oc_tiles))
    return PointwiseTiling(columns, blocks, slab_tiles, max(1, slab_tiles // groups), 1)


def _copying_tiling(
    pixels: int,
    ic_blocks: int,
    oc_blocks: int,
    lanes: int,
    batch: int,
    tile: tuple[int, int],
    slab_bytes: int,
) -> PointwiseTiling:
    """As ``_tiling``, of items that copy their input: fewer, each of a slab and of several blocks of channels."""
    columns, blocks = tile
    all_tiles, all_oc_tiles = -(-pixels // columns), -(-oc_blocks // blocks)
    slab_tiles = max(1, min(all_tiles, slab_bytes // (ic_blocks * columns * lanes * 4)))
    slab_tiles = -(-all_tiles // -(-all_tiles // slab_tiles))  # slabs of even size
    while slab_tiles > 1 and batch * -(-all_tiles // slab_tiles) < _COPYING_ITEMS // 2:
        slab_tiles = -(-slab_tiles // 2)
    oc_tiles = all_oc_tiles

    def items() -> int:
        return batch * -(-all_tiles // slab_tiles) * -(-all_oc_tiles // oc_tiles)

    while oc_tiles > 1 and items() < _COPYING_ITEMS and -(-oc_tiles // 2) * blocks >= _COPYING_BLOCKS:
        oc_tiles = -(-oc_tiles // 2)
    while slab_tiles > 1 and slab_tiles * columns > _COPYING_PIXELS and items() < _COPYING_ITEMS:
        slab_tiles = -(-slab_tiles // 2)
    return PointwiseTiling(columns, blocks, slab_tiles, slab_tiles, oc_tiles)


def _cost(pixels: int, ic_blocks: int, out_channels: int, lanes: int, batch: int, tiling: PointwiseTiling) -> float:
    """Multiply-adds in the time that one image takes, for one input channel."""
    columns, blocks = tiling.columns, tiling.blocks
    tail = tail_halves(out_channels, blocks, lanes)
    all_tiles, all_oc_tiles = -(-pixels // columns), -(-out_channels // (lanes * blocks))
    whole = (all_oc_tiles - 1 if tail else all_oc_tiles) * channel_cost(columns, blocks, lanes)
    step = whole + (channel_cost(columns, tail / 2, lanes) if tail else 0.0)
    oc_groups = -(-all_oc_tiles // tiling.oc_tiles)
    copied = pixels % columns * _COPIED_VECTOR / lanes * oc_groups
    slabs = -(-all_tiles // tiling.slab_tiles)
    items = batch * slabs * -(-tiling.slab_tiles // tiling.pixel_tiles) * oc_groups
    crossing = 0.0
    if batch % 2 and slabs > 1:
        vectors = ic_blocks + -(-out_channels // lanes)
        pixels_apart = abs(slabs // 2 * tiling.slab_tiles * columns - pixels / 2)
        crossing = pixels_apart * vectors * _CROSSING / (ic_blocks * lanes)
    return (all_tiles * step + copied) * (1.0 + _WAIT / items) + crossing


def channel_cost(columns: int, vectors: float, lanes: int) -> float:
    """Multiply-adds in the time that a tile takes for one input channel.

    With 16 lanes a multiply-add takes its broadcast operand from memory; with fewer, two vectors share each broadcast.
    """
    if lanes < 16:
        return max(columns * vectors, 8.0, (columns + vectors) * 1.25) + 1.0 + 0.25 * vectors
    return max(columns * vectors, _LATENCY) + 0.1 + 0.25 * vectors
