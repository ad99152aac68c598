"""``matmul.f32`` on GPUs: Y = act(scale * A @ B + bias) of two run-time matrices, as ``cnnc.runtime.cpu.matmul`` says.

A block of threads computes a tile of Y (``register_tile``): the channels of a tile are columns of Y, its pixels are
rows. The panels of a step lie in shared memory, and the threads load those of the next while they multiply.
Parameters: those of ``tile_of``; ``a_depth``, ``b_depth`` (whether K is the axis along which neighbours of A, of B, are
neighbours in memory), ``quads`` (whether N and all strides of Y are multiples of 4), ``activation`` and ``bias``. The
sizes ``m_tiles`` and ``n_tiles`` are not used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnnc.dims import Dim, ceil_div
from cnnc.frozen_dataclass import replace
from cnnc.runtime.cpu.matmul import KERNEL as CPU_KERNEL
from cnnc.runtime.cuda.register_tile import DEPTH, PADDING, BlockTile, tile_of
from cnnc.runtime.kernel import KernelDef, Params, Target


def _tile(params: Params) -> BlockTile:
    return replace(tile_of(params), channel_padding=PADDING)


def _items(sizes: Mapping[str, Dim], params: Params) -> Dim:
    tile = _tile(params)
    return sizes["B0"] * sizes["B1"] * ceil_div(sizes["N"], tile.channels) * ceil_div(sizes["M"], tile.pixels)


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from numba import cuda

    from cnnc.runtime.cuda.activation import scalar_activation
    from cnnc.runtime.cuda.integers import divide, float_of_bits
    from cnnc.runtime.cuda.intrinsics import BOOL, FLOAT, INT, for_each_quad, inlined
    from cnnc.runtime.cuda.memory_access import load_if, shared_memory, store, store_quad
    from cnnc.runtime.cuda.register_tile import register_tile
    from cnnc.runtime.cuda.strided_panel import panel_copy

    tile = _tile(params)
    zero_tile, multiply = register_tile(tile)
    activation = scalar_activation(str(params["activation"]))
    shared = shared_memory(2 * tile.stage_bytes)
    columns, rows, stage_bytes = tile.channels, tile.pixels, tile.stage_bytes
    row_threads, column_threads = tile.row_threads, tile.column_threads
    b_pitch, a_pitch, a_panel = tile.channel_pitch, tile.pixel_pitch, 4 * DEPTH * tile.channel_pitch
    has_bias, stores_quads = bool(params["bias"]), bool(params["quads"])
    b_copy = panel_copy(columns, b_pitch, tile.threads, bool(params["b_depth"]))
    a_copy = panel_copy(rows, a_pitch, tile.threads, bool(params["a_depth"]))
    place_a, load_a, store_a = a_copy.place, a_copy.load, a_copy.store
    place_b, load_b, store_b = b_copy.place, b_copy.load, b_copy.store

    def finish_one(total: Any, bias: int, has_column: bool, scale: Any, alpha: Any, beta: Any) -> Any:
        value = total * scale + load_if(bias, has_bias and has_column)
        return activation(value, alpha, beta)

    result = inlined(FLOAT, [FLOAT, INT, BOOL, FLOAT, FLOAT, FLOAT], finish_one)

    def finish(sums: Any, row: int, column: int, facts: Any) -> None:
        """Four columns of a row of Y."""
        y, bias, first_row, first_column, y_row, last, scale_bits, alpha_bits, beta_bits = facts
        m = first_row + column // 4 * 4 * column_threads + column % 4
        n = first_column + row // 4 * 4 * row_threads
        count_m, count_n = last
        if m >= count_m or n >= count_n:
            return
        scale, alpha, beta = float_of_bits(scale_bits), float_of_bits(alpha_bits), float_of_bits(beta_bits)
        at, bias_at = y + 4 * (m * y_row + n), bias + 4 * n
        v0 = result(sums[0], bias_at, True, scale, alpha, beta)
        v1 = result(sums[1], bias_at + 4, n + 1 < count_n, scale, alpha, beta)
        v2 = result(sums[2], bias_at + 8, n + 2 < count_n, scale, alpha, beta)
        v3 = result(sums[3], bias_at + 12, n + 3 < count_n, scale, alpha, beta)
        if stores_quads:
            store_quad(at, (v0, v1, v2, v3))
            return
        store(at, v0)
        if n + 1 < count_n:
            store(at + 4, v1)
        if n + 2 < count_n:
            store(at + 8, v2)
        if n + 3 < count_n:
            store(at + 12, v3)

    finish_tile = for_each_quad(tile.rows, tile.columns, finish)

    def matmul(args: Any) -> None:
        a, b, bias, y = args[:4]
        _, batches, count_m, count_n, depth, a_batch0, a_batch1, a_row, a_column = args[4:13]
        b_batch0, b_batch1, b_row, b_column, y_batch0, y_batch1, y_row = args[13:20]
        scale, alpha, beta = args[22:]
        rest, column_tile = divide(cuda.blockIdx.x, (count_n + columns - 1) // columns)
        rest, row_tile = divide(rest, (count_m + rows - 1) // rows)
        batch0, batch1 = divide(rest, batches)
        first_row, first_column = row_tile * rows, column_tile * columns
        thread = cuda.threadIdx.x

        a_k, a_m = place_a(thread)
        b_k, b_n = place_b(thread)
        a_at = a + 4 * (batch0 * a_batch0 + batch1 * a_batch1 + (first_row + a_m) * a_row + a_k * a_column)
        b_at = b + 4 * (batch0 * b_batch0 + batch1 * b_batch1 + (first_column + b_n) * b_column + b_k * b_row)
        a_strides, b_strides = (4 * a_column, 4 * a_row), (4 * b_row, 4 * b_column)
        a_left, b_left = count_m - first_row - a_m, count_n - first_column - b_n

        base = shared()
        b_store = base + 4 * (b_k * b_pitch + b_n)
        a_store = base + a_panel + 4 * (a_k * a_pitch + a_m)
        b_tile = base + 16 * (thread // column_threads)
        a_tile = base + a_panel + 16 * (thread % column_threads)
        sums, stage, left = zero_tile(), 0, depth
        steps = (depth + DEPTH - 1) // DEPTH
        for step in range(steps + 1):
            if step < steps:
                b_values = load_b(b_at, b_strides, (left - b_k, b_left))
                a_values = load_a(a_at, a_strides, (left - a_k, a_left))
                b_at += DEPTH * b_strides[0]
                a_at += DEPTH * a_strides[0]
                left -= DEPTH
            if step > 0:
                sums = multiply(sums, b_tile + stage, a_tile + stage)
                stage = stage_bytes - stage
            if step < steps:
                store_b(b_store + stage, b_values)
                store_a(a_store + stage, a_values)
                cuda.syncthreads()
        result_at = y + 4 * (batch0 * y_batch0 + batch1 * y_batch1)
        own_row, own_column = first_row + 4 * (thread % column_threads), first_column + 4 * (thread // column_threads)
        finish_tile(sums, (result_at, bias, own_row, own_column, y_row, (count_m, count_n), scale, alpha, beta))

    return matmul


KERNEL = KernelDef(
    name="matmul.f32",
    buffers=CPU_KERNEL.buffers,
    sizes=CPU_KERNEL.sizes,
    build=_build,
    items=_items,
    footprint=CPU_KERNEL.footprint,
    threads=lambda params: _tile(params).threads,
)
