"""``conv.mma.implicit_gemm``: the implicit GEMM convolution on tensor cores.

    y[oc, pixel] = sum over (tap, ic) of r(weights[oc, tap, ic]) * r(x[ic, pixel * stride + tap * dilation - begin])

Tensors are float32, blocked by 8 channels. r rounds to the
type that the parameter ``precision`` names (``tensor_precision``), sums are float32. A block of threads computes
``WarpTile.block_channels`` x ``block_pixels`` results, in steps of one tap and ``WarpTile.blocks`` blocks of channels.
While its warps multiply the panels of a step (``warp_tile``), its threads load the next step's to registers; they round
the pixels on the way to the other half of the shared memory, and meet at one barrier a step.

Any window, stride, dilation and padding. Groups of whole blocks of channels are separate products.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnnc.dims import Dim, ceil_div
from cnnc.runtime.cuda.target import LANES
from cnnc.runtime.cuda.warp_tile import packed_words, warp_tile_arithmetic, warp_tile_of
from cnnc.runtime.kernel import Access, KernelDef, Params, Target

NAME = "conv.mma.implicit_gemm"
SIZES = (
    *("images", "groups", "x_blocks", "last_lanes", "y_blocks"),
    *("D", "H", "W", "OD", "OH", "OW", "KD", "KH", "KW"),
    *("stride_d", "stride_h", "stride_w", "dilation_d", "dilation_h", "dilation_w"),
    *("begin_d", "begin_h", "begin_w"),
    *("x_image", "y_image", "residual_image", "alpha", "beta"),
)
"""``x_blocks``, ``y_blocks``: blocks of channels of a group. ``last_lanes``: channels of the last of x. ``x_image``,
``y_image``, ``residual_image``: elements from one image to the next."""


def _outputs(sizes: Mapping[str, Dim]) -> Dim:
    return sizes["OD"] * sizes["OH"] * sizes["OW"]


def _items(sizes: Mapping[str, Dim], params: Params) -> Dim:
    tile = warp_tile_of(params)
    tiles = ceil_div(sizes["y_blocks"] * LANES, tile.block_channels)
    return sizes["groups"] * tiles * ceil_div(sizes["images"] * _outputs(sizes), tile.block_pixels)


def _footprint(sizes: Mapping[str, int], params: Params) -> tuple[Access, ...]:
    tile = warp_tile_of(params)
    images, groups = sizes["images"], sizes["groups"]
    volume, outputs = sizes["D"] * sizes["H"] * sizes["W"], sizes["OD"] * sizes["OH"] * sizes["OW"]
    x_own = groups * sizes["x_blocks"] * volume * LANES
    y_own = groups * sizes["y_blocks"] * outputs * LANES
    taps = sizes["KD"] * sizes["KH"] * sizes["KW"]
    packed = packed_words(groups, sizes["y_blocks"] * LANES, sizes["x_blocks"] * LANES, taps, tile)
    channels = groups * sizes["y_blocks"] * LANES
    found = [
        Access("y", 0, 4 * ((images - 1) * sizes["y_image"] + y_own), True),
        Access("x", 0, 4 * ((images - 1) * sizes["x_image"] + x_own), False),
        Access("weights", 0, 4 * packed, False),
        Access("bias", 0, 4 * channels, False),
    ]
    if params["activation"] == "prelu":
        found.append(Access("slopes", 0, 4 * channels, False))
    if params["residual"]:
        found.append(Access("residual", 0, 4 * ((images - 1) * sizes["residual_image"] + y_own), False))
    return tuple(found)


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from numba import cuda

    from cnnc.runtime.cuda.epilogue import output_epilogue
    from cnnc.runtime.cuda.integers import divide
    from cnnc.runtime.cuda.intrinsics import for_each_quad
    from cnnc.runtime.cuda.memory_access import shared_memory
    from cnnc.runtime.cuda.panel_copy import pixel_copy, weight_copy
    from cnnc.runtime.cuda.pixel_cursor import tap_place, window_start

    tile = warp_tile_of(params)
    zero_tile, multiply = warp_tile_arithmetic(tile, target)
    load_weights, store_weights = weight_copy(tile)
    load_pixel, keep_lanes, store_pixel = pixel_copy(tile, target)
    epilogue = output_epilogue(params)
    shared = shared_memory(2 * tile.stage_bytes)
    threads, channels, pixels = tile.threads, tile.block_channels, tile.block_pixels
    warp_channels, warp_pixels, channel_warps = tile.channels, tile.pixels, tile.channel_warps
    blocks, has_second = tile.blocks, tile.pixel_loads == 2
    half_bytes = 8 if tile.factors.bytes == 2 else tile.chunk_pitch
    pixel_bytes, weight_bytes, stage_bytes = tile.pixel_bytes, tile.weight_bytes, tile.stage_bytes
    chunk_pitch = tile.chunk_pitch
    has_window, has_tail = bool(params["window"]), bool(params["tail"])

    def finish(sums: Any, row: int, column: int, facts: Any) -> None:
        """What becomes of four channels of a pixel."""
        y, bias, slopes, residual, first_channel, first_pixel, group_block, y_blocks, last_pixel = facts[:9]
        outputs, y_image, residual_image, alpha, beta = facts[9:]
        channel, pixel = first_channel + 4 * row, first_pixel + 8 * column
        if pixel >= last_pixel or channel >= y_blocks * LANES:
            return
        image, place = divide(pixel, outputs)
        offset = ((group_block + channel // LANES) * outputs + place) * LANES + channel % LANES
        lane = 4 * (group_block * LANES + channel)
        other = residual + 4 * (image * residual_image + offset)
        epilogue(sums, y + 4 * (image * y_image + offset), bias + lane, slopes + lane, other, (alpha, beta))

    finish_tile = for_each_quad(tile.rows, tile.columns, finish)

    def conv_mma(args: Any) -> None:
        y, x, weights, bias, slopes, residual = args[:6]
        images, groups, x_blocks, last_lanes, y_blocks = args[6:11]
        source, result, (kernel_d, kernel_h, kernel_w) = args[11:14], args[14:17], args[17:20]
        strides, (dilation_d, dilation_h, dilation_w), begins = args[20:23], args[23:26], args[26:29]
        x_image, y_image, residual_image, alpha, beta = args[29:]

        volume, outputs = source[0] * source[1] * source[2], result[0] * result[1] * result[2]
        tiles = (y_blocks * LANES + channels - 1) // channels
        rest, tile_number = divide(cuda.blockIdx.x, tiles)
        pixel_tile, group = divide(rest, groups)
        first_pixel, last_pixel = pixel_tile * pixels, images * outputs
        thread = cuda.threadIdx.x
        steps = kernel_d * kernel_h * kernel_w * ((x_blocks + blocks - 1) // blocks)

        # What this thread copies: quads of weights, and half of the blocks of a pixel, or of two.
        weights_at = weights + (group * tiles + tile_number) * steps * weight_bytes + 16 * thread
        half, pixel0 = thread % 2, thread // 2
        pixel1 = pixel0 + threads // 2
        exists0, exists1 = first_pixel + pixel0 < last_pixel, first_pixel + pixel1 < last_pixel
        start0 = window_start(first_pixel + pixel0 if exists0 else 0, result, strides, begins)
        start1 = window_start(first_pixel + pixel1 if exists1 else 0, result, strides, begins)
        group_at = x + 4 * (group * x_blocks * volume * LANES + 4 * half)
        base0, base1 = group_at + 4 * start0[0] * x_image, group_at + 4 * start1[0] * x_image
        block_bytes, lanes = 4 * volume * LANES, last_lanes - 4 * half

        # What its warp multiplies, and where in its fragments it has its row.
        warp, lane = thread // 32, thread % 32
        pixel_warp, channel_warp = warp // channel_warps, warp % channel_warps
        base = shared()
        pixel_copy_at = base + half * half_bytes + 16 * pixel0
        weight_copy_at = base + pixel_bytes + 16 * thread
        a = base + 16 * (pixel_warp * warp_pixels + lane % 16) + lane // 16 * chunk_pitch
        b = base + pixel_bytes + 16 * (channel_warp * (warp_channels // 16) * 32 + lane)

        sums = zero_tile()
        stage, left, tap_z, tap_y, tap_x = 0, x_blocks, 0, 0, 0
        place0 = tap_place(start0, (0, 0, 0), source)
        place1 = tap_place(start1, (0, 0, 0), source)
        at0, at1 = base0 + 4 * LANES * place0, base1 + 4 * LANES * place1
        inside0, inside1 = exists0 and place0 >= 0, exists1 and place1 >= 0
        for step in range(steps + 1):
            if step < steps:
                loaded_weights = load_weights(weights_at)
                v0 = load_pixel(at0, block_bytes, left if inside0 else 0)
                v1 = load_pixel(at1, block_bytes, left if inside1 else 0) if has_second else v0
                if has_tail and left <= blocks:
                    v0 = keep_lanes(v0, left, lanes)
                    v1 = keep_lanes(v1, left, lanes)
                weights_at += weight_bytes
                at0 += blocks * block_bytes
                at1 += blocks * block_bytes
                left -= blocks
                if has_window and left <= 0:
                    left = x_blocks
                    tap_x += 1
                    if tap_x == kernel_w:
                        tap_x = 0
                        tap_y += 1
                        if tap_y == kernel_h:
                            tap_y = 0
                            tap_z += 1
                    offsets = (tap_z * dilation_d, tap_y * dilation_h, tap_x * dilation_w)
                    place0 = tap_place(start0, offsets, source)
                    at0, inside0 = base0 + 4 * LANES * place0, exists0 and place0 >= 0
                    if has_second:
                        place1 = tap_place(start1, offsets, source)
                        at1, inside1 = base1 + 4 * LANES * place1, exists1 and place1 >= 0
            if step > 0:
                sums = multiply(sums, a + stage, b + stage)
                stage = stage_bytes - stage
            if step < steps:
                store_weights(weight_copy_at + stage, loaded_weights)
                store_pixel(pixel_copy_at + stage, v0)
                if has_second:
                    store_pixel(pixel_copy_at + stage + 8 * threads, v1)
                cuda.syncthreads()

        first_channel = tile_number * channels + channel_warp * warp_channels + 4 * (lane % 4)
        first_row = first_pixel + pixel_warp * warp_pixels + lane // 4
        places = (first_channel, first_row, group * y_blocks, y_blocks, last_pixel, outputs)
        finish_tile(sums, (y, bias, slopes, residual, *places, y_image, residual_image, alpha, beta))

    return conv_mma


KERNEL = KernelDef(
    name=NAME,
    buffers=("y", "x", "weights", "bias", "slopes", "residual"),
    sizes=SIZES,
    build=_build,
    items=_items,
    footprint=_footprint,
    threads=lambda params: warp_tile_of(params).threads,
)
