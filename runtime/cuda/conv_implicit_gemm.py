"""``conv.f32.implicit_gemm``: convolution as a matrix product whose right operand is never stored.

    y[oc, pixel] = sum over (tap, ic) of weights[oc, tap, ic] * x[ic, pixel * stride + tap * dilation - begin]

x and y are blocked by 8 channels, [N][C/8][D][H][W][8]; fewer spatial axes are leading sizes of 1. A block of threads
computes ``BlockTile.channels`` x ``pixels`` results; its pixels run over all images. The sum goes in steps of one tap
and one block of channels. While the threads multiply the panels of a step, which lie in shared memory, they load the
next step's to registers: weights, packed in the order of their use, and pixels, 16 bytes a load, two threads to a
sector, with zeros where a tap hangs over the border. They store them to the other half of the shared memory, pixels
transposed, and meet at one barrier a step.

Any window, stride, dilation and padding. Groups of whole blocks of channels are separate products. (Chetlur et al.,
cuDNN: Efficient primitives for deep learning, 2014.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.dims import Dim, ceil_div
from cnnc.runtime.cuda.register_tile import DEPTH, tile_of
from cnnc.runtime.cuda.target import LANES
from cnnc.runtime.kernel import Access, KernelDef, Params, Target

SIZES = (
    *("images", "groups", "x_blocks", "last_lanes", "y_blocks"),
    *("D", "H", "W", "OD", "OH", "OW", "KD", "KH", "KW"),
    *("stride_d", "stride_h", "stride_w", "dilation_d", "dilation_h", "dilation_w"),
    *("begin_d", "begin_h", "begin_w"),
    *("x_image", "y_image", "residual_image", "alpha", "beta"),
)
"""``x_blocks``, ``y_blocks``: blocks of channels of a group. ``last_lanes``: channels of the last of x. ``x_image``,
``y_image``, ``residual_image``: elements from one image to the next."""


def pack(weights: NDArray[np.float32], groups: int, channels: int) -> NDArray[np.float32]:
    """Weights [OC, IC/groups, *K] in the order of their use: [group][tile][tap][block][8][channels of a tile].

    ``channels``: of a block tile. Absent channels weigh 0.
    """
    oc, ic = weights.shape[0] // groups, weights.shape[1]
    tiles, blocks = -(-oc // channels), -(-ic // LANES)
    taps = int(np.prod(weights.shape[2:]))
    padded = np.zeros((groups, tiles * channels, blocks * LANES, taps), np.float32)
    padded[:, :oc, :ic] = weights.reshape(groups, oc, ic, taps)
    ordered = padded.reshape(groups, tiles, channels, blocks, LANES, taps).transpose(0, 1, 5, 3, 4, 2)
    return np.ascontiguousarray(ordered)


def _outputs(sizes: Mapping[str, Dim]) -> Dim:
    return sizes["OD"] * sizes["OH"] * sizes["OW"]


def _items(sizes: Mapping[str, Dim], params: Params) -> Dim:
    tile = tile_of(params)
    tiles = ceil_div(sizes["y_blocks"] * LANES, tile.channels)
    return sizes["groups"] * tiles * ceil_div(sizes["images"] * _outputs(sizes), tile.pixels)


def _footprint(sizes: Mapping[str, int], params: Params) -> tuple[Access, ...]:
    tile = tile_of(params)
    images, groups = sizes["images"], sizes["groups"]
    volume, outputs = sizes["D"] * sizes["H"] * sizes["W"], sizes["OD"] * sizes["OH"] * sizes["OW"]
    x_own = groups * sizes["x_blocks"] * volume * LANES
    y_own = groups * sizes["y_blocks"] * outputs * LANES
    tiles = -(-sizes["y_blocks"] * LANES // tile.channels)
    taps = sizes["KD"] * sizes["KH"] * sizes["KW"]
    packed = groups * tiles * taps * sizes["x_blocks"] * LANES * tile.channels
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
    from numba import cuda, types

    from cnnc.runtime.cuda.activation import scalar_activation
    from cnnc.runtime.cuda.integers import divide, float_of_bits
    from cnnc.runtime.cuda.intrinsics import INT, QUAD, for_each_quad, inlined
    from cnnc.runtime.cuda.memory_access import (
        first_lanes,
        load_quad,
        load_quad_if,
        shared_memory,
        store_quad,
        store_shared,
        store_shared_quad,
    )
    from cnnc.runtime.cuda.register_tile import register_tile

    tile = tile_of(params)
    zero_tile, multiply = register_tile(tile)
    activation = scalar_activation(str(params["activation"]))
    shared = shared_memory(2 * tile.stage_bytes)
    threads, channels, pixels = tile.threads, tile.channels, tile.pixels
    row_threads, column_threads = tile.row_threads, tile.column_threads
    second_weights, second_pixels = tile.weight_loads == 2, tile.pixel_loads == 2
    weight_bytes, pitch, stage_bytes = 4 * DEPTH * channels, 4 * tile.pixel_pitch, tile.stage_bytes
    has_window, has_tail = bool(params["window"]), bool(params["tail"])
    has_residual, has_slopes = bool(params["residual"]), params["activation"] == "prelu"

    def finish(sums: Any, row: int, column: int, facts: Any) -> None:
        """Bias, residual and activation of four channels of a pixel."""
        y, bias, slopes, residual, first_row, first_pixel, group_block, last_pixel, y_blocks = facts[:9]
        outputs, y_image, residual_image, alpha_bits, beta_bits = facts[9:]
        channel = first_row + row // 4 * 4 * row_threads
        pixel = first_pixel + column // 4 * 4 * column_threads + column % 4
        if pixel >= last_pixel or channel >= y_blocks * LANES:
            return
        image, place = divide(pixel, outputs)
        lane = channel % LANES
        offset = ((group_block + channel // LANES) * outputs + place) * LANES + lane
        at = 4 * (group_block * LANES + channel)
        alpha, beta = float_of_bits(alpha_bits), float_of_bits(beta_bits)
        b = load_quad(bias + at)
        s = load_quad(slopes + at) if has_slopes else (alpha, alpha, alpha, alpha)
        v0, v1, v2, v3 = sums[0] + b[0], sums[1] + b[1], sums[2] + b[2], sums[3] + b[3]
        if has_residual:
            r = load_quad(residual + 4 * (image * residual_image + offset))
            v0, v1, v2, v3 = v0 + r[0], v1 + r[1], v2 + r[2], v3 + r[3]
        v0, v1 = activation(v0, s[0], beta), activation(v1, s[1], beta)
        v2, v3 = activation(v2, s[2], beta), activation(v3, s[3], beta)
        store_quad(y + 4 * (image * y_image + offset), (v0, v1, v2, v3))

    finish_tile = for_each_quad(tile.rows, tile.columns, finish)

    def store_rows(panel: int, quad: Any) -> None:
        """Four channels of a pixel to four rows of the panel."""
        store_shared(panel, quad[0])
        store_shared(panel + pitch, quad[1])
        store_shared(panel + 2 * pitch, quad[2])
        store_shared(panel + 3 * pitch, quad[3])

    store_pixel = inlined(types.void, [INT, QUAD], store_rows)

    def conv_implicit_gemm(args: Any) -> None:
        y, x, weights, bias, slopes, residual = args[:6]
        images, groups, x_blocks, last_lanes, y_blocks = args[6:11]
        depth, height, width, out_d, out_h, out_w, kernel_d, kernel_h, kernel_w = args[11:20]
        stride_d, stride_h, stride_w, dilation_d, dilation_h, dilation_w, begin_d, begin_h, begin_w = args[20:29]
        x_image, y_image, residual_image, alpha, beta = args[29:]

        volume, outputs = depth * height * width, out_d * out_h * out_w
        tiles = (y_blocks * LANES + channels - 1) // channels
        rest, tile_number = divide(cuda.blockIdx.x, tiles)
        pixel_tile, group = divide(rest, groups)
        first_pixel, last_pixel = pixel_tile * pixels, images * outputs
        thread = cuda.threadIdx.x
        steps = kernel_d * kernel_h * kernel_w * x_blocks

        # What this thread copies: quads of weights, and half a sector of a pixel, or of two.
        weights_at = weights + ((group * tiles + tile_number) * steps * DEPTH * channels + 4 * thread) * 4
        half = thread % 2
        pixel0 = thread // 2
        pixel1 = pixel0 + threads // 2
        exists0, exists1 = first_pixel + pixel0 < last_pixel, first_pixel + pixel1 < last_pixel
        image0, place0 = divide(first_pixel + pixel0 if exists0 else 0, outputs)
        row0, x0 = divide(place0, out_w)
        z0, y0 = divide(row0, out_h)
        z0, y0, x0 = z0 * stride_d - begin_d, y0 * stride_h - begin_h, x0 * stride_w - begin_w
        image1, place1 = divide(first_pixel + pixel1 if exists1 else 0, outputs)
        row1, x1 = divide(place1, out_w)
        z1, y1 = divide(row1, out_h)
        z1, y1, x1 = z1 * stride_d - begin_d, y1 * stride_h - begin_h, x1 * stride_w - begin_w
        group_at = x + 4 * (group * x_blocks * volume * LANES + 4 * half)
        base0, base1 = group_at + 4 * image0 * x_image, group_at + 4 * image1 * x_image
        block_bytes = 4 * volume * LANES

        base = shared()
        a_copy = base + 16 * thread
        b_copy = base + weight_bytes + 4 * half * pitch + 4 * pixel0
        a_tile = base + 16 * (thread // column_threads)
        b_tile = base + weight_bytes + 16 * (thread % column_threads)

        sums = zero_tile()
        stage, block, tap_z, tap_y, tap_x = 0, 0, 0, 0, 0
        at0 = base0 + 4 * LANES * ((z0 * height + y0) * width + x0)
        at1 = base1 + 4 * LANES * ((z1 * height + y1) * width + x1)
        inside0 = exists0 and 0 <= z0 < depth and 0 <= y0 < height and 0 <= x0 < width
        inside1 = exists1 and 0 <= z1 < depth and 0 <= y1 < height and 0 <= x1 < width
        for step in range(steps + 1):
            if step < steps:
                w0 = load_quad(weights_at)
                w1 = load_quad(weights_at + 16 * threads) if second_weights else w0
                v0 = load_quad_if(at0, inside0)
                v1 = load_quad_if(at1, inside1) if second_pixels else v0
                if has_tail and block == x_blocks - 1:
                    v0 = first_lanes(v0, last_lanes - 4 * half)
                    v1 = first_lanes(v1, last_lanes - 4 * half)
                weights_at += weight_bytes
                at0 += block_bytes
                at1 += block_bytes
                block += 1
                if has_window and block == x_blocks:
                    block = 0
                    tap_x += 1
                    if tap_x == kernel_w:
                        tap_x = 0
                        tap_y += 1
                        if tap_y == kernel_h:
                            tap_y = 0
                            tap_z += 1
                    z, yy, xx = z0 + tap_z * dilation_d, y0 + tap_y * dilation_h, x0 + tap_x * dilation_w
                    at0 = base0 + 4 * LANES * ((z * height + yy) * width + xx)
                    inside0 = exists0 and 0 <= z < depth and 0 <= yy < height and 0 <= xx < width
                    if second_pixels:
                        z, yy, xx = z1 + tap_z * dilation_d, y1 + tap_y * dilation_h, x1 + tap_x * dilation_w
                        at1 = base1 + 4 * LANES * ((z * height + yy) * width + xx)
                        inside1 = exists1 and 0 <= z < depth and 0 <= yy < height and 0 <= xx < width
            if step > 0:
                sums = multiply(sums, a_tile + stage, b_tile + stage)
                stage = stage_bytes - stage
            if step < steps:
                store_shared_quad(a_copy + stage, w0)
                if second_weights:
                    store_shared_quad(a_copy + stage + 16 * threads, w1)
                store_pixel(b_copy + stage, v0)
                if second_pixels:
                    store_pixel(b_copy + stage + 2 * threads, v1)
                cuda.syncthreads()

        first_row = tile_number * channels + 4 * (thread // column_threads)
        first_column = first_pixel + 4 * (thread % column_threads)
        places = (first_row, first_column, group * y_blocks, last_pixel, y_blocks)
        finish_tile(
            sums,
            (y, bias, slopes, residual, *places, outputs, y_image, residual_image, alpha, beta),
        )

    return conv_implicit_gemm


KERNEL = KernelDef(
    name="conv.f32.implicit_gemm",
    buffers=("y", "x", "weights", "bias", "slopes", "residual"),
    sizes=SIZES,
    build=_build,
    items=_items,
    footprint=_footprint,
    threads=lambda params: tile_of(params).threads,
)
