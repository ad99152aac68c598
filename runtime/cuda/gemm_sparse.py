"""``gemm.f32.sparse``: Y = act(A @ W + bias) for few rows of A and constant weights that are mostly zeros.

Every ``group`` neighbouring columns of W have a list: the positions along K where any of them has a weight, 16 bits
each, and the weights. Positions count within a *panel* of A: ``rows`` rows of ``PANEL_FLOATS / rows`` elements, which
a block of threads copies to shared memory, the rows of a position side by side. A warp walks through the list of a
panel, a thread an entry: neighbouring threads read neighbouring positions and weights, and gather from the panel. At
the end the threads of a warp add up, in a fixed order. Zeros are neither stored nor read nor multiplied.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from cnnc.dims import Dim, ceil_div
from cnnc.frozen_dataclass import dataclass
from cnnc.runtime.cuda.target import WARP
from cnnc.runtime.kernel import Access, KernelDef, Params, Target

Array = np.ndarray[Any, Any]

NAME = "gemm.f32.sparse"
WARPS = 16
"""Of a block: lists that share a copy of the panel."""
PANEL_FLOATS = 8192
_ALIGNMENT = 16
"""Entries at a multiple of which lists begin: a sector of positions, and of weights."""

SIZES = ("M", "N", "K", "a_row", "entries", "alpha", "beta")
"""``a_row``: elements from a row of A to the next; alpha, beta: float bits of the activation. Compile-time parameters:
``rows`` (1, 2 or 4), ``group`` (1 or 4) and ``activation``."""


@dataclass(frozen=True, slots=True)
class SparseRowsTile:
    """rows: of A, for a block of threads. group: neighbouring columns that have one list."""

    rows: int
    group: int

    @property
    def panel(self) -> int:
        """Positions of a panel."""
        return PANEL_FLOATS // self.rows


@dataclass(frozen=True, slots=True)
class SparseMatrix:
    """Packed weights.

    Attributes:
        table: int32 [panels, lists, 2]: first entry and number of entries of each list.
        positions: uint16 [entries].
        weights: float32 [entries, group].
    """

    table: Array
    positions: Array
    weights: Array


def pack_sparse_matrix(weights: Array, tile: SparseRowsTile) -> SparseMatrix:
    """Lists of float32 weights [K, N]."""
    depth, columns = weights.shape
    panels, lists = -(-depth // tile.panel), -(-columns // tile.group)
    padded = np.zeros((panels * tile.panel, lists * tile.group), np.float32)
    padded[:depth, :columns] = weights
    by_list = padded.reshape(panels, tile.panel, lists, tile.group).swapaxes(1, 2)
    taken = by_list.any(axis=3)
    counts = taken.sum(axis=2)
    rooms = -(-counts // _ALIGNMENT) * _ALIGNMENT
    starts = (np.cumsum(rooms) - rooms.reshape(-1)).reshape(counts.shape)
    panel, number, position = np.nonzero(taken)
    before = (np.cumsum(counts) - counts.reshape(-1)).reshape(counts.shape)
    place = starts[panel, number] + np.arange(len(position)) - before[panel, number]
    total = int(rooms.sum())
    positions, values = np.zeros(total, np.uint16), np.zeros((total, tile.group), np.float32)
    positions[place], values[place] = position, by_list[panel, number, position]
    return SparseMatrix(np.stack([starts, counts], axis=-1).astype(np.int32), positions, values)


def tile_of(params: Params) -> SparseRowsTile:
    """The tile that a kernel's compile-time parameters name."""
    return SparseRowsTile(int(params["rows"]), int(params["group"]))


def _items(sizes: Mapping[str, Dim], params: Params) -> Dim:
    tile = tile_of(params)
    return ceil_div(sizes["N"], tile.group * WARPS) * ceil_div(sizes["M"], tile.rows)


