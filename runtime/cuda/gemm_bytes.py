"""``gemm.u8.warps``: Y[M, N] = bytes((A @ B + bias) * factor) of bytes with constant B, summed in int32.

A is [M, K] of type ``element``, u8 or i8, in rows of whole quads of words (16 bytes); B is int8, packed as [N][K], with
zeros behind its depth, whatever lies there in A. A warp computes ``rows`` x ``columns`` results: its threads share out
the depth, 16 bytes at a time, so that they read both operands by whole sectors, and join their sums by shuffles. With
one row it streams B once. bytes(v) is rint(v) + y_zero, saturated to ``y_least`` and 255 more; ``bias``, int32, holds
the corrections for zero points, ``factors`` are float32, one a column.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.dims import Dim, ceil_div
from cnnc.runtime.cuda.target import WARP
from cnnc.runtime.kernel import Access, KernelDef, Params, Target

STEP = 16
"""Bytes of the depth that a thread takes at a time."""

WARPS = 4

SIZES = ("M", "N", "K", "a_row", "y_row", "y_zero", "y_least")
"""``K``: steps of the depth. ``a_row``, ``y_row``: bytes from one row to the next."""


def pack_columns(weights: NDArray[Any]) -> NDArray[np.int8]:
    """Weights [N, K], zero-padded in K to whole steps."""
    return np.ascontiguousarray(np.pad(weights, ((0, 0), (0, -weights.shape[1] % STEP))))


def _items(sizes: Mapping[str, Dim], params: Params) -> Dim:
    return ceil_div(sizes["M"], int(params["rows"])) * ceil_div(sizes["N"], WARPS * int(params["columns"]))


def _footprint(sizes: Mapping[str, int], params: Params) -> tuple[Access, ...]:
    m, n, k = sizes["M"], sizes["N"], sizes["K"] * STEP
    if not m or not n:
        return ()
    return (
        Access("y", 0, (m - 1) * sizes["y_row"] + n, True),
        Access("a", 0, (m - 1) * sizes["a_row"] + k, False),
        Access("b", 0, n * k, False),
        Access("bias", 0, 4 * n, False),
        Access("factors", 0, 4 * n, False),
    )


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from numba import cuda
    from numba.core import cgutils
    from numba.cuda import types

    from cnnc.runtime.cuda.byte_access import WORD, as_word, store_byte, word_access
    from cnnc.runtime.cuda.byte_words import emit_dot, emit_float
    from cnnc.runtime.cuda.integers import divide
    from cnnc.runtime.cuda.intrinsics import FLOAT, I32, device_function
    from cnnc.runtime.cuda.memory_access import load
    from cnnc.runtime.cuda.requantization import emit_stored
    from cnnc.runtime.cuda.word_loops import for_each_column, gathered
    from cnnc.runtime.cuda.word_sums import warp_sums

    rows, columns, element = int(params["rows"]), int(params["columns"]), str(params["element"])
    tile_type = types.UniTuple(WORD, rows * columns)
    fetch_word, fetch_quad = word_access(1).fetch, word_access(4).fetch

    def zeros(builder: Any) -> Any:
        return cgutils.pack_array(builder, [I32(0)] * (rows * columns))

    def add_products(builder: Any, sums: Any, left: Any, right: Any) -> Any:
        totals = cgutils.unpack_tuple(builder, sums)
        a, b = cgutils.unpack_tuple(builder, left), cgutils.unpack_tuple(builder, right)
        for row in range(rows):
            for column in range(columns):
                at = row * columns + column
                for word in range(4):
                    totals[at] = emit_dot(builder, b[4 * column + word], a[4 * row + word], totals[at], element)
        return cgutils.pack_array(builder, totals)

    def requantize(builder: Any, total: Any, bias: Any, factor: Any, zero: Any, least: Any) -> Any:
        real = builder.fmul(emit_float(builder, builder.add(total, bias)), factor)
        return emit_stored(builder, real, zero, least)

    zero_tile, sum_of_warp = device_function(tile_type, [], zeros), warp_sums(rows * columns)
    add_step = device_function(
        tile_type, [tile_type, types.UniTuple(WORD, 4 * rows), types.UniTuple(WORD, 4 * columns)], add_products
    )
    to_byte = device_function(WORD, [WORD, WORD, FLOAT, WORD, WORD], requantize)

    def quad_of(index: int, facts: Any) -> Any:
        """Of a row or column; of the last where there is none."""
        at, first, count, distance = facts
        return fetch_quad(at + min(first + index, count - 1) * distance)

    quads_of_rows, quads_of_columns = gathered(rows, 4, quad_of), gathered(columns, 4, quad_of)

    def finish_one(sums: Any, index: int, facts: Any) -> None:
        lane, row, column, m, n, y, y_row, bias, factors, zero, least = facts
        row += index // columns
        column += index % columns
        if lane == index and row < m and column < n:
            byte = to_byte(sums[0], fetch_word(bias + 4 * column), load(factors + 4 * column), zero, least)
            store_byte(y + row * y_row + column, byte)

    finish = for_each_column(1, rows * columns, finish_one)

    def gemm_bytes(args: Any) -> None:
        y, a, b, bias, factors, m, n, k, a_row, y_row, y_zero, y_least = args
        groups = (n + WARPS * columns - 1) // (WARPS * columns)
        row_tile, group = divide(cuda.blockIdx.x, groups)
        thread = cuda.threadIdx.x
        lane = thread % WARP
        row, column = row_tile * rows, (group * WARPS + thread // WARP) * columns
        sums = zero_tile()
        for step in range(lane, k, WARP):
            left = quads_of_rows((a + step * STEP, row, m, a_row))
            right = quads_of_columns((b + step * STEP, column, n, k * STEP))
            sums = add_step(sums, left, right)
        sums = sum_of_warp(sums)
        numbers = (as_word(y_zero), as_word(y_least))
        finish(sums, (lane, row, column, m, n, y, y_row, bias, factors, numbers[0], numbers[1]))

    return gemm_bytes


KERNEL = KernelDef(
    name="gemm.u8.warps",
    buffers=("y", "a", "b", "bias", "factors"),
    sizes=SIZES,
    build=_build,
    items=_items,
    footprint=_footprint,
    threads=lambda params: WARPS * WARP,
)
