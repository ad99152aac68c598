"""Register tiles and work items of the convolution kernels, ranked by estimated cost. Pure functions of sizes.

A cost is a number of vector multiply-adds, in which everything else that a tile does is expressed; costs compare within
one layer, also between kernels. ``rank_*`` give pairs (cost, tiling): first the one to take unmeasured, then those that
are worth a measurement, by rising cost. ``choose_*`` give the first tiling.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

_SLAB_BYTES = 256 << 10  # input of one work item: a quarter of a usual L2 cache
_OTHER_SLABS = (_SLAB_BYTES // 2, _SLAB_BYTES * 2)  # worth a measurement
_ITEMS = 16  # work items a layer should have at least, for several threads
_COPY_FMAS = 48  # multiply-adds of a tile per copied vector below which the copy would show
_TILE_FMAS = 100  # entry and exit of a tile, list of taps
_STORE_FMAS = 3  # store of a vector, and what is done to it before


def tile_edge(rows: int, columns: int, blocks: int) -> int:
    """Cost of a register tile beside its sums."""
    return _TILE_FMAS + rows * columns * blocks * _STORE_FMAS


@dataclass(frozen=True, slots=True)
class ConvTiling:
    """Register tile (rows x columns pixels, blocks of output channels) and tiles per work item."""

    rows: int
    columns: int
    blocks: int
    row_tiles: int
    column_tiles: int
    oc_tiles: int


@dataclass(frozen=True, slots=True)
class DepthwiseTiling:
    """Pixels of a register tile of ``conv.f32.blocked.depthwise``, and output rows of a work item."""

    columns: int
    item_rows: int


def choose_tile(height: int, width: int, oc_blocks: int, lanes: int) -> tuple[int, int, int]:
    """(rows, columns, blocks) with the least work for a map of ``height`` x ``width``; blocks divide ``oc_blocks``."""
    return _rank_tiles(height, width, oc_blocks, lanes, sum_registers(lanes, wide=False))[0][1]


def sum_registers(lanes: int, wide: bool) -> int:
    """Vectors of sums that fit: 28 of the 32 registers with 16 lanes, else 12 of the 16; float64 sums take two each."""
    if wide:
        return 12 if lanes == 16 else 5
    return 28 if lanes == 16 else 12


def _rank_tiles(
    height: int, width: int, oc_blocks: int, lanes: int, registers: int
) -> list[tuple[float, tuple[int, int, int]]]:
    """Tiles (rows, columns, blocks) with their cost for one input lane and tap, for one block of output channels.

    Sums must fit ``registers`` and be enough to hide the latency of a multiply-add. With 16 lanes a multiply-add takes
    its broadcast operand from memory, so tiles of one block are as fast as any; with fewer lanes two blocks share each
    broadcast.
    """
    height, width = max(height, 1), max(width, 1)  # an empty map has no tiles
    ranked: list[tuple[float, tuple[int, int, int]]] = []
    best = 0
    for blocks in (1, 2, 3, 4):
        if oc_blocks % blocks:
            continue
        for columns in range(1, min(width, registers // blocks) + 1):
            for rows in range(1, min(height, registers // blocks // columns, 5) + 1):
                pixels = rows * columns
                tiles = -(-height // rows) * -(-width // columns)
                loads = 0.0 if lanes == 16 else (pixels + blocks) * 1.25
                step = max(pixels * blocks, 8, loads) + 1.0 + 0.25 * blocks + 0.1 * rows
                ranked.append((tiles * step / blocks, (rows, columns, blocks)))
                if ranked[-1][0] < ranked[best][0] * 0.999:
                    best = len(ranked) - 1
    first = ranked.pop(best)
    return [first, *sorted(ranked)]


def rank_register_tiles(pixels: int, oc_blocks: int, lanes: int) -> list[tuple[float, tuple[int, int]]]:
    """Tiles (columns, blocks) of ``pixels`` in a row, with their cost for one input lane and block of outputs."""
    ranked = _rank_tiles(1, pixels, oc_blocks, lanes, sum_registers(lanes, wide=False))
    return [(cost, (columns, blocks)) for cost, (_, columns, blocks) in ranked]


def choose_conv_tiling(
    output: Sequence[int],
    window: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
    ic_blocks: int,
    oc_blocks: int,
    lanes: int,
    input_block: int = 0,
    batch: int = 1,
) -> ConvTiling:
    """The first of ``rank_conv_tilings``."""
    return rank_conv_tilings(output, window, stride, dilation, ic_blocks, oc_blocks, lanes, input_block, batch)[0][1]


def rank_conv_tilings(
    output: Sequence[int],
    window: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
    ic_blocks: int,
    oc_blocks: int,
    lanes: int,
    input_block: int = 0,
    batch: int = 1,
    count: int = 1,
    wide: bool = False,
    copied_vector: float = 1.0,
) -> list[tuple[float, ConvTiling]]:
    """Up to ``count`` tilings of ``conv.f32.blocked.direct``.

    Output, window, stride, dilation are (depth, height, width). ``ic_blocks`` counts the input blocks that one output
    tile reads. Sizes unknown at compile time are given as hints. ``wide``: sums are float64. ``copied_vector``: cost
    of a vector of the copied input.
    """
    depth, height, width = (max(size, 1) for size in output)
    taps = window[0] * window[1] * window[2]
    input_block = input_block or lanes

    def tiling(tile: tuple[int, int, int], most_bytes: int) -> tuple[float, ConvTiling]:
        rows, columns, blocks = tile
        all_row_tiles, all_column_tiles = -(-height // rows), -(-width // columns)

        def slab_bytes(row_tiles: int, column_tiles: int) -> int:
            slab_rows = (row_tiles * rows - 1) * stride[1] + (window[1] - 1) * dilation[1] + 1
            pitch = column_tiles * columns + (window[2] - 1) * dilation[2] // stride[2]
            used = min(slab_rows, row_tiles * rows * window[1]) * min(stride[2], window[2])
            return ic_blocks * window[0] * used * pitch * input_block * 4

        column_tiles = all_column_tiles
        while column_tiles > 1 and slab_bytes(1, column_tiles) > 2 * most_bytes:
            column_tiles = -(-column_tiles // 2)
        row_tiles = 1
        while row_tiles < all_row_tiles and slab_bytes(row_tiles + 1, column_tiles) <= most_bytes:
            row_tiles += 1
        row_tiles = -(-all_row_tiles // -(-all_row_tiles // row_tiles))  # groups of even size
        spatial = batch * depth * -(-all_row_tiles // row_tiles) * -(-all_column_tiles // column_tiles)
        oc_tiles = oc_blocks // blocks
        fmas = taps * lanes * blocks
        while oc_tiles > 1 and spatial * -(-(oc_blocks // blocks) // oc_tiles) < _ITEMS:
            fewer = -(-oc_tiles // 2)
            if fewer * fmas < _COPY_FMAS * copied_vector * min(stride[1], window[1]) * min(stride[2], window[2]):
                break
            oc_tiles = fewer
        items = spatial * -(-(oc_blocks // blocks) // oc_tiles)
        tiles = batch * depth * all_row_tiles * all_column_tiles * (oc_blocks // blocks)
        copies = items * slab_bytes(row_tiles, column_tiles) / (lanes * 4)
        edges = tiles * tile_edge(*tile)
        return copies * copied_vector + edges, ConvTiling(*tile, row_tiles, column_tiles, oc_tiles)

    scale = batch * depth * oc_blocks * ic_blocks * input_block * taps
    return _ranked(_rank_tiles(height, width, oc_blocks, lanes, sum_registers(lanes, wide)), scale, tiling, count)


def _ranked(
    tiles: Sequence[tuple[float, tuple[int, int, int]]],
    scale: int,
    tiling: Callable[[tuple[int, int, int], int], tuple[float, ConvTiling]],
    count: int,
) -> list[tuple[float, ConvTiling]]:
    """Tilings from tiles: the first tile with work items of several sizes, then the other tiles.

    ``tiling`` gives that of a tile and a size of slabs, with the cost of all that is not sums.
    """
    found: dict[ConvTiling, float] = {}
    first = [(*tiles[0], slab) for slab in (_SLAB_BYTES, *_OTHER_SLABS)]
    others = [(cost, tile, _SLAB_BYTES) for cost, tile in tiles[1:count]]
    for cost, tile, slab in (*first, *others):
        rest, made = tiling(tile, slab)
        found.setdefault(made, cost * scale + rest)
        if len(found) == count:
            break
    return [(cost, made) for made, cost in found.items()]


def rank_grouped_tilings(
    output: Sequence[int],
    window: Sequence[int],
    stride: Sequence[int],
    group: tuple[int, int],
    planes: int,
    lanes: int,
    count: int = 1,
    wide: bool = False,
) -> list[tuple[float, ConvTiling]]:
    """Up to ``count`` tilings of ``conv.f32.blocked.grouped``; ``group`` is (inputs, outputs) of a group.

    ``planes`` counts the maps of a batch and of its blocks of output channels.
    Output blocks share no input, so an item has one of them. Weights of a tap take registers too, and so do the lane
    numbers of permutations that leave the quarters of a vector.
    """
    height, width = (max(size, 1) for size in output[1:])
    inputs, outputs = group
    numbers = 0 if inputs == outputs <= 4 else inputs
    registers = max((30 if lanes == 16 else 14) - inputs - numbers, 4)
    if wide:
        registers = min(registers, sum_registers(lanes, wide))
    maps = planes * max(output[0], 1)
    steps = maps * window[0] * window[1] * window[2] * inputs
    ranked = []
    for cost, (rows, columns, blocks) in _rank_tiles(height, width, 1, lanes, registers)[:count]:
        column_tiles = -(-width // columns)
        row_bytes = (column_tiles * columns + window[2]) * stride[2] * stride[1] * rows * window[0] * lanes * 4
        row_tiles = max(1, min(-(-height // rows), _SLAB_BYTES // 4 // row_bytes))
        edges = maps * -(-height // rows) * column_tiles * tile_edge(rows, columns, blocks)
        ranked.append((cost * steps + edges, ConvTiling(rows, columns, blocks, row_tiles, column_tiles, 1)))
    return ranked


def choose_depthwise_columns(width: int, lanes: int) -> int:
    """Pixels of a tile for rows of ``width``: the fewest wasted, at least enough to hide latency."""
    return _rank_depthwise_columns(width, lanes)[0]


def _rank_depthwise_columns(width: int, lanes: int) -> list[int]:
    width = max(width, 1)
    most = 8 if lanes == 16 else 6
    return sorted(
        range(min(width, 4), min(width, most) + 1), key=lambda columns: (-(-width // columns) * columns, -columns)
    )


def rank_depthwise_tilings(
    height: int, width: int, planes: int, taps: int, lanes: int, count: int = 1, by_rows: bool = False
) -> list[tuple[float, DepthwiseTiling]]:
    """Up to ``count`` tilings for ``planes`` maps of a batch, its channel blocks and depths.

    ``by_rows``: the halves of the work items are the halves of a map, see ``work_division``.
    """
    height, width, planes = max(height, 1), max(width, 1), max(planes, 1)
    rows_of = [_item_rows(height, -(-items // planes), by_rows) for items in (2 * _ITEMS, 4 * _ITEMS)]
    columns_of = _rank_depthwise_columns(width, lanes)
    pairs = [(columns_of[0], rows) for rows in rows_of] + [(columns, rows_of[0]) for columns in columns_of[1:]]
    return [
        (float(planes * height * -(-width // columns) * columns * taps), DepthwiseTiling(columns, rows))
        for columns, rows in list(dict.fromkeys(pairs))[:count]
    ]


def _item_rows(height: int, groups: int, by_rows: bool) -> int:
    """Rows of a work item for at least ``groups`` items a map; ``by_rows``: a number of items makes half of it."""
    half = -(-height // 2)
    if not by_rows:
        return -(-height // min(groups, height))
    most = -(-half // min(-(-groups // 2), half))
    fitting = max(rows for rows in range(1, most + 1) if half % rows == 0)
    return fitting if 2 * fitting >= most else most
