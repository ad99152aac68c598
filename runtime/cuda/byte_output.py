"""How a block's tile of sums becomes bytes of a blocked tensor: what convolutions of bytes share. Imports numba."""

from __future__ import annotations

from typing import Any

from numba.cuda import types

from cnnc.runtime.cuda.byte_access import WORD, as_word, word_access
from cnnc.runtime.cuda.byte_epilogue import load_tuple, requantized
from cnnc.runtime.cuda.byte_tile import ByteTile, TileCode
from cnnc.runtime.cuda.integers import divide
from cnnc.runtime.cuda.intrinsics import FLOAT
from cnnc.runtime.cuda.target import LANES
from cnnc.runtime.cuda.word_loops import for_each_column, inlined_as_called


def byte_output(tile: ByteTile, code: TileCode) -> Any:
    """``finish(sums, (y, bias, factors, y_image, y_zero, y_least, places))`` for Numba CUDA code.

    places: (thread, the block's first channel of its group, its first pixel, pixels in all, the group's first block,
    blocks of the group, pixels of an image). Bias and factors have one number a lane of y.
    """
    rows, stride = tile.rows, tile.pixel_stride
    first_row, first_column = code.first_row, code.first_column
    load_bias, load_factors = load_tuple(WORD, rows), load_tuple(FLOAT, rows)
    to_bytes, store = requantized(rows), word_access(rows // 4).store

    def finish_pixel(sums: Any, column: int, facts: Any) -> None:
        at, y_image, bias, factors, zero, least, first, last_pixel, outputs = facts
        pixel = first + column * stride
        if pixel >= last_pixel:
            return
        image, place = divide(pixel, outputs)
        store(at + image * y_image + place * LANES, to_bytes(sums, bias, factors, zero, least))

    finish_pixels = for_each_column(rows, tile.columns, finish_pixel)

    def finish(sums: Any, facts: Any) -> None:
        y, bias, factors, y_image, y_zero, y_least, places = facts
        thread, first_channel, first_pixel, last_pixel, group_block, y_blocks, outputs = places
        channel = first_channel + first_row(thread)
        if channel >= y_blocks * LANES:
            return
        lane = group_block * LANES + channel
        at = y + (group_block + channel // LANES) * outputs * LANES + channel % LANES
        known = (load_bias(bias + 4 * lane), load_factors(factors + 4 * lane), as_word(y_zero), as_word(y_least))
        pixel = first_pixel + first_column(thread)
        finish_pixels(sums, (at, y_image, known[0], known[1], known[2], known[3], pixel, last_pixel, outputs))

    return inlined_as_called(finish, types.void)
