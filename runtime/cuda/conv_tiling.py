"""Block tiles of the implicit GEMM, ranked by estimated time. Pure functions of sizes and of a device's facts.

A cost is a time, counted in the multiply-adds of 8 float32 that the whole device does in it
(``DeviceFacts.fma_seconds``): costs of all GPU kernels compare. Where all blocks of threads find room at once, the
multiprocessor with the most blocks ends last; where they do not, it takes them in rounds of as many as it holds.
"""

from __future__ import annotations

from collections.abc import Sequence

from cnnc.frozen_dataclass import dataclass
from cnnc.runtime.cuda.device_facts import ISSUES, SHARED_BYTES, DeviceFacts
from cnnc.runtime.cuda.register_tile import DEPTH, BlockTile
from cnnc.runtime.cuda.target import LANES, WARP

TILES = (
    BlockTile(8, 8, 16, 16),
    BlockTile(8, 8, 16, 8),
    BlockTile(8, 8, 8, 16),
    BlockTile(8, 8, 8, 8),
    BlockTile(4, 8, 8, 8),
    BlockTile(8, 4, 8, 8),
    BlockTile(4, 4, 8, 8),
)
"""Larger first: of tiles that cost the same, the one that reads less."""

SPLITS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
LEAST_STEPS = 4
"""Of a block of threads whose products others share."""

CLOSE = 1.1
"""Times the least cost up to which larger register tiles are taken: estimates are no better than that, and these issue
fewer instructions for the same products."""

MOST_THREADS = 384
"""Threads that a multiprocessor shall hold: 256 times two, or 64 times six. They get 128 registers, or 168."""

_LOOP_INSTRUCTIONS = 30
"""Of a thread in a step, beside products and copies: counters, addresses, a barrier."""
_SYNC_CYCLES = 60
"""From the last product of a step to the first of the next, when a multiprocessor has nothing else to do."""
_BLOCK_CYCLES = 2500
"""Beginning and end of a block of threads: places of its pixels, first panels, epilogue."""


@dataclass(frozen=True, slots=True)
class GemmTiling:
    """A ``BlockTile``, and how many blocks of threads share the steps of one."""

    rows: int
    columns: int
    row_threads: int
    column_threads: int
    splits: int

    @property
    def tile(self) -> BlockTile:
        return BlockTile(self.rows, self.columns, self.row_threads, self.column_threads)


@dataclass(frozen=True, slots=True)
class GemmLayer:
    """A convolution as a matrix product.

    Attributes:
        groups: independent products of the sizes below; phases of a transposed convolution count as groups.
        channels, pixels: of the result, all images.
        steps: taps times blocks of input channels.
        activation_bytes, weight_bytes: of operands and result.
    """

    groups: int
    channels: int
    pixels: int
    steps: int
    activation_bytes: int
    weight_bytes: int


def rank_gemm_tilings(
    layer: GemmLayer, device: DeviceFacts, count: int, most_splits: int = SPLITS[-1]
) -> list[tuple[float, GemmTiling]]:
    """The ``count`` cheapest tilings with their costs, the cheapest first, or one that is close to it and has larger
    register tiles."""
    found = [
        (gemm_seconds(layer, tile, splits, device) / device.fma_seconds(LANES), _tiling(tile, splits))
        for tile in TILES
        for splits in _splits(layer, tile, device)
        if splits <= most_splits
    ]
    ranked = sorted(found, key=lambda pair: pair[0])
    close = [pair for pair in ranked if pair[0] <= CLOSE * ranked[0][0]]
    first = max(close, key=lambda pair: pair[1].rows * pair[1].columns)
    return [first, *(pair for pair in ranked if pair is not first)][:count]


def _tiling(tile: BlockTile, splits: int) -> GemmTiling:
    return GemmTiling(tile.rows, tile.columns, tile.row_threads, tile.column_threads, splits)


def _splits(layer: GemmLayer, tile: BlockTile, device: DeviceFacts) -> Sequence[int]:
    """Ways to share products: while multiprocessors would have nothing to do, and steps are left."""
    room = device.multiprocessors * resident_blocks(tile, device)
    blocks = _blocks(layer, tile)
    return [
        splits
        for splits in SPLITS
        if splits == 1 or (splits * LEAST_STEPS <= layer.steps and blocks * splits <= max(room, blocks))
    ]


def _blocks(layer: GemmLayer, tile: BlockTile) -> int:
    return layer.groups * -(-layer.channels // tile.channels) * -(-layer.pixels // tile.pixels)


def resident_blocks(tile: BlockTile, device: DeviceFacts) -> int:
    """Blocks of threads that a multiprocessor holds at a time."""
    sums = tile.rows * tile.columns + 2 * (tile.rows + tile.columns) + 48
    resident = -(-MOST_THREADS // tile.threads)
    registers = min(sums, device.registers // (resident * tile.threads) // 8 * 8)
    return max(1, device.resident_blocks(tile.threads, registers, 2 * tile.stage_bytes))


def gemm_seconds(layer: GemmLayer, tile: BlockTile, splits: int, device: DeviceFacts) -> float:
    """Estimated time of the launches."""
    blocks, steps = _blocks(layer, tile) * splits, -(-layer.steps // splits)
    resident = resident_blocks(tile, device)
    rounds, rest = divmod(-(-blocks // device.multiprocessors), resident)
    cycles = rounds * (steps * step_cycles(tile, resident, device) + _BLOCK_CYCLES)
    if rest:
        cycles += steps * step_cycles(tile, rest, device) + _BLOCK_CYCLES
    panel_bytes = 4 * DEPTH * (tile.channels + tile.pixels)
    l2_bytes = blocks * steps * panel_bytes
    moving = max(
        l2_bytes / device.l2_bandwidth, (layer.activation_bytes + layer.weight_bytes) / device.memory_bandwidth
    )
    seconds = max(cycles / device.clock, moving) + device.launch_seconds
    if splits > 1:
        result = 4 * layer.groups * layer.channels * layer.pixels
        seconds += (2 * splits + 1) * result / device.l2_bandwidth + device.launch_seconds
    return seconds


def step_cycles(tile: BlockTile, resident: int, device: DeviceFacts) -> float:
    """Cycles in which a multiprocessor that holds so many blocks of threads does a step of each."""
    warps = resident * tile.threads / WARP
    products = DEPTH * tile.rows * tile.columns
    loads = DEPTH * (tile.rows + tile.columns) // 4
    copies = 2 * tile.weight_loads + 7 * tile.pixel_loads
    # Each of the schedulers has a quarter of the lanes.
    busiest = -(-warps // ISSUES) * ISSUES
    multiplying = busiest * products * WARP / device.lanes
    issuing = busiest * (products + loads + copies + _LOOP_INSTRUCTIONS) / ISSUES
    sharing = warps * WARP * 16 * (loads + tile.weight_loads + tile.pixel_loads) / SHARED_BYTES
    alone = max(products * WARP * ISSUES / device.lanes, products + loads) + _SYNC_CYCLES
    return max(multiplying, issuing, sharing, alone, device.latency + _SYNC_CYCLES)
