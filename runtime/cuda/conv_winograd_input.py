"""``conv.f32.winograd.input``: V = B^T d B of all tiles of x, the first launch of three (``winograd_shape``).

x is blocked, [N][C/8][D][H][W][8]. A thread transforms one tile of two channels; four neighbouring threads read whole
sectors, and the eight columns of a channel of V that a warp writes are one. A dilation divides a map into DH * DW
maps of every DH-th row and DW-th column, whose tiles follow each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from cnnc.dims import Dim, ceil_div
from cnnc.runtime.cpu.conv_footprint import images_access
from cnnc.runtime.cuda.target import LANES
from cnnc.runtime.cuda.winograd_shape import shape_of, v_bytes, v_pitch
from cnnc.runtime.kernel import Access, KernelDef, Params, Target

NAME = "conv.f32.winograd.input"
SIZES = ("N", "XB", "D", "H", "W", "OH", "OW", "DH", "DW", "PH", "PW", "channels", "x_gap")
"""XB: blocks of channels of x. P*: padding before. channels: rows of a position of V. The buffer ``rows`` holds an
int32 for each lane of an image: its row, or -1 for a pad lane. Variant parameters: those of ``WinogradShape``."""

THREADS = 128


def _items(s: Mapping[str, Dim], params: Params) -> Dim:
    return ceil_div(v_pitch(s["N"] * s["D"], shape_of(params).plane_columns(s)) * s["XB"] * (LANES // 2), THREADS)


def _footprint(s: Mapping[str, int], params: Params) -> tuple[Access, ...]:
    shape = shape_of(params)
    v = v_bytes(shape.positions, s["channels"], s["N"] * s["D"], shape.plane_columns(s))
    assert isinstance(v, int)
    return (
        Access("v", 0, v, True),
        images_access("x", s, s["XB"] * s["D"] * s["H"] * s["W"] * LANES * 4, False),
        Access("rows", 0, s["XB"] * LANES * 4, False),
    )


def _table_refusal(s: Mapping[str, int], params: Params, tables: Mapping[str, Any]) -> str | None:
    rows = tables["rows"][: s["XB"] * LANES * 4].view(np.int32)
    is_inside = rows.size == 0 or -1 <= rows.min() <= rows.max() < s["channels"]
    return None if is_inside else f"a lane goes to a row of V that is none of {s['channels']}"


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from numba import cuda

    from cnnc.runtime.cuda.integers import divide
    from cnnc.runtime.cuda.memory_access import load_i32
    from cnnc.runtime.cuda.winograd_transforms import input_transform

    shape = shape_of(params)
    transform = input_transform(shape)
    tile_height, tile_width = shape.rows, shape.columns
    pairs, pixel = LANES // 2, 4 * LANES

    def conv_winograd_input(args: Any) -> None:
        v, x, lane_rows = args[:3]
        images, blocks, depth, height, width, out_h, out_w, dilation_h, dilation_w, begin_h, begin_w = args[3:14]
        channels, x_gap = args[14:]

        row_tiles = dilation_h * ((out_h + dilation_h * tile_height - 1) // (dilation_h * tile_height))
        column_tiles = dilation_w * ((out_w + dilation_w * tile_width - 1) // (dilation_w * tile_width))
        plane_columns = (row_tiles * column_tiles + 3) // 4 * 4
        columns = images * depth * plane_columns
        pitch = (columns + 7) // 8 * 8
        rest, pair = divide(cuda.blockIdx.x * THREADS + cuda.threadIdx.x, pairs)
        # Each block of channels begins with a warp, so that warps write whole sectors.
        block, place = divide(rest, pitch)
        plane, tile = divide(place, plane_columns)
        if block >= blocks or place >= columns or tile >= row_tiles * column_tiles:
            return
        image, z = divide(plane, depth)
        tile_row, tile_column = divide(tile, column_tiles)
        group_row, first_row = divide(tile_row, dilation_h)
        group_column, first_column = divide(tile_column, dilation_w)
        row = group_row * tile_height * dilation_h + first_row - begin_h
        column = group_column * tile_width * dilation_w + first_column - begin_w
        volume = depth * height * width * LANES
        plane_at = x + 4 * (image * (blocks * volume + x_gap) + block * volume) + z * height * width * pixel
        lane = block * LANES + 2 * pair
        row0, row1 = load_i32(lane_rows + 4 * lane), load_i32(lane_rows + 4 * lane + 4)
        transform(
            (
                plane_at + (row * width + column) * pixel + 8 * pair,
                dilation_h * width * pixel,
                dilation_w * pixel,
                row,
                dilation_h,
                height,
                column,
                dilation_w,
                width,
                v + 4 * (row0 * pitch + place),
                v + 4 * (row1 * pitch + place),
                int(row0 >= 0),
                int(row1 >= 0),
                4 * channels * pitch,
            )
        )

    return conv_winograd_input


KERNEL = KernelDef(
    name=NAME,
    buffers=("v", "x", "rows"),
    sizes=SIZES,
    build=_build,
    items=_items,
    footprint=_footprint,
    writes=("v",),
    tables=("rows",),
    table_refusal=_table_refusal,
    threads=lambda params: THREADS,
)
