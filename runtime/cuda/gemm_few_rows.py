"""``gemm.f32.few_rows``: Y = act(A @ W + bias) for few rows of A: every weight is read once, 16 bytes at a time.

The weights lie transposed, [N][K padded to 8]. A warp has ``columns`` columns of Y and ``rows`` rows; its threads take
neighbouring quads along K, and add up by shuffles. Where the columns are few, the ``parts`` warps of a column, and then
``splits`` blocks, divide K between them: warps meet in shared memory, blocks write sums [split][M][N] of their own,
which ``gemm.f32.sum_splits`` adds. Every order is fixed by the sizes and the parameters.

A's rows are read in quads where ``quads`` says that they lie so, else element by element, with any strides. What lies
behind the last element of K is not read. Work item: a block of threads, of ``WARPS / parts`` groups of columns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from cnnc.dims import Dim, ceil_div
from cnnc.frozen_dataclass import dataclass
from cnnc.runtime.cuda.target import LANES, WARP
from cnnc.runtime.kernel import Access, KernelDef, Params, Target

Array = np.ndarray[Any, Any]

WARPS = 8
"""Of a block."""

SIZES = ("M", "N", "K", "a_row", "a_column", "splits", "alpha", "beta")
"""Strides in elements; alpha, beta: float bits of the activation. Y is [M][N], or [splits][M][N] of partial sums."""


@dataclass(frozen=True, slots=True)
class FewRowsTile:
    """rows, columns: of Y, for a warp. parts: warps of a block that share a column; a power of 2, at most ``WARPS``."""

    rows: int
    columns: int
    parts: int
    splits: int

    @property
    def block_columns(self) -> int:
        """Columns of a block."""
        return WARPS // self.parts * self.columns


def pack_rows(weights: Array, scale: float = 1.0) -> Array:
    """float32 weights [K, N] times ``scale`` as [N][K padded to 8], zeros behind K."""
    depth, columns = weights.shape
    packed = np.zeros((columns, -(-depth // LANES) * LANES), np.float32)
    np.multiply(weights.T, np.float32(scale), out=packed[:, :depth], dtype=np.float32)
    return packed


def _tile(params: Params) -> FewRowsTile:
    return FewRowsTile(int(params["rows"]), int(params["columns"]), int(params["parts"]), 1)


def _items(sizes: Mapping[str, Dim], params: Params) -> Dim:
    tile = _tile(params)
    return ceil_div(sizes["N"], tile.block_columns) * ceil_div(sizes["M"], tile.rows) * sizes["splits"]


def _footprint(sizes: Mapping[str, int], params: Params) -> tuple[Access, ...]:
    rows, columns, depth = sizes["M"], sizes["N"], sizes["K"]
    if not rows * columns:
        return ()
    a = (rows - 1) * sizes["a_row"] + (depth - 1) * sizes["a_column"] + 1 if depth else 0
    found = [
        Access("y", 0, 4 * sizes["splits"] * rows * columns, True),
        Access("a", 0, 4 * a, False),
        Access("weights", 0, 4 * columns * -(-depth // LANES) * LANES, False),
    ]
    return tuple(found) if params["partial"] else (*found, Access("bias", 0, 4 * columns, False))


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from numba import cuda

    from cnnc.runtime.cuda.activation import scalar_activation
    from cnnc.runtime.cuda.gemm_few_rows_tile import few_rows_tile
    from cnnc.runtime.cuda.integers import divide, float_of_bits
    from cnnc.runtime.cuda.intrinsics import unrolled
    from cnnc.runtime.cuda.memory_access import load, load_shared, shared_memory, store, store_shared

    tile = _tile(params)
    rows, columns, parts = tile.rows, tile.columns, tile.parts
    groups, results = WARPS // parts, rows * columns
    zero_tile, multiply = few_rows_tile(rows, columns, bool(params["quads"]))
    activation = scalar_activation(str(params["activation"]))
    is_partial = bool(params["partial"])
    shared = shared_memory(4 * WARPS * results)

    def add_lanes(at: int, index: int, facts: Any) -> int:
        """One result of the warp to shared memory."""
        sums, lane = facts
        total = sums[index]
        distance = WARP // 2
        while distance > 0:
            total += cuda.shfl_xor_sync(0xFFFFFFFF, total, distance)
            distance >>= 1
        if lane == 0:
            store_shared(at + 4 * index, total)
        return at

    add_all_lanes = unrolled(results, add_lanes)

    def gemm_few_rows(args: Any) -> None:
        y, a, weights, bias, count_m, count_n, depth, a_row, a_column, splits, alpha, beta = args
        row_groups = (count_m + rows - 1) // rows
        rest, split = divide(cuda.blockIdx.x, splits)
        column_group, row_group = divide(rest, row_groups)
        lane, warp = cuda.threadIdx.x % WARP, cuda.threadIdx.x // WARP
        group, part = warp // parts, warp % parts
        pitch = (depth + LANES - 1) // LANES * LANES
        first_row, first_column = row_group * rows, (column_group * groups + group) * columns
        first = 4 * (lane + WARP * (split * parts + part))
        last_row, last_column = count_m - 1 - first_row, count_n - 1 - first_column
        at_a = a + 4 * (first_row * a_row + first * a_column)
        at_w = weights + 4 * (first_column * pitch + first)
        step = 4 * WARP * parts * splits
        sums, index = zero_tile(), first
        while index < depth and last_column >= 0:
            strides = (4 * pitch, 4 * a_row, 4 * a_column)
            sums = multiply(sums, at_w, at_a, strides, (last_row, last_column, depth - index))
            at_w += 4 * step
            at_a += 4 * step * a_column
            index += step
        base = shared()
        add_all_lanes(base + 4 * (part * groups + group) * results, (sums, lane))
        cuda.syncthreads()
        # Here a thread has one result of a group of columns.
        thread = cuda.threadIdx.x
        group = thread // results
        row = first_row + thread % results // columns
        column = (column_group * groups + group) * columns + thread % columns
        if group >= groups or row >= count_m or column >= count_n:
            return
        at = base + 4 * thread
        total = load_shared(at)
        for other in range(1, parts):
            total += load_shared(at + 4 * other * groups * results)
        if is_partial:
            store(y + 4 * ((split * count_m + row) * count_n + column), total)
        else:
            total += load(bias + 4 * column)
            store(y + 4 * (row * count_n + column), activation(total, float_of_bits(alpha), float_of_bits(beta)))

    return gemm_few_rows


KERNEL = KernelDef(
    name="gemm.f32.few_rows",
    buffers=("y", "a", "weights", "bias"),
    sizes=SIZES,
    build=_build,
    items=_items,
    footprint=_footprint,
    threads=lambda params: WARP * WARPS,
)
