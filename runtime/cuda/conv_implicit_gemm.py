"""``conv.f32.implicit_gemm``: convolution as a matrix product whose right operand is never stored.

    y[oc, pixel] = sum over (tap, ic) of weights[oc, tap, ic] * x[ic, pixel * stride + tap * dilation - begin]

x and y are blocked by 8 channels, [N][C/8][D][H][W][8]; fewer spatial axes are leading sizes of 1. A block of threads
computes ``BlockTile.channels`` x ``pixels`` results; its pixels run over all images. The sum goes in steps of one tap
and one block of channels. While the threads multiply the panels of a step, which lie in shared memory, they load the
next step's to registers: weights, packed in the order of their use, and pixels, 16 bytes a load, two threads to a
sector, with zeros where a tap hangs over the border. They store them to the other half of the shared memory, pixels
transposed, and meet at one barrier a step. All pixels move alike from step to step: one offset is added to the places
of their first taps. (Chetlur et al., cuDNN: Efficient primitives for deep learning, 2014.)

Any window, stride, dilation and padding. Groups of whole blocks of channels are separate products. Where there are few
tiles, ``splits`` blocks of threads share the steps of one, and ``conv.f32.sum_splits`` adds what they found. Transposed
convolutions are several such products, one for each *phase* of their outputs (``conv_phases``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from cnnc.dims import Dim, ceil_div, floor_div
from cnnc.runtime.cpu.conv_footprint import GAPS, epilogue_footprint, images_access, residual_inplace
from cnnc.runtime.cpu.prologue import PROLOGUE_BUFFERS, PROLOGUE_SIZES, prologue_accesses
from cnnc.runtime.cuda.conv_phases import PHASE_BYTES
from cnnc.runtime.cuda.conv_tiling import MOST_THREADS
from cnnc.runtime.cuda.register_tile import DEPTH, tile_of
from cnnc.runtime.cuda.target import LANES
from cnnc.runtime.kernel import Access, KernelDef, Params, Target

NAME = "conv.f32.implicit_gemm"
BUFFERS = ("y", "x", "weights", "counts", "phases", "bias", "slopes", "residual", *PROLOGUE_BUFFERS)
SIZES = (
    *("N", "XB", "D", "H", "W", "YB", "OD", "OH", "OW", "KD", "KH", "KW", "SD", "SH", "SW", "DD", "DH", "DW"),
    *("PD", "PH", "PW", "groups", "splits", "phase_count", "weight_floats", *GAPS, "alpha", "beta", *PROLOGUE_SIZES),
)
"""XB, YB: channel blocks of x and y, those of all groups. P*: ONNX's pads at the beginning. ``weight_floats``: of the
packed weights. Gaps are those of ranges of channels; with ``partial``, y is a workspace of ``splits`` times all images.

