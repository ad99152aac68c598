"""``conv.mma.implicit_gemm``: the implicit GEMM convolution on tensor cores.

    y[oc, pixel] = sum over (tap, ic) of r(weights[oc, tap, ic]) * r(x[ic, pixel * stride + tap * dilation - begin])

Tensors are float32, blocked by 8 channels. r rounds to the type that the parameter ``precision`` names
(``tensor_precision``), sums are float32. A block of threads computes ``WarpTile.block_channels`` x ``block_pixels``
results, in steps of one tap and ``WarpTile.blocks`` blocks of channels. While its warps multiply the panels of a step
(``warp_tile``), its threads load the next step's to registers; they round the pixels on the way to the other half of
the shared memory, and meet at one barrier a step.

Any window, stride, dilation and padding. Groups of whole blocks of channels are separate products. Where there are few
tiles, ``splits`` blocks of threads share the steps of one, and ``sum.f32.splits`` adds what they found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnnc.dims import Dim, ceil_div, floor_div
from cnnc.runtime.cpu.conv_footprint import GAPS, epilogue_footprint, images_access, residual_inplace
from cnnc.runtime.cpu.prologue import PROLOGUE_BUFFERS, PROLOGUE_SIZES, prologue_accesses
from cnnc.runtime.cuda.target import LANES
from cnnc.runtime.cuda.warp_tile import warp_tile_arithmetic, warp_tile_of
from cnnc.runtime.kernel import Access, KernelDef, Params, Target

NAME = "conv.mma.implicit_gemm"
BUFFERS = ("y", "x", "weights", "counts", "bias", "slopes", "residual", *PROLOGUE_BUFFERS)
SIZES = (
    *("N", "XB", "D", "H", "W", "YB", "OD", "OH", "OW", "KD", "KH", "KW", "SD", "SH", "SW", "DD", "DH", "DW"),
    *("PD", "PH", "PW", "groups", "splits", "weight_floats", *GAPS, "alpha", "beta", *PROLOGUE_SIZES),
)
"""As of ``conv.f32.implicit_gemm``, ``weight_floats`` being words of ``pack_fragments``. Compile-time parameters: those
of ``warp_tile_of``, and ``axes``, ``tail``, ``prologue``, ``partial``, ``activation`` and ``residual`` as of that
kernel."""


def _items(s: Mapping[str, Dim], params: Params) -> Dim:
    tile = warp_tile_of(params)
    tiles = ceil_div(floor_div(s["YB"], s["groups"]) * LANES, tile.block_channels)
    pixels = s["N"] * s["OD"] * s["OH"] * s["OW"]
    return s["splits"] * s["groups"] * tiles * ceil_div(pixels, tile.block_pixels)


def _footprint(s: Mapping[str, int], params: Params) -> tuple[Access, ...]:
    pixels = s["OD"] * s["OH"] * s["OW"]
    found = [
        images_access("x", s, 4 * LANES * s["XB"] * s["D"] * s["H"] * s["W"], False),
        Access("weights", 0, 4 * s["weight_floats"], False),
    ]
    if params["tail"]:
        found.append(Access("counts", 0, 4 * s["XB"], False))
    found += prologue_accesses(s, {**params, "lanes": LANES})
    if params["partial"]:
        return (*found, Access("y", 0, 4 * LANES * s["splits"] * s["N"] * s["YB"] * pixels, True))
    return (*found, *epilogue_footprint(s, {**params, "lanes": LANES}, pixels))


def _inplace(s: Mapping[str, Dim], params: Params) -> tuple[tuple[str, str], ...]:
    return () if params["partial"] else residual_inplace(s, params)


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from numba import cuda

    from cnnc.runtime.cuda.epilogue import output_epilogue
    from cnnc.runtime.cuda.input_prologue import input_prologue
    from cnnc.runtime.cuda.integers import add, divide, narrow
    from cnnc.runtime.cuda.intrinsics import for_each_quad, map_quads
    from cnnc.runtime.cuda.memory_access import shared_memory, store_quad
    from cnnc.runtime.cuda.panel_copy import pixel_copy, weight_copy
    from cnnc.runtime.cuda.pixel_cursor import corner, inside_check, moved, tap_walk

    tile = warp_tile_of(params)
    axes = int(params["axes"])
    zero_tile, multiply = warp_tile_arithmetic(tile, target)
    begin_weights, finish_weights = weight_copy(tile, target)
    load_pixel, keep_lanes, store_pixel = pixel_copy(tile, target)
    is_inside, (find_steps, advance) = inside_check(axes), tap_walk(axes)
    epilogue = output_epilogue(params)
    shared = shared_memory(2 * tile.stage_bytes)
    threads, channels, pixels = tile.threads, tile.block_channels, tile.block_pixels
    warp_channels, warp_pixels, channel_warps = tile.channels, tile.pixels, tile.channel_warps
    blocks, has_second = tile.blocks, tile.pixel_loads == 2
    half_bytes = 8 if tile.factors.bytes == 2 else tile.chunk_pitch
    pixel_bytes, weight_bytes, stage_bytes = tile.pixel_bytes, tile.weight_bytes, tile.stage_bytes
    chunk_pitch = tile.chunk_pitch
    has_window, has_tail, is_partial = axes > 0, bool(params["tail"]), bool(params["partial"])
    has_prologue = "prologue" in params
    transformed = input_prologue(params if has_prologue else {"prologue": "none"})

    def transform(quad: Any, block: int, facts: Any) -> Any:
        """The prologue of half a block of a pixel, of the first ``facts[0]`` blocks of a step."""
        scale, shift = facts[1] + 4 * LANES * block, facts[2] + 4 * LANES * block
        return transformed(quad, scale, shift, block < facts[0], facts[3:])

    transform_blocks = map_quads(tile.blocks, transform)

    def finish(sums: Any, row: int, column: int, facts: Any) -> None:
        """What becomes of four channels of a pixel."""
        y, bias, slopes, residual, first_channel, first_pixel, group_block, y_blocks, last_pixel = facts[:9]
        outputs, y_image, residual_image, alpha, beta = facts[9:]
        channel, pixel = first_channel + 4 * row, first_pixel + 8 * column
        if pixel >= last_pixel or channel >= y_blocks * LANES:
            return
        image, place = divide(pixel, outputs)
        offset = ((group_block + channel // LANES) * outputs + place) * LANES + channel % LANES
        at = y + 4 * (image * y_image + offset)
        if is_partial:
            store_quad(at, sums)
        else:
            lane = 4 * (group_block * LANES + channel)
            other = residual + 4 * (image * residual_image + offset)
            epilogue(sums, at, bias + lane, slopes + lane, other, (alpha, beta))

    finish_tile = for_each_quad(tile.rows, tile.columns, finish)

    def conv_mma(args: Any) -> None:
        y, x, weights, counts, bias, slopes, residual, input_scale, input_shift = args[:9]
        images, all_x_blocks, source, all_y_blocks, result = args[9], args[10], args[11:14], args[14], args[15:18]
        kernel, strides, dilations, begins = args[18:21], args[21:24], args[24:27], args[27:30]
        groups, splits, _, x_gap, y_gap, residual_gap, alpha, beta = args[30:38]
        input_alpha, input_beta, input_image = args[38:]

        x_blocks, y_blocks = divide(all_x_blocks, groups)[0], divide(all_y_blocks, groups)[0]
        block_bytes = 4 * LANES * source[0] * source[1] * source[2]
        x_image, outputs = all_x_blocks * block_bytes + 4 * x_gap, result[0] * result[1] * result[2]
        y_own = LANES * all_y_blocks * outputs
        tiles = (y_blocks * LANES + channels - 1) // channels
        rest, tile_number = divide(cuda.blockIdx.x, tiles)
        rest, group = divide(rest, groups)
        pixel_tile, split = divide(rest, splits)
        first_pixel, last_pixel = pixel_tile * pixels, images * outputs
        thread = cuda.threadIdx.x
        tap_steps = (x_blocks + blocks - 1) // blocks
        all_steps = kernel[0] * kernel[1] * kernel[2] * tap_steps
        first_step, after_step = divide(split * all_steps, splits)[0], divide((split + 1) * all_steps, splits)[0]
        tap_number, first_block = divide(first_step, tap_steps)
        first_block *= blocks
        tap_row, tap_x = divide(tap_number, kernel[2])
        tap_z, tap_y = divide(tap_row, kernel[1])

        # What this thread copies: quads of weights, and half of the blocks of a pixel, or of two.
        weights_at = weights + ((group * tiles + tile_number) * all_steps + first_step) * weight_bytes + 16 * thread
        half, pixel = thread % 2, first_pixel + thread // 2
        image0, z0, y0, x0 = corner(pixel, last_pixel, result, strides, begins)
        image1, z1, y1, x1 = corner(pixel + threads // 2, last_pixel, result, strides, begins)
        z, row, column = tap_z * dilations[0], tap_y * dilations[1], tap_x * dilations[2]
        group_at = x + group * x_blocks * block_bytes + 16 * half
        at0 = group_at + image0 * x_image + 32 * ((z0 * source[1] + y0) * source[2] + x0)
        at1 = group_at + image1 * x_image + 32 * ((z1 * source[1] + y1) * source[2] + x1)
        offset = first_block * block_bytes + 32 * ((z * source[1] + row) * source[2] + column)
        place0 = narrow(z0 + z), narrow(y0 + row), narrow(x0 + column)
        place1 = narrow(z1 + z), narrow(y1 + row), narrow(x1 + column)
        bounds = narrow(source[0]), narrow(source[1]), narrow(source[2])
        inside0, inside1 = is_inside(place0, bounds), is_inside(place1, bounds)
        tap, last_tap = (narrow(tap_y), narrow(tap_x)), (narrow(kernel[1]), narrow(kernel[2]))
        steps = find_steps(kernel, dilations, source, tap_steps * blocks * block_bytes)
        lane0, lane1 = 4 * image0 * input_image + 16 * half, 4 * image1 * input_image + 16 * half
        block = group * x_blocks + first_block

        # What its warp multiplies, and where in its fragments it has its row.
        warp, lane = thread // 32, thread % 32
        pixel_warp, channel_warp = warp // channel_warps, warp % channel_warps
        base = shared()
        pixel_copy_at = base + half * half_bytes + 16 * (thread // 2)
        weight_copy_at = base + pixel_bytes + 16 * thread
        a = base + 16 * (pixel_warp * warp_pixels + lane % 16) + lane // 16 * chunk_pitch
        b = base + pixel_bytes + 16 * (channel_warp * (warp_channels // 16) * 32 + lane)

        sums, stage = zero_tile(), 0  # stage: where this step's panels go
        left, zero, is_loaded = narrow(after_step - first_step), narrow(0), False
        blocks_left = x_blocks - first_block
        while True:
            if left != zero:
                begun = begin_weights(weights_at, weight_copy_at + stage)
                blocks0, blocks1 = blocks_left if inside0 else 0, blocks_left if inside1 else 0
                v0 = load_pixel(at0 + offset, block_bytes, blocks0)
                v1 = load_pixel(at1 + offset, block_bytes, blocks1) if has_second else v0
                if has_prologue:
                    scale, shift = input_scale + 4 * LANES * block, input_shift + 4 * LANES * block
                    v0 = transform_blocks(v0, (blocks0, scale + lane0, shift + lane0, input_alpha, input_beta))
                    if has_second:
                        v1 = transform_blocks(v1, (blocks1, scale + lane1, shift + lane1, input_alpha, input_beta))
                if has_tail:
                    v0 = keep_lanes(v0, counts + 4 * block, blocks_left, 4 * half)
                    v1 = keep_lanes(v1, counts + 4 * block, blocks_left, 4 * half) if has_second else v0
                weights_at += weight_bytes
                block += blocks
                offset += blocks * block_bytes
                blocks_left -= blocks
                if has_window and blocks_left <= 0:
                    block -= blocks * tap_steps
                    blocks_left = x_blocks
                    tap, jump, move = advance(tap, last_tap, steps)
                    offset += jump
                    place0 = moved(place0, move)
                    inside0 = is_inside(place0, bounds)
                    if has_second:
                        place1 = moved(place1, move)
                        inside1 = is_inside(place1, bounds)
            if is_loaded:
                sums = multiply(sums, a + stage_bytes - stage, b + stage_bytes - stage)
            if left == zero:
                break
            store_pixel(pixel_copy_at + stage, v0)
            if has_second:
                store_pixel(pixel_copy_at + stage + 8 * threads, v1)
            finish_weights(weight_copy_at + stage, begun)
            cuda.syncthreads()
            stage, left, is_loaded = stage_bytes - stage, add(left, narrow(-1)), True

        y += 4 * split * images * y_own if is_partial else 0
        first_channel = tile_number * channels + channel_warp * warp_channels + 4 * (lane % 4)
        first_row = first_pixel + pixel_warp * warp_pixels + lane // 4
        places = (first_channel, first_row, group * y_blocks, y_blocks, last_pixel, outputs)
        finish_tile(sums, (y, bias, slopes, residual, *places, y_own + y_gap, y_own + residual_gap, alpha, beta))

    return conv_mma


KERNEL = KernelDef(
    name=NAME,
    buffers=BUFFERS,
    sizes=SIZES,
    build=_build,
    items=_items,
    footprint=_footprint,
    inplace=_inplace,
    threads=lambda params: warp_tile_of(params).threads,
)
