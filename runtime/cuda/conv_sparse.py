"""``conv.f32.sparse``: convolution with weights that are mostly zeros, by lists of those that are not.

x and y are blocked by 8 channels, [N][C/8][D][H][W][8]. A block of threads computes ``SparseTile.pixels`` pixels, over
all images, of ``channels`` output channels. Chunk by chunk it copies the input of its pixels to a panel in shared
memory, transposed; each warp then walks through the lists of its own output channels, threads along pixels. An entry
costs a broadcast of place and weights, a load of the panel and a multiply-add for each pixel and channel: no thread
waits for another but at the barriers around a copy, and what is copied next is loaded meanwhile.

Products with zero weights are left out, so an infinity or NaN in x only reaches sums that have a weight for it. With
``partial``, ``splits`` blocks of threads divide the chunks of a tile, and write their sums to a workspace [split][N]
[C/8][D][H][W][8], which ``conv.f32.sum_splits`` adds. (Gale et al., Sparse GPU Kernels for Deep Learning, 2020, for
one list a warp, with vectors along the dense operand.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnnc.dims import Dim, ceil_div
from cnnc.runtime.cpu.conv_footprint import GAPS, epilogue_footprint, images_access, residual_inplace
from cnnc.runtime.cuda.sparse_packing import (
    GROUP_BYTES,
    GROUPS,
    INDEX_BYTES,
    TILE_BYTES,
    Array,
    sparse_refusal,
    sparse_tile_of,
)
from cnnc.runtime.cuda.target import LANES, WARP
from cnnc.runtime.kernel import Access, KernelDef, Params, Target

NAME = "conv.f32.sparse"
BUFFERS = ("y", "x", "records", "index", "groups", "tiles", "bias", "slopes", "residual")
SIZES = (
    *("N", "XB", "YB", "D", "H", "W", "OD", "OH", "OW", "SD", "SH", "SW", "PD", "PH", "PW"),
    *("record_count", "row_count", "group_count", "splits", "alpha", "beta", *GAPS),
)
"""XB, YB: blocks of channels of x and y. S*, P*: strides and paddings at the beginning. Compile-time parameters: those
of ``sparse_tile_of``; ``window``, whether taps have offsets or there is padding; ``partial``; ``activation``,
``residual`` and ``lanes`` (8)."""

MOST_THREADS = 512
"""Threads that a multiprocessor shall hold, with up to 128 registers each."""


def _outputs(sizes: Mapping[str, Dim]) -> Dim:
    return sizes["OD"] * sizes["OH"] * sizes["OW"]


def _items(sizes: Mapping[str, Dim], params: Params) -> Dim:
    tile = sparse_tile_of(params)
    tiles = ceil_div(sizes["YB"], tile.warps)
    return sizes["splits"] * tiles * ceil_div(sizes["N"] * _outputs(sizes), tile.pixels)


def _footprint(sizes: Mapping[str, int], params: Params) -> tuple[Access, ...]:
    tile = sparse_tile_of(params)
    outputs = sizes["OD"] * sizes["OH"] * sizes["OW"]
    x_image = 4 * LANES * sizes["XB"] * sizes["D"] * sizes["H"] * sizes["W"]
    if not sizes["N"] * outputs:
        return ()
    found = [
        images_access("x", sizes, x_image, False),
        Access("records", 0, 16 * tile.record_quads * (sizes["record_count"] + 1), False),
        Access("index", 0, INDEX_BYTES * sizes["row_count"], False),
        Access("groups", 0, GROUP_BYTES * sizes["group_count"], False),
        Access("tiles", 0, TILE_BYTES * -(-sizes["YB"] // tile.warps), False),
    ]
    if params["partial"]:
        size = 4 * LANES * sizes["splits"] * sizes["N"] * sizes["YB"] * outputs
        return (*found, Access("y", 0, size, True))
    return (*found, *epilogue_footprint(sizes, params, outputs))


def _inplace(sizes: Mapping[str, Dim], params: Params) -> tuple[tuple[str, str], ...]:
    return () if params["partial"] else residual_inplace(sizes, params)


def _table_refusal(sizes: Mapping[str, int], params: Params, tables: Mapping[str, Array]) -> str | None:
    facts = {"records": sizes["record_count"], "rows": sizes["row_count"], "group_count": sizes["group_count"]}
    facts |= {"x_blocks": sizes["XB"], "y_blocks": sizes["YB"]}
    return sparse_refusal(facts, sparse_tile_of(params), tables)


def _build(target: Target, params: Params) -> Callable[..., Any]:
    import numpy as np
    from numba import cuda

    from cnnc.runtime.cuda.epilogue import output_epilogue
    from cnnc.runtime.cuda.integers import divide
    from cnnc.runtime.cuda.intrinsics import for_each_quad
    from cnnc.runtime.cuda.memory_access import load_i32, shared_memory, store_quad, store_shared
    from cnnc.runtime.cuda.sparse_tile import sparse_functions

    tile = sparse_tile_of(params)
    functions = sparse_functions(tile, bool(params["window"]))
    load_chunk, store_chunk, zero_sums = functions.load, functions.store, functions.zero
    add_lists = functions.add_lists
    finish_quad = output_epilogue(params)
    shared = shared_memory(tile.panel_bytes)
    pixels, vectors, warps = tile.pixels, tile.vectors, tile.warps
    pitch, zero_row = tile.pitch, tile.zero_row
    has_window, is_partial, zero = bool(params["window"]), bool(params["partial"]), np.float32(0)

    def finish(sums: Any, row: int, column: int, facts: Any) -> None:
        """Four channels of a pixel."""
        y, bias, slopes, residual, block, first_pixel, last_pixel, y_blocks, outputs = facts[:9]
        y_gap, residual_gap, numbers = facts[9:]
        pixel = first_pixel + column * WARP
        if block >= y_blocks or pixel >= last_pixel:
            return
        image, place = divide(pixel, outputs)
        offset = ((image * y_blocks + block) * outputs + place) * LANES + row
        y_at = y + 4 * (offset + image * y_gap)
        if is_partial:
            store_quad(y_at, sums)
        else:
            at = 4 * (block * LANES + row)
            residual_at = residual + 4 * (offset + image * residual_gap)
            finish_quad(sums, y_at, bias + at, slopes + at, residual_at, numbers)

    finish_tile = for_each_quad(LANES, vectors, finish)

    def conv_sparse(args: Any) -> None:
        y, x, records, index, groups, tiles, bias, slopes, residual = args[:9]
        images, x_blocks, y_blocks, depth, height, width, out_d, out_h, out_w = args[9:18]
        stride_d, stride_h, stride_w, begin_d, begin_h, begin_w = args[18:24]
        splits, alpha, beta, x_gap, y_gap, residual_gap = args[27:]
        volume, outputs = depth * height * width, out_d * out_h * out_w
        last_pixel = images * outputs
        rest, split = divide(cuda.blockIdx.x, splits)
        pixel_tile, channel_tile = divide(rest, (y_blocks + warps - 1) // warps)
        thread = cuda.threadIdx.x
        lane, warp = thread % WARP, thread // WARP

        # What this thread copies: half a sector of one pixel, of some groups. Columns of the panel are in the order in
        # which a thread of the products reads its pixels.
        half, slot = thread % 2, thread // 2
        column, first_copy = slot % pixels, slot // pixels
        pixel = pixel_tile * pixels + column % vectors * WARP + column // vectors
        exists = pixel < last_pixel
        image, place = divide(pixel if exists else 0, outputs)
        line, ox = divide(place, out_w)
        oz, oy = divide(line, out_h)
        oz, oy, ox = oz * stride_d - begin_d, oy * stride_h - begin_h, ox * stride_w - begin_w
        source = x + 4 * (image * (x_blocks * volume * LANES + x_gap) + 4 * half)
        if not has_window:
            source += 4 * LANES * ((oz * height + oy) * width + ox)
        copied = (source, oz, oy, ox, np.int64(exists))
        extents = (depth, height, width, 4 * volume * LANES)

        base = shared()
        panel_store = base + 4 * ((first_copy * LANES + 4 * half) * pitch + column)
        panel = base + 4 * vectors * lane
        if thread < pitch:
            store_shared(base + zero_row + 4 * thread, zero)

        own = tiles + 16 * channel_tile
        first_group, group_count, first_row = load_i32(own), load_i32(own + 4), load_i32(own + 8)
        chunks = (group_count + GROUPS - 1) // GROUPS
        first, _ = divide(chunks * split, splits)
        last, _ = divide(chunks * (split + 1), splits)
        groups_at = groups + 16 * (first_group + first * GROUPS + first_copy)
        left = group_count - first * GROUPS - first_copy
        row = index + INDEX_BYTES * (first_row + first * warps + warp)
        own_chunks = last - first
        sums = zero_sums()
        for chunk in range(own_chunks + 1):
            if chunk < own_chunks:
                quads = load_chunk(groups_at, left, copied, extents)
                groups_at += 16 * GROUPS
                left -= GROUPS
            if chunk > 0:
                sums = add_lists(sums, panel, row, records)
                row += INDEX_BYTES * warps
                cuda.syncthreads()
            if chunk < own_chunks:
                store_chunk(panel_store, quads)
                cuda.syncthreads()

        result, gap = y, y_gap
        if is_partial:
            result, gap = y + 4 * split * images * y_blocks * outputs * LANES, 0
        places = (channel_tile * warps + warp, pixel_tile * pixels + lane, last_pixel, y_blocks, outputs)
        finish_tile(sums, (result, bias, slopes, residual, *places, gap, residual_gap, (alpha, beta)))

    return conv_sparse


KERNEL = KernelDef(
    name=NAME,
    buffers=BUFFERS,
    sizes=SIZES,
    build=_build,
    items=_items,
    footprint=_footprint,
    inplace=_inplace,
    tables=("records", "index", "groups", "tiles"),
    table_refusal=_table_refusal,
    threads=lambda params: sparse_tile_of(params).threads,
    resident=lambda params: MOST_THREADS // sparse_tile_of(params).threads,
)