Compile-time parameters: those of ``tile_of``; ``axes``, how many of the last spatial axes have taps or padding (0, 2 or
3); ``tail``, whether some block has fewer channels than lanes (then ``counts`` holds their number for every block,
int32); ``prologue`` as on the CPU, if there is one; ``phased``, whether y is that of a transposed convolution with
strides S*, whose windows, begins and places are those of a table of ``phase_count`` phases; ``partial``, whether sums
go to a workspace as they are; ``activation`` and ``residual``.
"""


def _items(s: Mapping[str, Dim], params: Params) -> Dim:
    tile = tile_of(params)
    tiles = ceil_div(floor_div(s["YB"], s["groups"]) * LANES, tile.channels)
    outputs = s["N"]
    for axis in "DHW":
        outputs = outputs * ceil_div(s["O" + axis], s["S" + axis] if params["phased"] else 1)
    return s["splits"] * s["phase_count"] * s["groups"] * tiles * ceil_div(outputs, tile.pixels)


def _footprint(s: Mapping[str, int], params: Params) -> tuple[Access, ...]:
    found = [
        images_access("x", s, s["XB"] * s["D"] * s["H"] * s["W"] * LANES * 4, False),
        Access("weights", 0, 4 * s["weight_floats"], False),
    ]
    if params["tail"]:
        found.append(Access("counts", 0, 4 * s["XB"], False))
    if params["phased"]:
        found.append(Access("phases", 0, PHASE_BYTES * s["phase_count"], False))
    pixels = s["OD"] * s["OH"] * s["OW"]
    if params["partial"]:
        outputs: tuple[Access, ...] = (Access("y", 0, s["splits"] * s["N"] * s["YB"] * pixels * LANES * 4, True),)
    else:
        outputs = epilogue_footprint(s, {**params, "lanes": LANES}, pixels)
    return (*found, *prologue_accesses(s, {**params, "lanes": LANES}), *outputs)


def _table_refusal(s: Mapping[str, int], params: Params, tables: Mapping[str, Any]) -> str | None:
    """Phases must have their weights among those given, and no outputs before the first."""
    if not params["phased"]:
        return None
    table = tables["phases"][: PHASE_BYTES * s["phase_count"]].view(np.int32).reshape(-1, PHASE_BYTES // 4)
    first, taps, window, firsts = table[:, 0].astype(np.int64), table[:, 1], table[:, 2:5], table[:, 8:11]
    tile, groups = tile_of(params), s["groups"]
    steps = groups * -(-s["YB"] // groups * LANES // tile.channels) * taps.astype(np.int64) * (s["XB"] // groups)
    if np.any(first < 0) or np.any(taps < 0) or np.any(first + steps > s["weight_floats"] // (DEPTH * tile.channels)):
        return "a phase has weights that are not there"
    return "a phase begins before the first output" if np.any(firsts < 0) or np.any(window < 1) else None


def _inplace(s: Mapping[str, Dim], params: Params) -> tuple[tuple[str, str], ...]:
    return () if params["partial"] else residual_inplace(s, params)


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from numba import cuda

    from cnnc.runtime.cuda.input_prologue import input_prologue
    from cnnc.runtime.cuda.integers import add, block_again, divide, narrow, word
    from cnnc.runtime.cuda.memory_access import (
        first_lanes,
        load_i32,
        load_quad,
        load_quad_if,
        rows_store,
        shared_memory,
        store_shared_quad,
    )
    from cnnc.runtime.cuda.pixel_cursor import corner, inside_check, moved, tap_walk
    from cnnc.runtime.cuda.register_tile import register_tile
    from cnnc.runtime.cuda.tile_output import tile_output

    tile = tile_of(params)
    zero_tile, multiply = register_tile(tile)
    write = tile_output(tile, params, is_partial=bool(params["partial"]), is_phased=bool(params["phased"]))
    shared = shared_memory(2 * tile.stage_bytes)
    threads, channels, pixels = tile.threads, tile.channels, tile.pixels
    column_threads = tile.column_threads
    second_weights, second_pixels = tile.weight_loads == 2, tile.pixel_loads == 2
    weight_bytes, pitch, stage_bytes = 4 * DEPTH * channels, 4 * tile.pixel_pitch, tile.stage_bytes
    axes, has_window = int(params["axes"]), int(params["axes"]) > 0
    has_tail, is_partial, is_phased = bool(params["tail"]), bool(params["partial"]), bool(params["phased"])
    has_prologue = "prologue" in params
    transformed = input_prologue(params if has_prologue else {"prologue": "none"})
    store_pixel = rows_store(pitch)
    is_inside = inside_check(axes)
    find_steps, advance = tap_walk(axes)

    def conv_implicit_gemm(args: Any) -> None:
        y, x, weights, counts, phases, bias, slopes, residual, input_scale, input_shift = args[:10]
        images, all_x_blocks, source, all_y_blocks, result = args[10], args[11], args[12:15], args[15], args[16:19]
        kernel, strides, dilations, begins = args[19:22], args[22:25], args[25:28], args[28:31]
        groups, splits, phase_count, _, x_gap, y_gap, residual_gap, alpha, beta = args[31:40]
        input_alpha, input_beta, input_image = args[40:]

        x_blocks, y_blocks = divide(all_x_blocks, groups)[0], divide(all_y_blocks, groups)[0]
        block_bytes = 4 * LANES * source[0] * source[1] * source[2]
        x_image = all_x_blocks * block_bytes + 4 * x_gap
        tiles = (y_blocks * LANES + channels - 1) // channels
        rest, tile_number = divide(cuda.blockIdx.x, tiles)
        rest, group = divide(rest, groups)
        taps, weights_first, grid = kernel[0] * kernel[1] * kernel[2], 0, result
        distances, firsts = strides, (0, 0, 0)
        if is_phased:
            rest, phase = divide(rest, phase_count)
            row = phases + PHASE_BYTES * phase
            weights_first, taps = load_i32(row), load_i32(row + 4)
            kernel = load_i32(row + 8), load_i32(row + 12), load_i32(row + 16)
            begins = load_i32(row + 20), load_i32(row + 24), load_i32(row + 28)
            firsts = load_i32(row + 32), load_i32(row + 36), load_i32(row + 40)
            grid_d = divide(result[0] + strides[0] - 1, strides[0])[0]
            grid_h = divide(result[1] + strides[1] - 1, strides[1])[0]
            grid = grid_d, grid_h, divide(result[2] + strides[2] - 1, strides[2])[0]
            strides = 1, 1, 1
        outputs = word(grid[0] * grid[1] * grid[2])
        pixel_tile, split = divide(rest, splits)
        first_pixel, last_pixel = word(pixel_tile * pixels), word(images * outputs)
        thread = cuda.threadIdx.x
        all_steps = taps * x_blocks
        first_step, after_step = divide(split * all_steps, splits)[0], divide((split + 1) * all_steps, splits)[0]
        tap_number, first_block = divide(first_step, x_blocks)
        tap_row, tap_x = divide(tap_number, kernel[2])
        tap_z, tap_y = divide(tap_row, kernel[1])

        # What this thread copies: quads of weights, and half a sector of a pixel, or of two.
        first_panel = weights_first + (group * tiles + tile_number) * all_steps + first_step
        weights_at = weights + first_panel * weight_bytes + 16 * thread
        half, pixel = thread % 2, first_pixel + thread // 2
        image0, z0, y0, x0 = corner(pixel, last_pixel, grid, strides, begins)
        image1, z1, y1, x1 = corner(pixel + threads // 2, last_pixel, grid, strides, begins)
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
        steps = find_steps(kernel, dilations, source, x_blocks * block_bytes)
        lane0, lane1 = 4 * image0 * input_image + 16 * half, 4 * image1 * input_image + 16 * half
        input_numbers = input_alpha, input_beta

        base = shared()
        a_copy = base + 16 * thread
        b_copy = base + weight_bytes + 4 * half * pitch + 4 * (thread // 2)
        a_tile = base + 16 * (thread // column_threads)
        b_tile = base + weight_bytes + 16 * (thread % column_threads)

        sums, stage = zero_tile(), 0
        left, zero, one, is_loaded = narrow(after_step - first_step), narrow(0), narrow(1), False
        block, last_block = narrow(first_block), narrow(x_blocks)
        while True:
            if left != zero:
                w0 = load_quad(weights_at)
                w1 = load_quad(weights_at + 16 * threads) if second_weights else w0
                v0 = load_quad_if(at0 + offset, inside0)
                v1 = load_quad_if(at1 + offset, inside1) if second_pixels else v0
                if has_prologue:
                    scale = input_scale + 4 * LANES * (group * x_blocks + block)
                    shift = input_shift + 4 * LANES * (group * x_blocks + block)
                    v0 = transformed(v0, scale + lane0, shift + lane0, inside0, input_numbers)
                    if second_pixels:
                        v1 = transformed(v1, scale + lane1, shift + lane1, inside1, input_numbers)
                if has_tail:
                    count = load_i32(counts + 4 * (group * x_blocks + block)) - 4 * half
                    v0, v1 = first_lanes(v0, count), first_lanes(v1, count)
                weights_at += weight_bytes
                offset += block_bytes
                block = add(block, one)
                if has_window and block == last_block:
                    block = zero
                    tap, jump, move = advance(tap, last_tap, steps)
                    offset += jump
                    place0 = moved(place0, move)
                    inside0 = is_inside(place0, bounds)
                    if second_pixels:
                        place1 = moved(place1, move)
                        inside1 = is_inside(place1, bounds)
            if is_loaded:
                sums = multiply(sums, a_tile + stage, b_tile + stage)
                stage = stage_bytes - stage
            if left == zero:
                break
            store_shared_quad(a_copy + stage, w0)
            if second_weights:
                store_shared_quad(a_copy + stage + 16 * threads, w1)
            store_pixel(b_copy + stage, v0)
            if second_pixels:
                store_pixel(b_copy + stage + 2 * threads, v1)
            cuda.syncthreads()
            left, is_loaded = add(left, narrow(-1)), True

        rest, tile_number = divide(block_again(), tiles)
        rest, group = divide(rest, groups)
        if is_phased:
            rest, phase = divide(rest, phase_count)
        pixel_tile, split = divide(rest, splits)
        first_pixel = word(pixel_tile * pixels)
        first_row = tile_number * channels + 4 * (thread // column_threads)
        first_column = first_pixel + 4 * (thread % column_threads)
        volume = result[0] * result[1] * result[2]
        y_own = LANES * all_y_blocks * volume
        y += 4 * split * images * y_own if is_partial else 0
        places = (first_row, first_column, group * y_blocks, last_pixel, y_blocks)
        numbers = (y_own + y_gap, y_own + residual_gap, alpha, beta, volume, outputs)
        phase_facts = (grid[1], grid[2], *distances, *firsts, *result)
        write(sums, (y, bias, slopes, residual, *places, *numbers, *phase_facts))

    return conv_implicit_gemm


KERNEL = KernelDef(
    name=NAME,
    buffers=BUFFERS,
    sizes=SIZES,
    build=_build,
    items=_items,
    footprint=_footprint,
    inplace=_inplace,
    tables=("phases",),
    table_refusal=_table_refusal,
    threads=lambda params: tile_of(params).threads,
    resident=lambda params: -(-MOST_THREADS // tile_of(params).threads),
)
