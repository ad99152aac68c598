"""``conv.f32.winograd.products``: M[position] = U[position] V[position], the second of three launches.

The method and the order of V and M: ``winograd_shape``. A block of threads computes ``BlockTile.channels`` x ``pixels``
sums of a position, its pixels being columns of M. The sum goes in steps of eight channels: while the threads multiply
the panels of a step, which lie in shared memory, they load the next step's to registers, 16 bytes a load, and store
them to the other half of the shared memory; one barrier a step. Both panels lie in memory as they are wanted: nothing
is transposed.

The window's depth is summed directly: for each of its KD planes, a column of M reads another plane of V. What lies
beyond the first and last plane counts as 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnnc.dims import Dim, ceil_div
from cnnc.runtime.cuda.register_tile import DEPTH, tile_of
from cnnc.runtime.cuda.target import LANES
from cnnc.runtime.cuda.winograd_shape import m_bytes, v_bytes
from cnnc.runtime.kernel import Access, KernelDef, Params, Target

NAME = "conv.f32.winograd.products"
SIZES = ("positions", "N", "D", "OD", "KD", "SD", "DD", "PD", "plane_columns", "channels", "YB")
"""positions: products of a tile and a channel. D, OD: planes of an image of V and of M. KD, SD, DD, PD: the window's
depth, stride, dilation, padding before. channels: rows of a position of V. YB: blocks of channels of y. Variant
parameters: those of ``BlockTile``; depth (1 if a column of M may read other planes than its own); tail (1 if channels
are no multiple of 8)."""


def _column_tiles(s: Mapping[str, Dim], params: Params) -> Dim:
    return ceil_div(s["N"] * s["OD"] * s["plane_columns"], tile_of(params).pixels)


def _items(s: Mapping[str, Dim], params: Params) -> Dim:
    row_tiles = ceil_div(s["YB"] * LANES, tile_of(params).channels)
    return s["positions"] * row_tiles * _column_tiles(s, params)


def _footprint(s: Mapping[str, int], params: Params) -> tuple[Access, ...]:
    tile, positions = tile_of(params), s["positions"]
    v = v_bytes(positions, s["channels"], s["N"] * s["D"], s["plane_columns"])
    m = m_bytes(positions, s["YB"], s["N"] * s["OD"] * s["plane_columns"])
    row_tiles, steps = -(-s["YB"] * LANES // tile.channels), -(-s["channels"] // DEPTH)
    packed = positions * row_tiles * s["KD"] * steps * DEPTH * tile.channels
    assert isinstance(v, int) and isinstance(m, int)
    return Access("m", 0, m, True), Access("v", 0, v, False), Access("weights", 0, 4 * packed, False)


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from numba import cuda

    from cnnc.runtime.cuda.integers import divide
    from cnnc.runtime.cuda.intrinsics import for_each_quad
    from cnnc.runtime.cuda.memory_access import (
        load_quad,
        load_quad_if,
        shared_memory,
        store_quad,
        store_shared_quad,
    )
    from cnnc.runtime.cuda.register_tile import register_tile

    tile = tile_of(params)
    zero_tile, multiply = register_tile(tile)
    shared = shared_memory(2 * tile.stage_bytes)
    threads, channels, pixels = tile.threads, tile.channels, tile.pixels
    row_threads, column_threads = tile.row_threads, tile.column_threads
    second_weights, second_pixels = tile.weight_loads == 2, tile.pixel_loads == 2
    weight_bytes, pitch, stage_bytes = 4 * DEPTH * channels, 4 * tile.pixel_pitch, tile.stage_bytes
    quads = pixels // 4
    row_distance = threads // quads  # rows of V between the two quads that a thread copies
    has_depth, has_tail = bool(params["depth"]), bool(params["tail"])
    pixel = 4 * LANES

    def finish(sums: Any, row: int, column: int, facts: Any) -> None:
        """Store four channels of a column."""
        m, first_row, first_column, y_blocks, columns = facts
        channel = first_row + row // 4 * 4 * row_threads
        at = first_column + column // 4 * 4 * column_threads + column % 4
        if at < columns and channel < y_blocks * LANES:
            store_quad(m + (channel // LANES * columns + at) * pixel + 4 * (channel % LANES), sums)

    finish_tile = for_each_quad(tile.rows, tile.columns, finish)

    def conv_winograd_products(args: Any) -> None:
        m, v, weights = args[:3]
        images, depth, out_d, kernel_d, stride_d, dilation_d, begin_d, plane_columns, rows, y_blocks = args[4:]

        columns = images * out_d * plane_columns
        v_pitch = (images * depth * plane_columns + 7) // 8 * 8
        row_tiles = (y_blocks * LANES + channels - 1) // channels
        column_tiles = (columns + pixels - 1) // pixels
        rest, row_tile = divide(cuda.blockIdx.x, row_tiles)
        position, column_tile = divide(rest, column_tiles)
        thread = cuda.threadIdx.x
        plane_steps = (rows + DEPTH - 1) // DEPTH
        steps = kernel_d * plane_steps

        # What this thread copies: quads of weights, and a quad of a row of V, or of two. Instead of columns beyond the
        # last it copies the first, whose sums are not stored.
        weights_at = weights + ((position * row_tiles + row_tile) * steps * DEPTH * channels + 4 * thread) * 4
        row0, quad = divide(thread, quads)
        first_column = column_tile * pixels
        column = first_column + 4 * quad
        image, place = divide(column if column < columns else 0, out_d * plane_columns)
        plane, place = divide(place, plane_columns)
        z = plane * stride_d - begin_d
        position_at = v + 4 * ((position * rows + row0) * v_pitch + image * depth * plane_columns + place)
        step_bytes, second = 4 * DEPTH * v_pitch, 4 * row_distance * v_pitch

        base = shared()
        a_copy = base + 16 * thread
        b_copy = base + weight_bytes + row0 * pitch + 16 * quad
        a_tile = base + 16 * (thread // column_threads)
        b_tile = base + weight_bytes + 16 * (thread % column_threads)

        sums = zero_tile()
        stage, row = 0, row0
        at = position_at + 4 * z * plane_columns
        inside = 0 <= z < depth
        for step in range(steps + 1):
            if step < steps:
                w0 = load_quad(weights_at)
                w1 = load_quad(weights_at + 16 * threads) if second_weights else w0
                if has_tail:
                    v0 = load_quad_if(at, inside and row < rows)
                    v1 = load_quad_if(at + second, inside and row + row_distance < rows) if second_pixels else v0
                elif has_depth:
                    v0 = load_quad_if(at, inside)
                    v1 = load_quad_if(at + second, inside) if second_pixels else v0
                else:
                    v0 = load_quad(at)
                    v1 = load_quad(at + second) if second_pixels else v0
                weights_at += weight_bytes
                at += step_bytes
                row += DEPTH
                if has_depth and row >= plane_steps * DEPTH:
                    row = row0
                    z += dilation_d
                    at = position_at + 4 * z * plane_columns
                    inside = 0 <= z < depth
            if step > 0:
                sums = multiply(sums, a_tile + stage, b_tile + stage)
                stage = stage_bytes - stage
            if step < steps:
                store_shared_quad(a_copy + stage, w0)
                if second_weights:
                    store_shared_quad(a_copy + stage + 16 * threads, w1)
                store_shared_quad(b_copy + stage, v0)
                if second_pixels:
                    store_shared_quad(b_copy + stage + row_distance * pitch, v1)
                cuda.syncthreads()

        finish_tile(
            sums,
            (
                m + position * y_blocks * columns * pixel,
                row_tile * channels + 4 * (thread // column_threads),
                first_column + 4 * (thread % column_threads),
                y_blocks,
                columns,
            ),
        )

    return conv_winograd_products


KERNEL = KernelDef(
    name=NAME,
    buffers=("m", "v", "weights"),
    sizes=SIZES,
    build=_build,
    items=_items,
    footprint=_footprint,
    writes=("m",),
    threads=lambda params: tile_of(params).threads,
)
