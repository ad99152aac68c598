"""``conv.u8.depthwise``: one filter a channel, on bytes: any window, stride, dilation, padding.

Formula, bias and factors are those of ``conv.u8.implicit_gemm``. y has the channel layout of x, [N][C/8][D][H][W][8]
bytes, pieces and pad lanes included. A thread computes ``rows`` outputs of a column and a block of channels: of each
tap it adds a product a channel, by ``dp4a`` with weights that are 0 for the other three channels of a word. Its rows
are a part of the map apart, so that threads that follow each other have pixels that do, however narrow the map is.
What windows have in common comes from the first-level cache.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.dims import Dim, ceil_div
from cnnc.runtime.cuda.target import LANES
from cnnc.runtime.kernel import Access, KernelDef, Params, Target

THREADS = 128

SIZES = (
    *("images", "blocks", "D", "H", "W", "OD", "OH", "OW", "KD", "KH", "KW"),
    *("stride_d", "stride_h", "stride_w", "dilation_d", "dilation_h", "dilation_w"),
    *("begin_d", "begin_h", "begin_w"),
    *("x_image", "y_image", "fill", "y_zero", "y_least"),
)


def pack_words(weights: NDArray[Any], lanes: Sequence[int], blocks: int) -> NDArray[np.int32]:
    """Weights [C, 1, *K] as [block][tap][8] words: each channel's at the byte that it has in a word of x.

    ``lanes``: the physical lane of every channel.
    """
    taps = int(np.prod(weights.shape[2:]))
    bytes = np.zeros((blocks * LANES, taps, 4), np.int8)
    where = np.asarray(lanes)
    bytes[where, :, where % 4] = weights.reshape(-1, taps)
    ordered = bytes.reshape(blocks, LANES, taps, 4).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(ordered).view(np.int32).reshape(blocks, taps, LANES)


def _items(sizes: Mapping[str, Dim], params: Params) -> Dim:
    groups = ceil_div(sizes["OH"], int(params["rows"]))
    return ceil_div(sizes["images"] * sizes["blocks"] * sizes["OD"] * groups * sizes["OW"], THREADS)


def _footprint(sizes: Mapping[str, int], params: Params) -> tuple[Access, ...]:
    volume, outputs = sizes["D"] * sizes["H"] * sizes["W"], sizes["OD"] * sizes["OH"] * sizes["OW"]
    lanes, apart = sizes["blocks"] * LANES, sizes["images"] - 1
    if not sizes["images"] * outputs:
        return ()
    return (
        Access("y", 0, apart * sizes["y_image"] + lanes * outputs, True),
        Access("x", 0, apart * sizes["x_image"] + lanes * volume, False),
        Access("weights", 0, 4 * lanes * sizes["KD"] * sizes["KH"] * sizes["KW"], False),
        Access("bias", 0, 4 * lanes, False),
        Access("factors", 0, 4 * lanes, False),
    )


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from numba import cuda
    from numba.core import cgutils
    from numba.cuda import types

    from cnnc.runtime.cuda.byte_access import WORD, as_word, word_access
    from cnnc.runtime.cuda.byte_epilogue import load_tuple, requantized
    from cnnc.runtime.cuda.byte_words import emit_dot
    from cnnc.runtime.cuda.integers import divide
    from cnnc.runtime.cuda.intrinsics import FLOAT, I32, device_function
    from cnnc.runtime.cuda.word_loops import for_each_column, gathered

    rows, element = int(params["rows"]), str(params["element"])
    tile_type = types.UniTuple(WORD, rows * LANES)
    load_words, load_factors = load_tuple(WORD, LANES), load_tuple(FLOAT, LANES)
    to_bytes, store = requantized(LANES), word_access(2).store
    fetch_pair_if = word_access(2).fetch_if

    def add_products(builder: Any, sums: Any, pixels: Any, weights: Any) -> Any:
        totals, words = cgutils.unpack_tuple(builder, sums), cgutils.unpack_tuple(builder, pixels)
        of_lanes = cgutils.unpack_tuple(builder, weights)
        found = [
            emit_dot(builder, of_lanes[lane], words[2 * row + lane // 4], totals[row * LANES + lane], element)
            for row in range(rows)
            for lane in range(LANES)
        ]
        return cgutils.pack_array(builder, found)

    def zeros(builder: Any) -> Any:
        return cgutils.pack_array(builder, [I32(0)] * (rows * LANES))

    add_tap = device_function(
        tile_type, [tile_type, types.UniTuple(WORD, 2 * rows), types.UniTuple(WORD, LANES)], add_products
    )
    zero_tile = device_function(tile_type, [], zeros)

    def pixel_of_row(row: int, facts: Any) -> Any:
        at, row_bytes, inside, top, distance, height, fill = facts
        return fetch_pair_if(at + row * row_bytes, inside and 0 <= top + row * distance < height, fill)

    pixels_of_rows = gathered(rows, 2, pixel_of_row)

    def finish_row(sums: Any, row: int, facts: Any) -> None:
        y, row_bytes, left, distance, bias, factors, zero, least = facts
        if row * distance < left:
            store(y + row * row_bytes, to_bytes(sums, bias, factors, zero, least))

    finish_rows = for_each_column(LANES, rows, finish_row)

    def conv_depthwise_bytes(args: Any) -> None:
        y, x, weights, bias, factors = args[:5]
        images, blocks, depth, height, width, out_d, out_h, out_w, kernel_d, kernel_h, kernel_w = args[5:16]
        stride_d, stride_h, stride_w, dilation_d, dilation_h, dilation_w, begin_d, begin_h, begin_w = args[16:25]
        x_image, y_image, fill_bits, y_zero, y_least = args[25:]

        groups = (out_h + rows - 1) // rows
        number = cuda.blockIdx.x * THREADS + cuda.threadIdx.x
        if number >= images * blocks * out_d * groups * out_w:
            return
        rest, column = divide(number, out_w)
        rest, first = divide(rest, groups)
        rest, slab = divide(rest, out_d)
        image, block = divide(rest, blocks)
        front, top, left = slab * stride_d - begin_d, first * stride_h - begin_h, column * stride_w - begin_w
        source = x + image * x_image + block * depth * height * width * LANES
        fill = as_word(fill_bits)
        taps_at = weights + 4 * LANES * block * kernel_d * kernel_h * kernel_w
        sums = zero_tile()
        for tap_d in range(kernel_d):
            d = front + tap_d * dilation_d
            for tap_h in range(kernel_h):
                h = top + tap_h * dilation_h
                for tap_w in range(kernel_w):
                    w = left + tap_w * dilation_w
                    at = source + ((d * height + h) * width + w) * LANES
                    inside = 0 <= d < depth and 0 <= w < width
                    distance = groups * stride_h
                    pixels = pixels_of_rows((at, distance * width * LANES, inside, h, distance, height, fill))
                    sums = add_tap(sums, pixels, load_words(taps_at))
                    taps_at += 4 * LANES
        lanes_at = 4 * LANES * block
        known = (load_words(bias + lanes_at), load_factors(factors + lanes_at), as_word(y_zero), as_word(y_least))
        out = y + image * y_image + (((block * out_d + slab) * out_h + first) * out_w + column) * LANES
        finish_rows(sums, (out, groups * out_w * LANES, out_h - first, groups, known[0], known[1], known[2], known[3]))

    return conv_depthwise_bytes


KERNEL = KernelDef(
    name="conv.u8.depthwise",
    buffers=("y", "x", "weights", "bias", "factors"),
    sizes=SIZES,
    build=_build,
    items=_items,
    footprint=_footprint,
    threads=lambda params: THREADS,
)
