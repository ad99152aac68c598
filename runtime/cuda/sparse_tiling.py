"""Tiles of sparse convolutions, ranked by estimated time. Pure functions of sizes, counted zeros and a device's facts.

A cost is a time in the unit of ``conv_tiling``, so that sparse and dense kernels compare. A record costs the loads of
its quads, of which all threads of a warp read the same, two loads of the panel, and its multiply-adds; shared memory
limits lists of one channel, the multiply-adds those of four.
"""

from __future__ import annotations

from cnnc.frozen_dataclass import dataclass, replace
from cnnc.runtime.cuda.device_facts import ISSUES, DeviceFacts
from cnnc.runtime.cuda.sparse_packing import GROUPS, PANEL_ROWS, RECORD_ENTRIES, SparseTile
from cnnc.runtime.cuda.target import LANES, WARP

TILES = tuple(
    SparseTile(share, vectors, warps)
    for share in (1, 2, 4)
    for vectors in (4, 2, 1)
    for warps in (8, 4, 2)
    if warps >= 2 * vectors
)
CHANNELS = tuple(sorted({tile.channels for tile in TILES}))
"""Output channels of a block of threads, of any tile."""
SPLITS = (1, 2, 3, 4, 6, 8, 12, 16)

_COPY_INSTRUCTIONS = 30
"""Of a thread for a quad of the panel: place, row of the table, load, four stores."""
_RECORD_INSTRUCTIONS = 6
_LIST_INSTRUCTIONS = 30
_LOAD_CYCLES = 30
"""From a load of shared memory, or of the first-level cache, to its value: what one warp waits for in a record."""
_SYNC_CYCLES = 100
"""Of the barriers of a chunk, when a multiprocessor has nothing else to do."""
_EVENNESS = 0.85
"""Average of the warps' times over the longest one: lists differ in length, and all wait at the end of a chunk."""
_BLOCK_CYCLES = 2500
_REGISTERS = {1: 96, 2: 96, 4: 128}
"""Of a thread, by its pixels."""


@dataclass(frozen=True, slots=True)
class SparseLayer:
    """A convolution with zeros.

    Attributes:
        blocks: channel blocks of y.
        pixels: of the result, all images.
        entries: (share, places with a weight for one of so many neighbouring output channels).
        groups: (output channels of a tile, groups that its tiles read, all tiles together).
        activation_bytes: of operands and result.
    """

    blocks: int
    pixels: int
    entries: tuple[tuple[int, int], ...]
    groups: tuple[tuple[int, int], ...]
    activation_bytes: int


def rank_sparse_tiles(layer: SparseLayer, device: DeviceFacts, count: int) -> list[tuple[float, SparseTile]]:
    """The ``count`` cheapest tiles with their costs, the cheapest first."""
    found = []
    for tile in TILES:
        for splits in SPLITS:
            if splits == 1 or splits <= _chunks(layer, tile):
                divided = replace(tile, splits=splits)
                found.append((sparse_seconds(layer, divided, device) / device.fma_seconds(LANES), divided))
    return sorted(found, key=lambda pair: pair[0])[:count]


def _tiles(layer: SparseLayer, tile: SparseTile) -> int:
    """Tiles of output channels."""
    return -(-layer.blocks * LANES // tile.channels)


def _chunks(layer: SparseLayer, tile: SparseTile) -> float:
    """Of a tile of output channels, on average."""
    return max(1.0, dict(layer.groups)[tile.channels] / GROUPS / _tiles(layer, tile))


def sparse_seconds(layer: SparseLayer, tile: SparseTile, device: DeviceFacts) -> float:
    """Estimated time of the launches."""
    tiles, chunks = _tiles(layer, tile), _chunks(layer, tile)
    blocks = tiles * -(-layer.pixels // tile.pixels) * tile.splits
    own_chunks = chunks / tile.splits
    lists = tiles * chunks * tile.warps * tile.lists
    # Half of the lists end with an entry of zeros.
    records = (dict(layer.entries)[tile.share] + 0.5 * lists) / RECORD_ENTRIES
    own_records = records / (tiles * chunks * tile.warps)
    resident = max(1, device.resident_blocks(tile.threads, _REGISTERS[tile.vectors], tile.panel_bytes))
    rounds, rest = divmod(-(-blocks // device.multiprocessors), resident)
    cycles = rounds * (own_chunks * _chunk_cycles(tile, own_records, resident, device) + _BLOCK_CYCLES)
    if rest:
        cycles += own_chunks * _chunk_cycles(tile, own_records, rest, device) + _BLOCK_CYCLES
    copied = 4 * PANEL_ROWS * tile.pixels + 16 * tile.record_quads * own_records * tile.warps
    record_bytes = 16 * tile.record_quads * records
    moving = max(
        blocks * own_chunks * copied / device.l2_bandwidth,
        (layer.activation_bytes + record_bytes) / device.memory_bandwidth,
    )
    seconds = max(cycles / device.clock, moving) + device.launch_seconds
    if tile.splits > 1:
        result = 4 * LANES * layer.blocks * layer.pixels
        seconds += (2 * tile.splits + 1) * result / device.l2_bandwidth + device.launch_seconds
    return seconds


def _chunk_cycles(tile: SparseTile, records: float, resident: int, device: DeviceFacts) -> float:
    """Cycles in which a multiprocessor does a chunk of each of its blocks; ``records`` of a warp."""
    products = RECORD_ENTRIES * tile.share * tile.vectors
    loads = RECORD_ENTRIES * tile.vectors + tile.record_quads
    quads = PANEL_ROWS * tile.pixels // 4 / tile.threads
    warps = resident * tile.warps
    busiest = -(-warps // ISSUES) * ISSUES
    multiplying = busiest * records * products * WARP / device.lanes
    instructions = records * (products + RECORD_ENTRIES + tile.record_quads + _RECORD_INSTRUCTIONS)
    instructions += tile.lists * _LIST_INSTRUCTIONS + quads * _COPY_INSTRUCTIONS
    sharing = warps * (records * loads + 4 * quads)
    alone = records * max(_LOAD_CYCLES, products * WARP * ISSUES / device.lanes) + tile.lists * _LOAD_CYCLES
    working = max(multiplying, busiest * instructions / ISSUES, sharing, alone) / _EVENNESS
    return max(working, device.latency) + _SYNC_CYCLES
