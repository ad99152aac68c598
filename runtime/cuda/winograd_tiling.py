"""Tiles of Winograd's method on GPUs, ranked by the estimated time of its three launches. Pure functions of sizes."""

from __future__ import annotations

from collections.abc import Sequence

from cnnc.frozen_dataclass import dataclass
from cnnc.runtime.cuda.device_facts import DeviceFacts
from cnnc.runtime.cuda.register_tile import DEPTH, BlockTile
from cnnc.runtime.cuda.target import LANES, WARP
from cnnc.runtime.cuda.winograd_shape import WinogradShape, m_bytes, v_bytes

MOST_PRODUCTS = 6
"""Of a tile along an axis: the transforms of larger tiles do not fit the registers."""

_TILES = ((8, 8, 16, 16), (8, 8, 16, 8), (8, 8, 8, 16), (8, 8, 8, 8), (4, 8, 8, 8), (4, 4, 8, 8))
"""Rows, columns, row threads, column threads of the block tiles that are tried."""

_FULL_RATE = 8
"""Warps of a multiprocessor that keep its multiply-adds busy: two for each scheduler, with so many independent sums."""

_EDGE_STEPS = 4
"""Steps that the start of a block and the storing of its sums are worth."""

_OVERHEAD_ISSUES = 30
"""Instructions of a step beside products and the reading of panels: copies, addresses, the barrier."""


@dataclass(frozen=True, slots=True)
class WinogradTiling:
    """Outputs of a tile, and the block tile of the products (``BlockTile``)."""

    out_rows: int
    out_columns: int
    rows: int
    columns: int
    row_threads: int
    column_threads: int

    @property
    def block_tile(self) -> BlockTile:
        return BlockTile(self.rows, self.columns, self.row_threads, self.column_threads)


@dataclass(frozen=True, slots=True)
class WinogradLayer:
    """Sizes that decide.

    Attributes:
        images: of the batch.
        x_depth: planes of an image of the input.
        map: depth, height and width of the result.
        window: depth, height and width; ``dilation`` in height and width.
        channels: of the input.
        y_blocks: blocks of eight channels of the result.
    """

    images: int
    x_depth: int
    map: tuple[int, int, int]
    window: tuple[int, int, int]
    dilation: tuple[int, int]
    channels: int
    y_blocks: int


def rank_winograd_tilings(
    layer: WinogradLayer, outputs: Sequence[tuple[int, int]], device: DeviceFacts, count: int
) -> list[tuple[float, WinogradTiling]]:
    """Up to ``count`` tilings for any of ``outputs``, cheapest first.

    Costs are multiply-adds of eight lanes of the whole device, launches included.
    """
    unit = device.fma_seconds(LANES)
    tilings = [WinogradTiling(*pair, *tile) for pair in outputs for tile in _TILES]
    ranked = [(_seconds(layer, tiling, device) / unit, tiling) for tiling in tilings]
    return sorted(ranked, key=lambda pair: pair[0])[:count]


def _seconds(layer: WinogradLayer, tiling: WinogradTiling, device: DeviceFacts) -> float:
    """Three launches: transforms are as fast as memory, products as fast as their block tile or as memory."""
    shape = WinogradShape(tiling.out_rows, tiling.out_columns, *layer.window[1:])
    out_d, out_h, out_w = layer.map
    plane = _known(shape.plane_columns(dict(zip(("OH", "OW", "DH", "DW"), (out_h, out_w, *layer.dilation)))))
    columns, tile = layer.images * out_d * plane, tiling.block_tile
    v = _known(v_bytes(shape.positions, layer.channels, layer.images * layer.x_depth, plane))
    m = _known(m_bytes(shape.positions, layer.y_blocks, columns))
    # Workspaces that the second-level cache holds do not reach the memory.
    between = device.l2_bandwidth if v + m <= device.l2_bytes else device.memory_bandwidth
    row_tiles, column_tiles = -(-layer.y_blocks * LANES // tile.channels), -(-columns // tile.pixels)
    steps = layer.window[0] * -(-layer.channels // DEPTH)
    weights = 4 * shape.positions * row_tiles * steps * DEPTH * tile.channels
    products = _products_seconds(shape.positions * row_tiles * column_tiles, steps, tile, device)
    # Blocks that run together share what they read; across them it comes from the second-level cache.
    read = (v * layer.window[0] * row_tiles + weights * column_tiles) / device.l2_bandwidth
    moved = (v + m) / between + weights / device.memory_bandwidth
    pixels = layer.images * out_h * out_w * 4
    x, y = pixels * layer.x_depth * layer.channels, pixels * out_d * layer.y_blocks * LANES
    transforms = (x + y) / device.memory_bandwidth + (v + m) / between
    return transforms + max(products, read, moved) + 3 * device.launch_seconds


def _products_seconds(blocks: int, steps: int, tile: BlockTile, device: DeviceFacts) -> float:
    """Of multiply-adds, with multiprocessors that have too few warps or one block more than others."""
    registers = tile.rows * tile.columns + 64
    resident = max(1, device.resident_blocks(tile.threads, registers, 2 * tile.stage_bytes))
    each = -(-blocks // device.multiprocessors)
    warps = min(each, resident) * tile.threads // WARP
    multiplied = DEPTH * tile.rows * tile.columns
    issues = multiplied + 2 * DEPTH * (tile.rows + tile.columns) // 4 + _OVERHEAD_ISSUES
    rate = device.lanes * min(1.0, warps / _FULL_RATE) * multiplied / issues
    computing = each * DEPTH * tile.channels * tile.pixels / rate
    # A step loads what the next one multiplies: it takes as long as a load at least.
    waiting = -(-each // resident) * device.latency
    return (steps + _EDGE_STEPS) * max(computing, waiting) / device.clock


def _known(size: object) -> int:
    assert isinstance(size, int)
    return size
