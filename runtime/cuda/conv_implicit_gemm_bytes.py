"""``conv.u8.implicit_gemm``: the convolution of ``conv.f32.implicit_gemm`` on bytes, summed in int32.

    y[oc, pixel] = bytes((sum of weights[oc, tap, ic] * x[ic, pixel * stride + tap * dilation - begin] + bias) * factor)

bytes(v) is rint(v) + y_zero, saturated to ``y_least`` and 255 more. x and y are blocked, [N][C/8][D][H][W][8] bytes;
fewer spatial axes are leading sizes of 1. x is of type ``element``, u8 or i8; padding counts as ``fill``, four bytes of
its zero point, and ``bias``, int32 a lane of y, holds the corrections for it. ``factors`` are float32, one a lane of y.
Lanes that x has beyond its channels hold anything: their weights are 0.

A block of threads computes ``ByteTile.channels`` x ``pixels`` results, pixels of all images in a row. The sum goes in
steps of ``ByteTile.blocks`` blocks of channels of one tap, or, for inputs of so few blocks, of several taps (the
parameter ``taps``). Others: ``axes``, the last axes, 0, 2 or 3, that have taps or padding; ``partial``, 1 where the
last step of a tap has fewer blocks than others.

Any window, stride, dilation and padding. Groups of whole blocks of channels are separate products.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.dims import Dim, ceil_div
from cnnc.runtime.cuda.byte_tile import CHUNK, ByteTile, byte_tile_of, pack_tiles, tile_code
from cnnc.runtime.cuda.byte_tiling import taps_of_step
from cnnc.runtime.cuda.target import LANES
from cnnc.runtime.kernel import Access, KernelDef, Params, Target

SIZES = (
    *("images", "groups", "x_blocks", "y_blocks"),
    *("D", "H", "W", "OD", "OH", "OW", "KD", "KH", "KW"),
    *("stride_d", "stride_h", "stride_w", "dilation_d", "dilation_h", "dilation_w"),
    *("begin_d", "begin_h", "begin_w"),
    *("x_image", "y_image", "fill", "y_zero", "y_least"),
)
"""``x_blocks``, ``y_blocks``: blocks of channels of a group. ``x_image``, ``y_image``: bytes from one image to the
next."""


def pack(weights: NDArray[Any], groups: int, tile: ByteTile) -> NDArray[np.int8]:
    """Weights [OC, lanes of a group's input, *K] in the order of their use: [group][tile][chunk][bytes of a chunk].

    Absent channels, lanes and taps weigh 0.
    """
    oc, lanes = weights.shape[0] // groups, weights.shape[1]
    tiles, x_blocks = -(-oc // tile.channels), -(-lanes // LANES)
    taps = int(np.prod(weights.shape[2:]))
    taps_at_once = taps_of_step(x_blocks, tile.blocks)
    blocks_at_once = tile.blocks // taps_at_once
    all_taps = -(-taps // taps_at_once) * taps_at_once
    all_blocks = -(-x_blocks // blocks_at_once) * blocks_at_once
    padded = np.zeros((groups, tiles * tile.channels, all_blocks * LANES, all_taps), np.int8)
    padded[:, :oc, :lanes, :taps] = weights.reshape(groups, oc, lanes, taps)
    by_tap = padded.reshape(groups, tiles, tile.channels, all_blocks, LANES, all_taps).transpose(0, 1, 2, 5, 3, 4)
    return pack_tiles(by_tap.reshape(groups, tiles, tile.channels, -1, CHUNK, LANES), tile)


def _steps(sizes: Mapping[str, Any], params: Params) -> Any:
    taps = int(params["taps"])
    window = sizes["KD"] * sizes["KH"] * sizes["KW"]
    return ceil_div(window, taps) * ceil_div(sizes["x_blocks"], byte_tile_of(params).blocks // taps)


def _tiles(sizes: Mapping[str, Dim], params: Params) -> Dim:
    return ceil_div(sizes["y_blocks"] * LANES, byte_tile_of(params).channels)


def _items(sizes: Mapping[str, Dim], params: Params) -> Dim:
    pixels = sizes["images"] * sizes["OD"] * sizes["OH"] * sizes["OW"]
    return sizes["groups"] * _tiles(sizes, params) * ceil_div(pixels, byte_tile_of(params).pixels)


def _footprint(sizes: Mapping[str, int], params: Params) -> tuple[Access, ...]:
    images, groups = sizes["images"], sizes["groups"]
    volume, outputs = sizes["D"] * sizes["H"] * sizes["W"], sizes["OD"] * sizes["OH"] * sizes["OW"]
    if not images * outputs:
        return ()
    tiles, steps = _tiles(sizes, params), _steps(sizes, params)
    assert isinstance(tiles, int)
    channels = groups * sizes["y_blocks"] * LANES
    return (
        Access("y", 0, (images - 1) * sizes["y_image"] + channels * outputs, True),
        Access("x", 0, (images - 1) * sizes["x_image"] + groups * sizes["x_blocks"] * LANES * volume, False),
        Access("weights", 0, groups * tiles * steps * byte_tile_of(params).weight_bytes, False),
        Access("bias", 0, 4 * channels, False),
        Access("factors", 0, 4 * channels, False),
    )


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from numba import cuda

    from cnnc.runtime.cuda.byte_access import as_word, word_access
    from cnnc.runtime.cuda.byte_output import byte_output
    from cnnc.runtime.cuda.byte_panels import panel_products, place_of_thread
    from cnnc.runtime.cuda.integers import add, below, divide, narrow
    from cnnc.runtime.cuda.pixel_cursor import corner, inside_check, moved, tap_walk
    from cnnc.runtime.cuda.word_loops import gathered

    tile = byte_tile_of(params)
    code = tile_code(tile, str(params["element"]), target)
    finish, place_of = byte_output(tile, code), place_of_thread(tile)
    channels, pixels, weight_bytes = tile.channels, tile.pixels, tile.weight_bytes
    blocks, apart, taps, axes = tile.blocks, tile.blocks_apart, int(params["taps"]), int(params["axes"])
    blocks_at_once, has_window, is_narrow = blocks // taps, axes > 0, taps > 1
    is_partial = bool(params["partial"])
    fetch_pair_if, is_inside = word_access(2).fetch_if, inside_check(axes)
    find_steps, advance = tap_walk(axes, LANES)

    def block_of_tap(index: int, facts: Any) -> Any:
        """A pixel's 8 bytes of one of the blocks of a step, of the tap that all of them have."""
        at, inside, block, last_block, block_bytes, fill = facts
        number = index * apart
        if is_partial:
            inside = inside and below(add(block, narrow(number)), last_block)
        return fetch_pair_if(at + number * block_bytes, inside, fill)

    def block_of_taps(index: int, facts: Any) -> Any:
        """The same where a step has several taps."""
        step, pixel, first_block, sizes, fill = facts
        base, exists, z0, y0, x0 = pixel
        depth, height, width, kernel_d, kernel_h, kernel_w, dilation_d, dilation_h, dilation_w, x_blocks = sizes
        number = first_block + index * apart
        block = number % blocks_at_once
        rest, tap_x = divide(step * taps + number // blocks_at_once, kernel_w)
        tap_z, tap_y = divide(rest, kernel_h)
        z, y, x = z0 + tap_z * dilation_d, y0 + tap_y * dilation_h, x0 + tap_x * dilation_w
        inside = exists and block < x_blocks and tap_z < kernel_d
        inside = inside and 0 <= z < depth and 0 <= y < height and 0 <= x < width
        return fetch_pair_if(base + (((block * depth + z) * height + y) * width + x) * LANES, inside, fill)

    blocks_of_tap = gathered(tile.copied_blocks, 2, block_of_tap)
    blocks_of_taps = gathered(tile.copied_blocks, 2, block_of_taps)

    def load_tap(state: Any, known: Any) -> Any:
        at, inside, block = state[:3]
        last_block, block_bytes, fill = known[:3]
        return blocks_of_tap((at, inside, block, last_block, block_bytes, fill))

    def next_tap(state: Any, known: Any) -> Any:
        """The state: address, whether it is inside, block, place in x, and the tap's row and column."""
        at, inside, block, place, tap = state
        _, block_bytes, _, x_blocks, bounds, kernel, steps = known
        block = add(block, narrow(blocks))
        at += blocks * block_bytes
        if has_window and not below(block, x_blocks):
            block = narrow(0)
            tap, jump, move = advance(tap, kernel, steps)
            at += jump
            place = moved(place, move)
            inside = is_inside(place, bounds)
        return at, inside, block, place, tap

    def load_taps(state: Any, known: Any) -> Any:
        pixel, first_block, sizes, fill = known
        return blocks_of_taps((state[0], pixel, first_block, sizes, fill))

    def next_taps(state: Any, known: Any) -> Any:
        return (state[0] + 1,)

    products = panel_products(tile, code, load_taps if is_narrow else load_tap, next_taps if is_narrow else next_tap)

    def conv_implicit_gemm_bytes(args: Any) -> None:
        y, x, weights, bias, factors = args[:5]
        images, groups, x_blocks, y_blocks = args[5:9]
        depth, height, width, out_d, out_h, out_w, kernel_d, kernel_h, kernel_w = args[9:18]
        stride_d, stride_h, stride_w, dilation_d, dilation_h, dilation_w, begin_d, begin_h, begin_w = args[18:27]
        x_image, y_image, fill_bits, y_zero, y_least = args[27:]

        outputs = out_d * out_h * out_w
        tiles = (y_blocks * LANES + channels - 1) // channels
        rest, tile_number = divide(cuda.blockIdx.x, tiles)
        pixel_tile, group = divide(rest, groups)
        first_pixel, last_pixel = pixel_tile * pixels, images * outputs
        thread = cuda.threadIdx.x
        block_steps = (x_blocks + blocks_at_once - 1) // blocks_at_once
        steps = (kernel_d * kernel_h * kernel_w + taps - 1) // taps * block_steps

        # The pixel that this thread copies.
        first_block, number = place_of(thread)
        kernel, strides = (kernel_d, kernel_h, kernel_w), (stride_d, stride_h, stride_w)
        dilations, source = (dilation_d, dilation_h, dilation_w), (depth, height, width)
        image, z, y0, x0 = corner(
            first_pixel + number, last_pixel, (out_d, out_h, out_w), strides, (begin_d, begin_h, begin_w)
        )
        block_bytes = depth * height * width * LANES
        base = x + image * x_image + group * x_blocks * block_bytes
        packed = weights + (group * tiles + tile_number) * steps * weight_bytes
        fill = as_word(fill_bits)
        if is_narrow:
            exists = first_pixel + number < last_pixel
            known = ((base, exists, z, y0, x0), first_block, (*source, *kernel, *dilations, x_blocks), fill)
            sums = products((packed, steps, (0,)), known)
        else:
            bounds, place = (narrow(depth), narrow(height), narrow(width)), (narrow(z), narrow(y0), narrow(x0))
            walk = find_steps(kernel, dilations, source, block_steps * blocks * block_bytes)
            # A thread counts the blocks from its first one in a step on.
            left = narrow(max(x_blocks - first_block, 0))
            at = base + first_block * block_bytes + ((z * height + y0) * width + x0) * LANES
            state = (at, is_inside(place, bounds), narrow(0), place, (narrow(0), narrow(0)))
            rows = narrow(kernel_h), narrow(kernel_w)
            sums = products((packed, steps, state), (left, block_bytes, fill, narrow(x_blocks), bounds, rows, walk))

        places = (thread, tile_number * channels, first_pixel, last_pixel, group * y_blocks, y_blocks, outputs)
        finish(sums, (y, bias, factors, y_image, y_zero, y_least, places))

    return conv_implicit_gemm_bytes


KERNEL = KernelDef(
    name="conv.u8.implicit_gemm",
    buffers=("y", "x", "weights", "bias", "factors"),
    sizes=SIZES,
    build=_build,
    items=_items,
    footprint=_footprint,
    threads=lambda params: byte_tile_of(params).threads,
)
