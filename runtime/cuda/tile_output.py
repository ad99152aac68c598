"""Where the sums of a block tile go: places in a blocked tensor, with the epilogue. Imported only while compiling."""

from __future__ import annotations

from typing import Any

from cnnc.runtime.cuda.epilogue import output_epilogue
from cnnc.runtime.cuda.integers import divide
from cnnc.runtime.cuda.intrinsics import for_each_quad
from cnnc.runtime.cuda.memory_access import store_quad
from cnnc.runtime.cuda.register_tile import BlockTile
from cnnc.runtime.cuda.target import LANES
from cnnc.runtime.kernel import Params

WHOLE_MAP = (1,) * 11
"""The last facts of tiles whose pixels are all of a map's."""


def tile_output(tile: BlockTile, params: Params, *, is_partial: bool = False, is_phased: bool = False) -> Any:
    """``write(sums, facts)``: a thread's part of a block tile to y.

    ``facts`` are the addresses y, bias, slopes, residual; the thread's first row and pixel, the first block of its
    group, the end of the pixels, the blocks of a group; elements of an image of y and of the residual; alpha and beta
    as bits; pixels of a map of y, and those of it that the tile's pixels count through. With ``is_phased`` these are
    a grid of so many rows and columns, the distances of its outputs along three axes, the first outputs and the sizes
    of y; else ``WHOLE_MAP``. With ``is_partial`` sums are stored as they are.
    """
    epilogue = output_epilogue(params)
    row_threads, column_threads = tile.row_threads, tile.column_threads

    def write(sums: Any, row: int, column: int, facts: Any) -> None:
        y, bias, slopes, residual, first_row, first_pixel, group_block, last_pixel, y_blocks = facts[:9]
        y_image, residual_image, alpha, beta, volume, outputs = facts[9:15]
        channel = first_row + row // 4 * 4 * row_threads
        pixel = first_pixel + column // 4 * 4 * column_threads + column % 4
        if pixel >= last_pixel or channel >= y_blocks * LANES:
            return
        image, place = divide(pixel, outputs)
        if is_phased:
            grid_h, grid_w, step_d, step_h, step_w, first_d, first_h, first_w, out_d, out_h, out_w = facts[15:]
            row_number, w = divide(place, grid_w)
            d, h = divide(row_number, grid_h)
            d, h, w = d * step_d + first_d, h * step_h + first_h, w * step_w + first_w
            if d >= out_d or h >= out_h or w >= out_w:
                return
            place = (d * out_h + h) * out_w + w
        offset = ((group_block + channel // LANES) * volume + place) * LANES + channel % LANES
        at = y + 4 * (image * y_image + offset)
        if is_partial:
            store_quad(at, sums)
        else:
            lane = 4 * (group_block * LANES + channel)
            other = residual + 4 * (image * residual_image + offset)
            epilogue(sums, at, bias + lane, slopes + lane, other, (alpha, beta))

    return for_each_quad(tile.rows, tile.columns, write)
