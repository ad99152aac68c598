"""``conv.u8.plain_input``: the convolution of a plain image of bytes, the first layer of a quantized network.

Formula, bias and factors are those of ``conv.u8.implicit_gemm``; x is [N][C][H][W] bytes, y is blocked. The sum goes
over *quads*, four neighbouring columns of a row of one channel, as on the CPU: a window of 7 columns takes two of them.
Rows of whole words (``aligned``) are read by words, two of which hold a quad at any column; others byte by byte. Rows
of the window, KH, and quads of each, QW, are compile-time parameters too: quads are found by dividing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.dims import Dim, ceil_div
from cnnc.runtime.cuda.byte_tile import CHUNK, ByteTile, byte_tile_of, pack_tiles, tile_code
from cnnc.runtime.cuda.target import LANES
from cnnc.runtime.kernel import Access, KernelDef, Params, Target

QUAD = 4

SIZES = (
    *("images", "C", "H", "W", "OH", "OW", "KH", "QW", "y_blocks"),
    *("stride_h", "stride_w", "dilation_h", "begin_h", "begin_w"),
    *("x_image", "y_image", "fill", "y_zero", "y_least"),
)
"""``QW``: quads of a row of the window, whose columns are neighbours. ``fill``: four bytes of the zero point of x."""


def pack_quads(weights: NDArray[Any], tile: ByteTile) -> NDArray[np.int8]:
    """Weights [OC, C, KH, KW] in the order of their use: [tile][chunk][bytes of a chunk]; absent ones weigh 0."""
    oc, channels, height, width = weights.shape
    tiles, quads = -(-oc // tile.channels), -(-width // QUAD)
    step = tile.blocks * LANES
    padded = np.zeros((tiles * tile.channels, channels, height, quads * QUAD), np.int8)
    padded[:oc, :, :, :width] = weights
    rows = padded.reshape(tiles * tile.channels, -1)
    rows = np.pad(rows, ((0, 0), (0, -rows.shape[1] % step)))
    return pack_tiles(rows.reshape(tiles, tile.channels, -1, CHUNK, LANES), tile)


def _steps(sizes: Mapping[str, Any], params: Params) -> Any:
    return ceil_div(sizes["C"] * sizes["KH"] * sizes["QW"] * QUAD, byte_tile_of(params).blocks * LANES)


def _tiles(sizes: Mapping[str, Dim], params: Params) -> Dim:
    return ceil_div(sizes["y_blocks"] * LANES, byte_tile_of(params).channels)


def _items(sizes: Mapping[str, Dim], params: Params) -> Dim:
    pixels = sizes["images"] * sizes["OH"] * sizes["OW"]
    return _tiles(sizes, params) * ceil_div(pixels, byte_tile_of(params).pixels)


def _footprint(sizes: Mapping[str, int], params: Params) -> tuple[Access, ...]:
    images, outputs = sizes["images"], sizes["OH"] * sizes["OW"]
    if not images * outputs:
        return ()
    tiles, steps = _tiles(sizes, params), _steps(sizes, params)
    assert isinstance(tiles, int)
    channels = sizes["y_blocks"] * LANES
    return (
        Access("y", 0, (images - 1) * sizes["y_image"] + channels * outputs, True),
        Access("x", 0, (images - 1) * sizes["x_image"] + sizes["C"] * sizes["H"] * sizes["W"], False),
        Access("weights", 0, tiles * steps * byte_tile_of(params).weight_bytes, False),
        Access("bias", 0, 4 * channels, False),
        Access("factors", 0, 4 * channels, False),
    )


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from numba import cuda

    from cnnc.runtime.cuda.byte_access import WORD, as_word, fetch_byte_if, word_access
    from cnnc.runtime.cuda.byte_output import byte_output
    from cnnc.runtime.cuda.byte_panels import panel_products, place_of_thread
    from cnnc.runtime.cuda.byte_words import funnel, joined
    from cnnc.runtime.cuda.integers import below, divide, narrow
    from cnnc.runtime.cuda.intrinsics import BOOL, INT, inlined
    from cnnc.runtime.cuda.word_loops import gathered, inlined_as_called

    tile = byte_tile_of(params)
    code = tile_code(tile, str(params["element"]), target)
    finish, place_of = byte_output(tile, code), place_of_thread(tile)
    channels, pixels, weight_bytes = tile.channels, tile.pixels, tile.weight_bytes
    blocks, apart = tile.blocks, tile.blocks_apart
    window_rows, window_quads = int(params["KH"]), int(params["QW"])
    fetch_word_if = word_access(1).fetch_if

    def aligned_quad(row: int, column: int, width: int, inside: bool, fill: Any) -> Any:
        """Words lie inside of a row altogether, or outside."""
        shift = column & (QUAD - 1)
        first, last = narrow(column - shift), narrow(width)
        at, next_word = row + column - shift, narrow(column - shift + QUAD)
        low = fetch_word_if(at, inside and below(first, last), fill)
        high = fetch_word_if(at + QUAD, inside and shift > 0 and below(next_word, last), fill)
        return funnel(low, high, as_word(8 * shift))

    def any_quad(row: int, column: int, width: int, inside: bool, fill: Any) -> Any:
        at, last = row + column, narrow(width)
        b0 = fetch_byte_if(at, inside and below(narrow(column), last), fill)
        b1 = fetch_byte_if(at + 1, inside and below(narrow(column + 1), last), fill)
        b2 = fetch_byte_if(at + 2, inside and below(narrow(column + 2), last), fill)
        b3 = fetch_byte_if(at + 3, inside and below(narrow(column + 3), last), fill)
        return joined(b0, b1, b2, b3)

    quad_of = inlined(WORD, [INT, INT, INT, BOOL, WORD], aligned_quad if params["aligned"] else any_quad)

    def quad_at(number: int, known: Any) -> Any:
        base, exists, top, left, sizes, fill = known[:6]
        channel_count, height, width, dilation_h = sizes
        rest, place = divide(number, window_quads)
        channel, tap = divide(rest, window_rows)
        row = top + tap * dilation_h
        inside = exists and channel < channel_count and below(narrow(row), narrow(height))
        return quad_of(base + (channel * height + row) * width, left + place * QUAD, width, inside, fill)

    def two_quads(index: int, facts: Any) -> Any:
        step, known = facts
        number = 2 * (step * blocks + known[6] + index * apart)
        return quad(number, known), quad(number + 1, known)

    quad = inlined_as_called(quad_at, WORD)
    quads_of_step = gathered(tile.copied_blocks, 2, two_quads)

    def load(state: Any, known: Any) -> Any:
        return quads_of_step((state[0], known))

    def advance(state: Any, known: Any) -> Any:
        return (state[0] + 1,)

    products = panel_products(tile, code, load, advance)

    def conv_plain_input_bytes(args: Any) -> None:
        y, x, weights, bias, factors = args[:5]
        images, channel_count, height, width, out_h, out_w, kernel_h, quads, y_blocks = args[5:14]
        stride_h, stride_w, dilation_h, begin_h, begin_w, x_image, y_image, fill, y_zero, y_least = args[14:]

        outputs = out_h * out_w
        pixel_tile, tile_number = divide(cuda.blockIdx.x, (y_blocks * LANES + channels - 1) // channels)
        first_pixel, last_pixel = pixel_tile * pixels, images * outputs
        steps = (channel_count * kernel_h * quads * QUAD + blocks * LANES - 1) // (blocks * LANES)
        first_block, number = place_of(cuda.threadIdx.x)
        exists = first_pixel + number < last_pixel
        image, place = divide(first_pixel + number if exists else 0, outputs)
        row, column = divide(place, out_w)
        sizes = (channel_count, height, width, dilation_h)
        origin = (row * stride_h - begin_h, column * stride_w - begin_w)
        known = (x + image * x_image, exists, origin[0], origin[1], sizes, as_word(fill), first_block)
        sums = products((weights + tile_number * steps * weight_bytes, steps, (0,)), known)
        places = (cuda.threadIdx.x, tile_number * channels, first_pixel, last_pixel, 0, y_blocks, outputs)
        finish(sums, (y, bias, factors, y_image, y_zero, y_least, places))

    return conv_plain_input_bytes


KERNEL = KernelDef(
    name="conv.u8.plain_input",
    buffers=("y", "x", "weights", "bias", "factors"),
    sizes=SIZES,
    build=_build,
    items=_items,
    footprint=_footprint,
    threads=lambda params: byte_tile_of(params).threads,
)
