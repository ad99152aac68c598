"""Tiles and work items of convolutions that are read in place, ranked by estimated cost. Pure functions of sizes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cnnc.runtime.cpu.conv_tiling import ConvTiling, tile_edge
from cnnc.runtime.cpu.window_parts import Axis, part_ranges, tap_ranges, tile_places

MOST_PARTS = 12
"""Parts of a tile that are compiled: each takes some 30 ms."""
_REGION_BYTES = 512 << 10  # input of one work item, and weights of one of its tiles: half of a usual L2 cache
_ITEMS = 16  # work items that a layer should have at least, for several threads
_LEAST_FMAS = 8  # that hide the latency of a sum, and the steps of the loop


@dataclass(frozen=True, slots=True)
class WindowLayer:
    """A convolution as its tiles see it.

    Attributes:
        axes: depth, height, width.
        batch: images.
        channels: input channels that a vector of outputs reads, on average.
        oc_blocks: vectors of output channels.
        lanes: of a block.
        vector: lanes of a vector, where it is a part of a block.
        group: (inputs, outputs) of the groups where one vector holds several, and permutations keep them apart.
        two_groups: whether a vector may be of two groups.
    """

    axes: tuple[Axis, Axis, Axis]
    batch: int
    channels: float
    oc_blocks: int
    lanes: int
    vector: int = 0
    group: tuple[int, int] | None = None
    two_groups: bool = False


def rank_window_tilings(layer: WindowLayer, count: int = 1) -> list[tuple[float, ConvTiling]]:
    """Up to ``count`` tilings of ``conv.f32.blocked.window`` by rising cost, in vector multiply-adds."""
    ranked = sorted((_cost(layer, tile), tile) for tile in _tiles(layer))
    return [(cost, _items_of(layer, tile)) for cost, tile in ranked[:count]]


def rank_plain_tilings(layer: WindowLayer, count: int = 1) -> list[tuple[float, ConvTiling]]:
    """As ``rank_window_tilings``, for ``conv.f32.blocked.plain_input``; row_tiles are the rows of a work item."""
    _, height, width = layer.axes
    registers = 32 if layer.lanes == 16 else 16
    ranked = sorted(
        (_plain_cost(layer, columns, blocks), blocks, columns)
        for blocks in (1, 2)
        if layer.oc_blocks % blocks == 0
        for columns in range(1, min(max(width.result, 1), (registers - 4) // blocks) + 1)
    )
    items = layer.batch * max(layer.axes[0].result, 1)
    rows = max(1, min(max(height.result, 1), items * height.result // _ITEMS))
    return [
        (cost, ConvTiling(1, columns, blocks, rows, 1, layer.oc_blocks // blocks))
        for cost, blocks, columns in ranked[:count]
    ]


def _plain_cost(layer: WindowLayer, columns: int, blocks: int) -> float:
    depth, height, width = layer.axes
    places = tile_places(width, columns)
    row = sum(tiles * sum((stop - first) * blocks + 1.0 for first, stop in ranges) for tiles, ranges in places)
    if layer.lanes != 16:  # broadcasts are loads of their own
        row *= max(1.0, (columns + blocks) * 1.25 / (columns * blocks))
    rows = sum(tap_ranges(depth, 1).values()) * sum(tap_ranges(height, 1).values()) * layer.channels
    tiles = max(depth.result, 1) * height.result * sum(tiles for tiles, _ in places)
    edge = tile_edge(1, columns, blocks)
    return layer.batch * layer.oc_blocks // blocks * (rows * row + tiles * edge)


def _tiles(layer: WindowLayer) -> Iterator[tuple[int, int, int]]:
    """Tiles (rows, columns, blocks) that fit the registers and have few parts."""
    _, height, width = layer.axes
    registers = 32 if layer.lanes == 16 else 16
    for blocks in (1, 2, 3, 4):
        if layer.oc_blocks % blocks or (blocks > 1 and (layer.group is not None or layer.vector or layer.two_groups)):
            continue
        if layer.group is not None:
            inputs, outputs = layer.group
            numbers = 0 if inputs == outputs <= 4 else inputs  # permutations within quarters of a vector need none
            sums = max(registers - 2 - inputs - numbers, 4)
        else:
            # Beside the sums: the weights, and a broadcast that several blocks share.
            sums = min(registers - 4, registers - blocks - (blocks > 1))
        for columns in range(1, min(max(width.result, 1), sums // blocks) + 1):
            column_parts = len(part_ranges(width, columns))
            for rows in range(1, min(max(height.result, 1), sums // blocks // columns, 5) + 1):
                if column_parts * len(part_ranges(height, rows)) <= MOST_PARTS:
                    yield rows, columns, blocks


def _cost(layer: WindowLayer, tile: tuple[int, int, int]) -> float:
    rows, columns, blocks = tile
    depth, height, width = layer.axes
    inputs = layer.group[0] if layer.group is not None else layer.channels
    steps = 0.0
    for (row, row_stop), row_count in tap_ranges(height, rows).items():
        for (column, column_stop), column_count in tap_ranges(width, columns).items():
            fmas = (row_stop - row) * (column_stop - column) * blocks
            loads = 0.0 if layer.lanes == 16 else (fmas / blocks + blocks) * 1.25
            steps += row_count * column_count * (max(fmas, _LEAST_FMAS, loads) + 1.0 + 0.25 * blocks + 0.1 * rows)
    planes = layer.batch * layer.oc_blocks // blocks
    tiles = max(depth.result, 1) * -(-height.result // rows) * -(-width.result // columns)
    edge = tile_edge(rows, columns, blocks)
    # Half as many lanes are multiplied in half the time.
    share = layer.vector / layer.lanes if layer.vector else 1.0
    return planes * (steps * sum(tap_ranges(depth, 1).values()) * inputs * share + tiles * edge)


def _items_of(layer: WindowLayer, tile: tuple[int, int, int]) -> ConvTiling:
    rows, columns, blocks = tile
    depth, height, width = layer.axes
    all_row_tiles = max(-(-height.result // rows), 1)
    taps = depth.window * height.window * width.window
    # Rows of the input that a dilation or stride steps over are not read.
    tile_rows = rows * min(height.stride, height.window)
    row_bytes = depth.window * (width.source // max(width.stride // width.window, 1)) * layer.channels * 4
    weight_bytes = taps * layer.channels * blocks * layer.lanes * 4
    most = max(_REGION_BYTES - weight_bytes, _REGION_BYTES // 2)
    row_tiles = max(1, min(all_row_tiles, int(most / max(tile_rows * row_bytes, 1))))
    oc_tiles = layer.oc_blocks // blocks
    if layer.group is not None or layer.channels <= layer.lanes:
        oc_tiles = 1  # they share no input
    planes = layer.batch * max(depth.result, 1)
    while (
        oc_tiles > 1 and planes * -(-all_row_tiles // row_tiles) * -(-(layer.oc_blocks // blocks) // oc_tiles) < _ITEMS
    ):
        oc_tiles = -(-oc_tiles // 2)
    oc_groups = -(-(layer.oc_blocks // blocks) // oc_tiles)
    while row_tiles > 1 and planes * -(-all_row_tiles // row_tiles) * oc_groups < _ITEMS:
        row_tiles = -(-row_tiles // 2)
    row_tiles = -(-all_row_tiles // -(-all_row_tiles // row_tiles))  # groups of even size
    return ConvTiling(rows, columns, blocks, row_tiles, 1, oc_tiles)