def _table_bytes(sizes: Mapping[str, int], tile: SparseRowsTile) -> int:
    return 8 * -(-sizes["K"] // tile.panel) * -(-sizes["N"] // tile.group)


def _footprint(sizes: Mapping[str, int], params: Params) -> tuple[Access, ...]:
    tile, rows, columns = tile_of(params), sizes["M"], sizes["N"]
    if not rows * columns:
        return ()
    return (
        Access("y", 0, 4 * rows * columns, True),
        Access("a", 0, 4 * ((rows - 1) * sizes["a_row"] + sizes["K"]), False),
        Access("table", 0, _table_bytes(sizes, tile), False),
        Access("positions", 0, 2 * sizes["entries"], False),
        Access("weights", 0, 4 * tile.group * sizes["entries"], False),
        Access("bias", 0, 4 * columns, False),
    )


def _table_refusal(sizes: Mapping[str, int], params: Params, tables: Mapping[str, Array]) -> str | None:
    tile = tile_of(params)
    lists = tables["table"][: _table_bytes(sizes, tile)].view(np.int32).reshape(-1, 2).astype(np.int64)
    if (lists < 0).any() or (lists.sum(axis=1) > sizes["entries"]).any():
        return "a list begins or ends outside of the entries"
    if (tables["positions"][: 2 * sizes["entries"]].view(np.uint16) >= tile.panel).any():
        return "a list names a position that the panel does not have"
    return None


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from numba import cuda

    from cnnc.runtime.cuda.activation import scalar_activation
    from cnnc.runtime.cuda.gemm_sparse_tile import sparse_rows_tile
    from cnnc.runtime.cuda.integers import divide, float_of_bits
    from cnnc.runtime.cuda.intrinsics import unrolled
    from cnnc.runtime.cuda.memory_access import load, load_i32, shared_memory, store, store_shared

    tile = tile_of(params)
    rows, group, panel_size, threads = tile.rows, tile.group, tile.panel, WARP * WARPS
    zero_sums, add_entry = sparse_rows_tile(tile)
    activation = scalar_activation(str(params["activation"]))
    shared = shared_memory(4 * PANEL_FLOATS)

    def finish(lane: int, index: int, facts: Any) -> int:
        """One result of the warp: the threads' sums, added up."""
        sums, y, bias, first_row, first_column, count_m, count_n, alpha, beta = facts
        total = sums[index]
        distance = WARP // 2
        while distance > 0:
            total += cuda.shfl_xor_sync(0xFFFFFFFF, total, distance)
            distance >>= 1
        row, column = first_row + index // group, first_column + index % group
        if lane == index and row < count_m and column < count_n:
            total += load(bias + 4 * column)
            store(y + 4 * (row * count_n + column), activation(total, float_of_bits(alpha), float_of_bits(beta)))
        return lane

    finish_all = unrolled(rows * group, finish)

    def gemm_sparse(args: Any) -> None:
        y, a, table, positions, weights, bias, count_m, count_n, depth, a_row, _, alpha, beta = args
        lists = (count_n + group - 1) // group
        row_group, list_group = divide(cuda.blockIdx.x, (lists + WARPS - 1) // WARPS)
        thread = cuda.threadIdx.x
        lane, number = thread % WARP, list_group * WARPS + thread // WARP
        first_row = row_group * rows
        base, sums = shared(), zero_sums()
        for first in range(0, depth, panel_size):
            if first > 0:
                cuda.syncthreads()
            element = thread
            while element < min(panel_size, depth - first):
                for row in range(rows):
                    at = a + 4 * (min(first_row + row, count_m - 1) * a_row + first + element)
                    store_shared(base + 4 * (element * rows + row), load(at))
                element += threads
            cuda.syncthreads()
            if number < lists:
                entry = table + 8 * (first // panel_size * lists + number)
                start, count = load_i32(entry), load_i32(entry + 4)
                index = lane
                while index < count:
                    place = start + index
                    sums = add_entry(sums, positions + 2 * place, weights + 4 * group * place, base)
                    index += WARP
        finish_all(lane, (sums, y, bias, first_row, number * group, count_m, count_n, alpha, beta))

    return gemm_sparse


KERNEL = KernelDef(
    name=NAME,
    buffers=("y", "a", "table", "positions", "weights", "bias"),
    sizes=SIZES,
    build=_build,
    items=_items,
    footprint=_footprint,
    tables=("table", "positions"),
    table_refusal=_table_refusal,
    threads=lambda params: WARP * WARPS,
)
