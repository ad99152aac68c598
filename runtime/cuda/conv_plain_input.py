"""``conv.f32.plain_input``: convolution of a plain image [N][C][D][H][W] of few channels, to a blocked tensor.

The product of ``conv.f32.implicit_gemm``, with channels and taps in one axis: a block of 8 channels would be mostly
padding. A step is 8 neighbours of it, listed in a table of (channel, z, y, x) for all pixels; neighbouring threads load
neighbouring pixels of a row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.dims import Dim, ceil_div
from cnnc.frozen_dataclass import dataclass
from cnnc.runtime.cpu.conv_footprint import GAPS, epilogue_footprint, images_access, residual_inplace
from cnnc.runtime.cuda.conv_tiling import MOST_THREADS
from cnnc.runtime.cuda.register_tile import DEPTH, tile_of
from cnnc.runtime.cuda.target import LANES
from cnnc.runtime.kernel import Access, KernelDef, Params, Target

NAME = "conv.f32.plain_input"
BUFFERS = ("y", "x", "weights", "taps", "bias", "slopes", "residual")
SIZES = (
    *("N", "C", "D", "H", "W", "YB", "OD", "OH", "OW", "SD", "SH", "SW", "PD", "PH", "PW", "steps"),
    *(*GAPS, "alpha", "beta"),
)
"""As of ``conv.f32.implicit_gemm``; ``steps``: of 8 rows of the table ``taps``, int32. Compile-time parameters: those
of ``tile_of``; ``axes``, 3 if the window has a depth, else 2; ``activation`` and ``residual``."""

_ROW_BYTES = 16
_OUTSIDE = -(1 << 30)
"""The row of a tap that does not exist."""


@dataclass(frozen=True, slots=True)
class PlainWeights:
    """``weights`` [tile][step][8][channels of a tile], and the table ``taps`` [steps * 8][4], int32."""

    weights: NDArray[np.float32]
    taps: NDArray[np.int32]


def pack_plain_input(weights: NDArray[Any], channels: int, dilations: Sequence[int]) -> PlainWeights:
    """Pack [OC, C, KD, KH, KW] for tiles of ``channels`` outputs; ``dilations`` along three axes."""
    oc, depth = weights.shape[0], int(np.prod(weights.shape[1:]))
    tiles, steps = -(-oc // channels), -(-depth // DEPTH)
    padded = np.zeros((tiles * channels, steps * DEPTH), np.float32)
    padded[:oc, :depth] = weights.reshape(oc, depth)
    ordered = padded.reshape(tiles, channels, steps, DEPTH).transpose(0, 2, 3, 1)
    taps = np.zeros((steps * DEPTH, 4), np.int32)
    taps[:, 2] = _OUTSIDE
    taps[:depth] = np.stack(np.unravel_index(np.arange(depth), weights.shape[1:]), axis=1) * (1, *dilations)
    return PlainWeights(np.ascontiguousarray(ordered).reshape(-1), taps)


def _items(s: Mapping[str, Dim], params: Params) -> Dim:
    tile = tile_of(params)
    pixels = s["N"] * s["OD"] * s["OH"] * s["OW"]
    return ceil_div(s["YB"] * LANES, tile.channels) * ceil_div(pixels, tile.pixels)


def _footprint(s: Mapping[str, int], params: Params) -> tuple[Access, ...]:
    tile = tile_of(params)
    tiles = -(-s["YB"] * LANES // tile.channels)
    return (
        images_access("x", s, s["C"] * s["D"] * s["H"] * s["W"] * 4, False),
        Access("weights", 0, 4 * tiles * s["steps"] * DEPTH * tile.channels, False),
        Access("taps", 0, _ROW_BYTES * DEPTH * s["steps"], False),
        *epilogue_footprint(s, {**params, "lanes": LANES}, s["OD"] * s["OH"] * s["OW"]),
    )


def _table_refusal(s: Mapping[str, int], params: Params, tables: Mapping[str, Any]) -> str | None:
    rows = tables["taps"][: _ROW_BYTES * DEPTH * s["steps"]].view(np.int32).reshape(-1, 4)
    if np.any(rows[:, 0] < 0) or np.any(rows[:, 0] >= s["C"]):
        return f"a tap reads a channel that is none of {s['C']}"
    return "a tap leaves its plane" if params["axes"] == 2 and np.any(rows[:, 1]) else None


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from numba import cuda

    from cnnc.runtime.cuda.integers import divide, narrow
    from cnnc.runtime.cuda.memory_access import load_quad, shared_memory, store_shared_quad
    from cnnc.runtime.cuda.pixel_cursor import corner
    from cnnc.runtime.cuda.plain_input_copy import column_copy
    from cnnc.runtime.cuda.register_tile import register_tile
    from cnnc.runtime.cuda.tile_output import WHOLE_MAP, tile_output

    tile = tile_of(params)
    threads, channels, pixels, column_threads = tile.threads, tile.channels, tile.pixels, tile.column_threads
    rows, pitch, stage_bytes = DEPTH * pixels // threads, 4 * tile.pixel_pitch, tile.stage_bytes
    zero_tile, multiply = register_tile(tile)
    load_column, store_column = column_copy(rows, pitch, int(params["axes"]))
    write = tile_output(tile, params)
    shared = shared_memory(2 * stage_bytes)
    second_weights, weight_bytes = tile.weight_loads == 2, 4 * DEPTH * channels

    def conv_plain_input(args: Any) -> None:
        y, x, weights, taps, bias, slopes, residual = args[:7]
        images, image_channels, depth, height, width, y_blocks, out_d, out_h, out_w = args[7:16]
        strides, begins = args[16:19], args[19:22]
        steps, x_gap, y_gap, residual_gap, alpha, beta = args[22:]

        volume, outputs = depth * height * width, out_d * out_h * out_w
        tiles = (y_blocks * LANES + channels - 1) // channels
        pixel_tile, tile_number = divide(cuda.blockIdx.x, tiles)
        first_pixel, last_pixel = pixel_tile * pixels, images * outputs
        thread = cuda.threadIdx.x

        # This thread copies some rows of one column, and quads of weights.
        first_row, column = thread // pixels * rows, thread % pixels
        pixel = first_pixel + column
        image, z, row, left = corner(pixel, last_pixel, (out_d, out_h, out_w), strides, begins)
        place = narrow(z), narrow(row), narrow(left)
        sizes = narrow(depth), narrow(height), narrow(width)
        image_at = x + 4 * image * (image_channels * volume + x_gap)
        taps_at = taps + 16 * first_row
        weights_at = weights + tile_number * steps * weight_bytes + 16 * thread
        base = shared()
        a_copy = base + 16 * thread
        b_copy = base + weight_bytes + first_row * pitch + 4 * column
        a_tile = base + 16 * (thread // column_threads)
        b_tile = base + weight_bytes + 16 * (thread % column_threads)

        sums = zero_tile()
        stage = 0
        for step in range(steps + 1):
            if step < steps:
                w0 = load_quad(weights_at)
                w1 = load_quad(weights_at + 16 * threads) if second_weights else w0
                values = load_column(taps_at, image_at, place, sizes, volume)
                weights_at += weight_bytes
                taps_at += 16 * DEPTH
            if step > 0:
                sums = multiply(sums, a_tile + stage, b_tile + stage)
                stage = stage_bytes - stage
            if step < steps:
                store_shared_quad(a_copy + stage, w0)
                if second_weights:
                    store_shared_quad(a_copy + stage + 16 * threads, w1)
                store_column(b_copy + stage, values)
                cuda.syncthreads()

        places = (
            tile_number * channels + 4 * (thread // column_threads),
            first_pixel + 4 * (thread % column_threads),
            *(0, last_pixel, y_blocks),
        )
        own = LANES * y_blocks * outputs
        numbers = (own + y_gap, own + residual_gap, alpha, beta, outputs, outputs)
        write(sums, (y, bias, slopes, residual, *places, *numbers, *WHOLE_MAP))

    return conv_plain_input


KERNEL = KernelDef(
    name=NAME,
    buffers=BUFFERS,
    sizes=SIZES,
    build=_build,
    items=_items,
    footprint=_footprint,
    inplace=residual_inplace,
    tables=("taps",),
    table_refusal=_table_refusal,
    threads=lambda params: tile_of(params).threads,
    resident=lambda params: -(-MOST_THREADS // tile_of(params).threads),
)
