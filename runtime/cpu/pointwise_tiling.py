"""Register tiles and work items of ``conv.f32.blocked.pointwise``, ranked by estimated cost. Pure functions of sizes.

Costs count vector multiply-adds, as in ``conv_tiling``.
"""

from __future__ import annotations

from cnnc.runtime.cpu.conv_tiling import ConvTiling, sum_registers

_SLABS = (256 << 10, 128 << 10, 512 << 10)  # input of one work item; the first is a quarter of a usual L2 cache
_ITEMS = 16  # work items a layer should have at least, for several threads

_ITEM_PIXELS = 112  # an item of no more is not divided, as every item reads its weights

_WAIT = 0.3
"""How much of an item's time a layer takes longer, as its last items are not done at the same time."""

_LATENCY = 5
"""Multiply-adds that a tile must hold per input channel to hide their latency, where one starts in each cycle."""

_COPYING_BLOCKS = 4
"""Blocks of output channels of a work item that copies its input, at least: the copy then takes 3 % of its time."""

_COPIED_VECTOR = 2.0
"""Multiply-adds in the time of copying a vector, for the pixels of an image that fill no tile."""


def tail_halves(out_channels: int, blocks: int, lanes: int) -> int:
    """Half vectors of output channels in the last of the tiles of ``blocks`` vectors; 0 where it is as full as all.

    Vectors of four lanes are not halved.
    """
    halves = -(-out_channels * 2 // lanes) if lanes > 4 else -(-out_channels // lanes) * 2
    return halves % (2 * blocks)


def choose_pointwise_tiling(pixels: int, ic_blocks: int, out_channels: int, lanes: int, batch: int = 1) -> ConvTiling:
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
) -> list[tuple[float, ConvTiling]]:
    """Up to ``count`` tilings; ``pixels`` is the size of one image's map. ``wide``: sums are float64. ``copies``: each
    work item copies its input, as with a prologue."""
    pixels = max(pixels, 1)
    oc_blocks = -(-out_channels // lanes)
    found: list[tuple[float, ConvTiling]] = []
    for blocks in range(1, min(4, oc_blocks) + 1):
        for columns in range(1, min(pixels, most_columns(blocks, lanes, wide)) + 1):
            tiling = _tiling(pixels, ic_blocks, oc_blocks, lanes, batch, (columns, blocks), _SLABS[0], copies)
            found.append((_cost(pixels, out_channels, lanes, tiling), tiling))
    found.sort(key=lambda item: (item[0], -item[1].columns))
    _, first = found[0]
    tile = (first.columns, first.blocks)
    for slab in _SLABS[1:]:
        other = _tiling(pixels, ic_blocks, oc_blocks, lanes, batch, tile, slab, copies)
        if other != first:
            found.insert(1, (_cost(pixels, out_channels, lanes, other), other))
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
    copies: bool,
) -> ConvTiling:
    """Work items of tiles of (columns, blocks): their input fits the slab, and there are enough of them.

    Output channels are divided first, because groups of pixels read the weights again; but where items copy their
    input, pixels are.
    """
    columns, blocks = tile
    all_tiles = -(-pixels // columns)
    pixel_tiles = max(1, min(all_tiles, slab_bytes // (ic_blocks * columns * lanes * 4)))
    pixel_tiles = -(-all_tiles // -(-all_tiles // pixel_tiles))  # groups of even size
    if copies:
        while pixel_tiles > 1 and batch * -(-all_tiles // pixel_tiles) < _ITEMS // 2:
            pixel_tiles = -(-pixel_tiles // 2)
    spatial = batch * -(-all_tiles // pixel_tiles)
    all_oc_tiles = -(-oc_blocks // blocks)
    oc_tiles = all_oc_tiles
    while oc_tiles > 1 and spatial * -(-all_oc_tiles // oc_tiles) < _ITEMS:
        fewer = -(-oc_tiles // 2)
        if copies and fewer * blocks < _COPYING_BLOCKS:
            break
        oc_tiles = fewer

    def items() -> int:
        return batch * -(-all_tiles // pixel_tiles) * -(-all_oc_tiles // oc_tiles)

    while (pixel_tiles > 1 and items() < _ITEMS // 2) or (pixel_tiles * columns > _ITEM_PIXELS and items() < _ITEMS):
        pixel_tiles = -(-pixel_tiles // 2)
    return ConvTiling(1, columns, blocks, 1, pixel_tiles, oc_tiles)


def _cost(pixels: int, out_channels: int, lanes: int, tiling: ConvTiling) -> float:
    """Multiply-adds in the time that one image takes, for one input channel."""
    columns, blocks = tiling.columns, tiling.blocks
    tail = tail_halves(out_channels, blocks, lanes)
    all_oc_tiles = -(-out_channels // (lanes * blocks))
    whole = (all_oc_tiles - 1 if tail else all_oc_tiles) * channel_cost(columns, blocks, lanes)
    step = whole + (channel_cost(columns, tail / 2, lanes) if tail else 0.0)
    copied = pixels % columns * _COPIED_VECTOR / lanes * -(-all_oc_tiles // tiling.oc_tiles)
    items = -(-pixels // (columns * tiling.column_tiles)) * -(-all_oc_tiles // tiling.oc_tiles)
    return (-(-pixels // columns) * step + copied) * (1.0 + _WAIT / items)


def channel_cost(columns: int, vectors: float, lanes: int) -> float:
    """Multiply-adds in the time that a tile takes for one input channel.

    With 16 lanes a multiply-add takes its broadcast operand from memory; with fewer, two vectors share each broadcast.
    """
    if lanes < 16:
        return max(columns * vectors, 8.0, (columns + vectors) * 1.25) + 1.0 + 0.25 * vectors
    return max(columns * vectors, _LATENCY) + 0.1 + 0.25 * vectors
