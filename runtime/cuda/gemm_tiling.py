"""Tiles of matrix products, ranked by estimated time. Costs are in the unit of ``DeviceFacts.fma_seconds``, those of
other kernels too.

A product of few rows waits for its weights from memory: warps must have enough loads under way. One of many rows takes
as long as a convolution by implicit GEMM with as many products.
"""

from __future__ import annotations

from cnnc.frozen_dataclass import dataclass
from cnnc.runtime.cuda import gemm_sparse
from cnnc.runtime.cuda.conv_tiling import GemmLayer, gemm_seconds
from cnnc.runtime.cuda.device_facts import DeviceFacts
from cnnc.runtime.cuda.gemm_few_rows import WARPS, FewRowsTile
from cnnc.runtime.cuda.gemm_sparse import SparseRowsTile
from cnnc.runtime.cuda.register_tile import DEPTH, BlockTile
from cnnc.runtime.cuda.target import LANES, WARP

MOST_ROWS = 8
"""Rows of a tile of few rows."""

_MOST_RESULTS = 16
"""Of a thread: their sums, and what it loads for them, must leave registers for many threads."""
_QUAD_BYTES = 16 * WARP
_MEMORY_LATENCIES = 2
"""A load from memory takes so many times as long as one from the second-level cache."""
_HIDDEN = 0.9
"""Share of what is not the bottleneck that loads under way hide."""
_PART_LATENCIES = 0.1
"""What adding up takes for each of the warps that share a column, in latencies of the second-level cache."""
_GATHER_CYCLES = {1: 3.5, 2: 5.0, 4: 7.0}
"""Of shared memory for a warp's loads from places of chance, by float32 a place: the most that hit one bank."""
_CALL_LATENCIES = 8
"""What a block takes before its first product and behind its last, in latencies of the second-level cache."""


@dataclass(frozen=True, slots=True)
class MatmulTile:
    """A square tile of Y: ``rows`` x ``rows`` elements a thread, ``threads`` x ``threads`` threads."""

    rows: int
    threads: int

    @property
    def block(self) -> BlockTile:
        return BlockTile(self.rows, self.rows, self.threads, self.threads)


_TILES = (MatmulTile(8, 16), MatmulTile(8, 8), MatmulTile(4, 8))
"""Larger first: of tiles that cost the same, the one that reads less."""

_ELEMENTS_COST = 1.1
"""Time of a product whose panels are copied element by element, over that of the implicit GEMM, which copies quads."""


def rank_few_rows(rows: int, columns: int, depth: int, device: DeviceFacts) -> list[tuple[float, FewRowsTile]]:
    """Tiles for a product of so many rows, columns and products a sum, the fastest first."""
    own_rows = next(size for size in (1, 2, 4, MOST_ROWS) if size >= min(rows, MOST_ROWS))
    found = []
    for own_columns in (1, 2, 4):
        if own_rows * own_columns > _MOST_RESULTS:
            continue
        for parts in (1, 2, 4, WARPS):
            for splits in (1, 2, 4, 8, 16):
                # A warp should have more than one step.
                if splits > 1 and depth < 8 * WARP * parts * splits:
                    continue
                tile = FewRowsTile(own_rows, own_columns, parts, splits)
                found.append((_few_rows_seconds(rows, columns, depth, tile, device), tile))
    unit = device.fma_seconds(LANES)
    return sorted(((seconds / unit, tile) for seconds, tile in found), key=lambda item: item[0])


def _few_rows_seconds(rows: int, columns: int, depth: int, tile: FewRowsTile, device: DeviceFacts) -> float:
    warps = -(-columns // tile.block_columns) * WARPS * -(-rows // tile.rows) * tile.splits
    steps = -(-depth // (4 * WARP * tile.parts * tile.splits))
    resident = device.multiprocessors * device.threads // WARP // 2
    latency = device.latency / device.clock
    weight_bytes, passes = 4 * columns * depth, -(-rows // tile.rows)
    under_way = min(warps, resident) * tile.columns * _QUAD_BYTES
    streaming = weight_bytes / min(device.memory_bandwidth, under_way / (_MEMORY_LATENCIES * latency))
    # Other rows find the weights in the second-level cache, or not.
    again = device.l2_bandwidth if weight_bytes < device.l2_bytes else device.memory_bandwidth
    streaming += (passes - 1) * weight_bytes / again
    waiting = steps * _MEMORY_LATENCIES * latency
    # Rows of A come from the first-level cache, as many bytes a cycle as from shared memory.
    cached = passes * weight_bytes * tile.rows / tile.columns / (128 * device.multiprocessors * device.clock)
    adding = 2 * rows * columns * tile.splits * 4 / device.memory_bandwidth + device.launch_seconds
    times = (streaming, waiting, cached)
    reading = _HIDDEN * max(times) + (1 - _HIDDEN) * sum(times)
    meeting = (_CALL_LATENCIES + _PART_LATENCIES * tile.parts) * latency
    return reading + meeting + (adding if tile.splits > 1 else 0) + device.launch_seconds


def rank_sparse_rows(
    rows: int, columns: int, depth: int, entries: tuple[tuple[int, int], ...], device: DeviceFacts
) -> list[tuple[float, SparseRowsTile]]:
    """Tiles for weights of which ``entries`` gives, by columns of a list, how many places the lists have."""
    own_rows = next(size for size in (1, 2, 4) if size >= min(rows, 4))
    unit, latency = device.fma_seconds(LANES), device.latency / device.clock
    found = []
    for group, places in entries:
        tile = SparseRowsTile(own_rows, group)
        blocks, passes = -(-columns // (group * gemm_sparse.WARPS)), -(-rows // own_rows)
        steps = -(-places // (-(-columns // group) * WARP)) + -(-depth // tile.panel)
        weight_bytes = (4 * group + 2) * places
        under_way = blocks * passes * gemm_sparse.WARPS * WARP * (4 * group + 2)
        streaming = weight_bytes / min(device.memory_bandwidth, under_way / (_MEMORY_LATENCIES * latency))
        copying = 4 * blocks * passes * depth * own_rows / device.l2_bandwidth
        gathering = passes * places / WARP * _GATHER_CYCLES[own_rows] / device.multiprocessors / device.clock
        # A block copies its panel before it begins with its lists.
        seconds = max(streaming * passes, gathering) + copying + (steps + _CALL_LATENCIES) * latency
        found.append(((seconds + device.launch_seconds) / unit, tile))
    return sorted(found, key=lambda item: item[0])


def rank_matmul(batch: int, rows: int, columns: int, depth: int, device: DeviceFacts) -> list[tuple[float, MatmulTile]]:
    """Tiles for ``batch`` products, the fastest first."""
    moved = 4 * batch * (rows * depth + depth * columns + rows * columns)
    layer = GemmLayer(batch, columns, rows, -(-depth // DEPTH), moved, 0)
    unit = device.fma_seconds(LANES)
    found = [(_ELEMENTS_COST * gemm_seconds(layer, tile.block, 1, device) / unit, tile) for tile in _TILES]
    return sorted(found, key=lambda item: item[0])
