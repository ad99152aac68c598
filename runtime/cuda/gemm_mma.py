"""``gemm.mma``: Y = act(A @ W + bias) with constant weights on tensor cores.

    y[m, n] = act(bias[n] + sum over k of r(a[m, k]) * r(weights[k, n]))

A [M, K] and Y [M, N] are float32 matrices, rows of A ``a_row`` elements apart, rows of Y adjacent. r rounds to the type
that the parameter ``precision`` names (``tensor_precision``), sums are float32. The tile is that of ``warp_tile``, rows
of A being its pixels, and its panels are copied as those of ``conv.mma.implicit_gemm``. Where there are few tiles,
``splits`` blocks of threads share the steps of one: with ``partial`` they write sums to [split][M][N], and another
kernel adds these, the bias and the activation.

K and ``a_row`` are multiples of 4, and A lies at a multiple of 16 bytes, so that quads of a row can be loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.dims import Dim, ceil_div
from cnnc.runtime.cuda.warp_tile import matrix_words, warp_tile_arithmetic, warp_tile_of
from cnnc.runtime.kernel import Access, KernelDef, Params, Target

NAME = "gemm.mma"
SIZES = ("M", "N", "K", "a_row", "splits", "alpha", "beta")
"""alpha, beta: float bits of the activation. Weights: ``pack_fragments`` of [N, K]; bias: N floats, padded to a
multiple of 4. Compile-time parameters: those of ``warp_tile_of``; ``quads``, whether N is a multiple of 4;
``partial``; ``activation``, none where ``partial``."""


def padded_bias(bias: NDArray[np.float32]) -> NDArray[np.float32]:
    """``bias`` with zeros up to a multiple of 4."""
    return np.pad(bias, (0, -bias.size % 4))


def _items(sizes: Mapping[str, Dim], params: Params) -> Dim:
    tile = warp_tile_of(params)
    columns, rows = ceil_div(sizes["N"], tile.block_channels), ceil_div(sizes["M"], tile.block_pixels)
    return sizes["splits"] * columns * rows


def _footprint(sizes: Mapping[str, int], params: Params) -> tuple[Access, ...]:
    rows, columns, depth = sizes["M"], sizes["N"], sizes["K"]
    if not rows * columns:
        return ()
    weights = matrix_words(columns, depth, warp_tile_of(params))
    found = [
        Access("y", 0, 4 * sizes["splits"] * rows * columns, True),
        Access("a", 0, 4 * ((rows - 1) * sizes["a_row"] + depth), False),
        Access("weights", 0, 4 * weights, False),
    ]
    return tuple(found) if params["partial"] else (*found, Access("bias", 0, 4 * (-(-columns // 4) * 4), False))


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from numba import cuda

    from cnnc.runtime.cuda.activation import scalar_activation
    from cnnc.runtime.cuda.integers import divide, float_of_bits
    from cnnc.runtime.cuda.intrinsics import for_each_quad
    from cnnc.runtime.cuda.memory_access import load_quad, shared_memory, store, store_quad
    from cnnc.runtime.cuda.panel_copy import pixel_copy, weight_copy

    tile = warp_tile_of(params)
    zero_tile, multiply = warp_tile_arithmetic(tile, target)
    begin_weights, finish_weights = weight_copy(tile, target)
    load_row, _, store_row = pixel_copy(tile, target)
    activation = scalar_activation(str(params["activation"]))
    shared = shared_memory(2 * tile.stage_bytes)
    threads, block_columns, block_rows = tile.threads, tile.block_channels, tile.block_pixels
    warp_columns, warp_rows, column_warps = tile.channels, tile.pixels, tile.channel_warps
    step_depth, has_second = tile.depth, tile.pixel_loads == 2
    half_bytes = 8 if tile.factors.bytes == 2 else tile.chunk_pitch
    row_bytes, weight_bytes, stage_bytes = tile.pixel_bytes, tile.weight_bytes, tile.stage_bytes
    chunk_pitch = tile.chunk_pitch
    has_quads, is_partial = bool(params["quads"]), bool(params["partial"])

    def finish(sums: Any, quad: int, below: int, facts: Any) -> None:
        """Bias and activation of four columns of a row."""
        y, bias, first_row, first_column, rows, columns, alpha_bits, beta_bits = facts
        row, column = first_row + 8 * below, first_column + 4 * quad
        if row >= rows or column >= columns:
            return
        v0, v1, v2, v3 = sums
        if not is_partial:
            b = load_quad(bias + 4 * column)
            alpha, beta = float_of_bits(alpha_bits), float_of_bits(beta_bits)
            v0, v1 = activation(v0 + b[0], alpha, beta), activation(v1 + b[1], alpha, beta)
            v2, v3 = activation(v2 + b[2], alpha, beta), activation(v3 + b[3], alpha, beta)
        at = y + 4 * (row * columns + column)
        if has_quads:
            store_quad(at, (v0, v1, v2, v3))
        else:
            store(at, v0)
            if column + 1 < columns:
                store(at + 4, v1)
            if column + 2 < columns:
                store(at + 8, v2)
            if column + 3 < columns:
                store(at + 12, v3)

    finish_tile = for_each_quad(tile.rows, tile.columns, finish)

    def gemm_mma(args: Any) -> None:
        y, a, weights, bias, rows, columns, depth, a_row, splits, alpha, beta = args
        column_tiles = (columns + block_columns - 1) // block_columns
        rest, column_tile = divide(cuda.blockIdx.x, column_tiles)
        row_tile, split = divide(rest, splits)
        all_steps = (depth + step_depth - 1) // step_depth
        first_step, after_step = divide(split * all_steps, splits)[0], divide((split + 1) * all_steps, splits)[0]
        first_row, thread = row_tile * block_rows, cuda.threadIdx.x

        # What this thread copies: quads of weights, and every second quad of a row, or of two.
        weights_at = weights + (column_tile * all_steps + first_step) * weight_bytes + 16 * thread
        half, row0 = thread % 2, first_row + thread // 2
        row1 = row0 + threads // 2
        first = first_step * step_depth + 4 * half
        at0, at1 = a + 4 * (row0 * a_row + first), a + 4 * (row1 * a_row + first)
        left = depth - first

        # What its warp multiplies, and where in its fragments it has its row.
        warp, lane = thread // 32, thread % 32
        row_warp, column_warp = warp // column_warps, warp % column_warps
        base = shared()
        row_copy_at = base + half * half_bytes + 16 * (thread // 2)
        weight_copy_at = base + row_bytes + 16 * thread
        left_panel = base + 16 * (row_warp * warp_rows + lane % 16) + lane // 16 * chunk_pitch
        right_panel = base + row_bytes + 16 * (column_warp * (warp_columns // 16) * 32 + lane)

        sums, stage = zero_tile(), 0  # stage: where this step's panels go
        for step in range(first_step, after_step + 1):
            if step < after_step:
                begun = begin_weights(weights_at, weight_copy_at + stage)
                quads = (left + 7) // 8
                v0 = load_row(at0, 32, quads if row0 < rows else 0)
                v1 = load_row(at1, 32, quads if row1 < rows else 0) if has_second else v0
                weights_at += weight_bytes
                at0 += 4 * step_depth
                at1 += 4 * step_depth
                left -= step_depth
            if step > first_step:
                sums = multiply(sums, left_panel + stage_bytes - stage, right_panel + stage_bytes - stage)
            if step < after_step:
                store_row(row_copy_at + stage, v0)
                if has_second:
                    store_row(row_copy_at + stage + 8 * threads, v1)
                finish_weights(weight_copy_at + stage, begun)
                cuda.syncthreads()
                stage = stage_bytes - stage

        thread_row = first_row + row_warp * warp_rows + lane // 4
        thread_column = column_tile * block_columns + column_warp * warp_columns + 4 * (lane % 4)
        y += 4 * split * rows * columns
        finish_tile(sums, (y, bias, thread_row, thread_column, rows, columns, alpha, beta))

    return gemm_mma


KERNEL = KernelDef(
    name=NAME,
    buffers=("y", "a", "weights", "bias"),
    sizes=SIZES,
    build=_build,
    items=_items,
    footprint=_footprint,
    threads=lambda params: warp_tile_of(params).threads,
)
