"""conv.f32.blocked.strassen: 1x1 convolution without padding by Strassen's method.

A register tile covers ``columns`` pixels and as many right behind them, and ``blocks`` blocks of output channels in the
first half of the channels and as many in the second: 2x2 blocks of the result, of 7 products instead of 8
(``strassen_products``). A work item is a group of such tiles. The differences of its input are written to scratch, once
a worker for all its items of one group of pixels. The other operands are read in place; but the last tile of an image
is copied, with zeros for the missing pixels, and so are all where a prologue transforms the input or a stride skips
pixels.

Both halves of the input and the output channels are whole blocks, and all their lanes are channels.

An infinite or NaN input spoils the results of two pixels, those at the same place in both halves of a tile.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnnc.dims import Dim, ceil_div, floor_div, round_up
from cnnc.runtime.cpu.conv_footprint import GAPS, epilogue_footprint, images_access, residual_inplace
from cnnc.runtime.cpu.prologue import PROLOGUE_BUFFERS, PROLOGUE_SIZES, has_prologue, input_copy, prologue_accesses
from cnnc.runtime.cpu.strassen_products import DIFFERENCES, PRODUCTS
from cnnc.runtime.cpu.tile_table import ENTRY_BYTES, LINE_BYTES
from cnnc.runtime.kernel import Access, KernelDef, Params, Target

NAME = "conv.f32.blocked.strassen"
BUFFERS = ("x", "weights", "bias", "residual", "slopes", "y", *PROLOGUE_BUFFERS)
SIZES = (
    *("N", "XB", "YB", "pixels", "weight_floats", "pixel_tiles", "oc_tiles", "alpha", "beta"),
    *GAPS,
    *PROLOGUE_SIZES,
    *("x_pixels", "row_pixels", "row_step", "column_step"),
)
"""XB, YB: channel blocks of x and y, even. pixels, x_pixels: of an image of y and of x. pixel_tiles, oc_tiles: tiles of
one work item. weight_floats: as ``strassen_packing`` gives them. With a stride, y has rows of row_pixels; from one
pixel to the next it is column_step pixels in x, and from a row to the next row_step. Without, all pixels are one row.
residual and slopes are 0 where the variant has none. Variant parameters: columns, blocks, activation, residual (0 or
1), lanes, prologue (or none), strided (1 or none)."""

_HELD_BYTES = LINE_BYTES
"""At the start of scratch: the group of pixels whose operands lie there, counted from 1, or 0."""

_OPERAND_BYTES = len(PRODUCTS) * 16
"""The operands of a register tile, as ``strassen_tile`` lists them."""


def _copies_all(params: Params) -> bool:
    return has_prologue(params) or "strided" in params


def _scratch_bytes(s: Mapping[str, Dim], params: Params) -> Dim:
    half = floor_div(s["XB"], 2)
    panel = half * (int(params["columns"]) * int(params["lanes"]) * 4)
    copied = s["pixel_tiles"] if _copies_all(params) else 1
    lists = round_up(s["pixel_tiles"] * _OPERAND_BYTES + half * (2 * ENTRY_BYTES), LINE_BYTES)
    return _HELD_BYTES + lists + (s["pixel_tiles"] * len(DIFFERENCES) + copied * 4) * panel


def _items(s: Mapping[str, Dim], params: Params) -> Dim:
    pixel_groups = ceil_div(s["pixels"], s["pixel_tiles"] * (2 * int(params["columns"])))
    return s["N"] * pixel_groups * ceil_div(floor_div(s["YB"], 2 * int(params["blocks"])), s["oc_tiles"])


def _footprint(s: Mapping[str, int], params: Params) -> tuple[Access, ...]:
    return (
        images_access("x", s, s["XB"] * s["x_pixels"] * int(params["lanes"]) * 4, False),
        Access("weights", 0, s["weight_floats"] * 4, False),
        *epilogue_footprint(s, params, s["pixels"]),
        *prologue_accesses(s, params),
    )


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from cnnc.runtime.cpu.memory_ops import memory_ops
    from cnnc.runtime.cpu.strassen_tile import STRASSEN_ARGS, emit_differences, emit_operand_list, emit_strassen_tile
    from cnnc.runtime.cpu.tile import Tile
    from cnnc.runtime.cpu.vector import constant, intrinsic

    columns, blocks = int(params["columns"]), int(params["blocks"])
    tile = Tile(
        1, columns, blocks, target.vector_bytes, str(params["activation"]), bool(params["residual"]), ahead=True
    )
    run_tile = intrinsic(target, lambda b, *values: emit_strassen_tile(b, tile, *values), len(STRASSEN_ARGS))
    subtract = intrinsic(target, emit_differences, 6)
    list_operands = intrinsic(target, emit_operand_list, 8)
    tile_columns, tile_blocks = constant(target, columns), constant(target, blocks)
    vector_bytes, lanes_of = constant(target, target.vector_bytes), constant(target, target.lanes)
    held_bytes, operand_bytes = constant(target, _HELD_BYTES), constant(target, _OPERAND_BYTES)
    copies_all = constant(target, int(_copies_all(params)))
    memory = memory_ops(target)
    load_index, store_index, zero_vectors = memory.load_index, memory.store_index, memory.zero_vectors
    copy_input = input_copy(target, params)

    def kernel(args: Any, begin: int, end: int, scratch: int) -> None:
        COLUMNS, BLOCKS, BYTES, LANES = tile_columns(), tile_blocks(), vector_bytes(), lanes_of()
        x, weights, bias, residual, slopes, y = args[0], args[1], args[2], args[3], args[4], args[5]
        input_scale, input_shift = args[6], args[7]
        XB, YB, pixels = args[9], args[10], args[11]
        pixel_tiles, oc_tiles, alpha, beta = args[13], args[14], args[15], args[16]
        x_gap, y_gap, residual_gap = args[17] * 4, args[18] * 4, args[19] * 4
        input_alpha, input_beta = args[20], args[21]
        x_pixels, row_pixels, row_step, column_step = args[23], args[24], args[25], args[26]

        half = XB // 2
        panel = half * COLUMNS * BYTES
        k = half * LANES
        product_weights = k * BLOCKS * BYTES
        operands = scratch + held_bytes()
        tables = operands + pixel_tiles * operand_bytes()
        differences = operands + (pixel_tiles * operand_bytes() + half * 48 + 63) // 64 * 64
        copies = differences + pixel_tiles * 4 * panel
        # Two tables: offsets into x, and into differences and copies.
        panel_table = tables + half * 24
        for block in range(half):
            entry = tables + block * 24
            store_index(entry, block * x_pixels * BYTES)
            store_index(entry + 8, block * LANES * BLOCKS * BYTES)
            store_index(entry + 16, LANES)
            entry = panel_table + block * 24
            store_index(entry, block * COLUMNS * BYTES)
            store_index(entry + 8, block * LANES * BLOCKS * BYTES)
            store_index(entry + 16, LANES)
        tile_pixels = 2 * COLUMNS
        group_pixels = pixel_tiles * tile_pixels
        pixel_groups = (pixels + group_pixels - 1) // group_pixels
        half_oc = YB // 2
        all_oc_tiles = half_oc // BLOCKS
        oc_groups = (all_oc_tiles + oc_tiles - 1) // oc_tiles

        # Differences serve several items, of this call and of the worker's next.
        held = load_index(scratch) - 1
        for item in range(begin, end):
            group = item // oc_groups
            oc_begin = (item - group * oc_groups) * oc_tiles
            oc_end = min(oc_begin + oc_tiles, all_oc_tiles)
            image = group // pixel_groups
            pixel_begin = (group - image * pixel_groups) * group_pixels
            pixel_end = min(pixel_begin + group_pixels, pixels)
            image_x = x + image * (XB * x_pixels * BYTES + x_gap)
            if group != held:
                held = group
                store_index(scratch, held + 1)
                copy = copies
                minus = differences
                row = operands
                for pixel in range(pixel_begin, pixel_end, tile_pixels):
                    # The blocks of X: X11, and how far it is to its next channel block, to X12 and to X21.
                    base, table = image_x + pixel * BYTES, tables
                    step, right, lower = x_pixels * BYTES, COLUMNS * BYTES, half * x_pixels * BYTES
                    if copies_all() or pixel + tile_pixels > pixel_end:
                        for block in range(XB):
                            is_lower = block // half
                            place = copy + is_lower * 2 * panel + (block - is_lower * half) * COLUMNS * BYTES
                            for column in range(2):
                                dst = place + column * panel
                                first = pixel + column * COLUMNS
                                stop = min(first + COLUMNS, pixel_end)
                                while first < stop:
                                    y_row = first // row_pixels
                                    y_column = first - y_row * row_pixels
                                    count = min(row_pixels - y_column, stop - first)
                                    x_pixel = block * x_pixels + y_row * row_step + y_column * column_step
                                    copy_input(
                                        dst,
                                        image_x + x_pixel * BYTES,
                                        column_step * BYTES,
                                        count,
                                        input_scale + block * BYTES,
                                        input_shift + block * BYTES,
                                        input_alpha,
                                        input_beta,
                                    )
                                    first += count
                                    dst += count * BYTES
                                zero_vectors(dst, (place + column * panel + COLUMNS * BYTES - dst) // BYTES)
                        base, table = copy, panel_table
                        step, right, lower = COLUMNS * BYTES, panel, 2 * panel
                        copy += 4 * panel
                    for block in range(half):
                        subtract(minus + block * COLUMNS * BYTES, panel, base + block * step, right, lower, COLUMNS)
                    list_operands(row, base, right, lower, table, minus, panel, panel_table)
                    row += operand_bytes()
                    minus += 4 * panel

            for oc in range(oc_begin, oc_end):
                tile_weights = weights + oc * 7 * product_weights
                lanes_offset = oc * BLOCKS * BYTES
                row = operands
                ahead = tile_weights + 7 * product_weights  # each tile asks for a part of the next weights
                for pixel in range(pixel_begin, pixel_end, tile_pixels):
                    y_offset = ((image * YB + oc * BLOCKS) * pixels + pixel) * BYTES
                    run_tile(
                        row, tile_weights, product_weights, half, bias + lanes_offset, slopes + lanes_offset,
                        residual + image * residual_gap + y_offset, y + image * y_gap + y_offset,
                        pixels * BYTES, half_oc * pixels * BYTES, half_oc * BYTES,
                        min(COLUMNS, pixel_end - pixel), min(COLUMNS, pixel_end - pixel - COLUMNS), alpha, beta, ahead,
                    )  # fmt: skip
                    row += operand_bytes()
                    ahead += 7 * k * 64

    return kernel


KERNEL = KernelDef(NAME, BUFFERS, SIZES, _build, _items, _footprint, _scratch_bytes, inplace=residual_inplace)
