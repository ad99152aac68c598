"""``conv.f32.winograd.output``: y = activation(A^T M A + bias + residual), the last of three launches.

The method and the order of M: ``winograd_shape``. y and the residual are blocked, [N][C/8][D][H][W][8]. A thread
transforms one tile of four channels: two neighbouring threads write whole sectors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnnc.dims import Dim, ceil_div
from cnnc.runtime.cpu.conv_footprint import epilogue_footprint, residual_inplace
from cnnc.runtime.cuda.target import LANES
from cnnc.runtime.cuda.winograd_shape import m_bytes, shape_of
from cnnc.runtime.kernel import Access, KernelDef, Params, Target

NAME = "conv.f32.winograd.output"
SIZES = ("N", "YB", "OD", "OH", "OW", "DH", "DW", "alpha", "beta", "y_gap", "residual_gap")
"""YB: blocks of channels of y. D*: dilation of the window. Variant parameters: those of ``WinogradShape``, activation,
residual (0 or 1), lanes (8)."""

THREADS = 128


def _items(s: Mapping[str, Dim], params: Params) -> Dim:
    return ceil_div(s["N"] * s["OD"] * shape_of(params).plane_columns(s) * s["YB"] * 2, THREADS)


def _footprint(s: Mapping[str, int], params: Params) -> tuple[Access, ...]:
    shape = shape_of(params)
    m = m_bytes(shape.positions, s["YB"], s["N"] * s["OD"] * shape.plane_columns(s))
    assert isinstance(m, int)
    return (Access("m", 0, m, False), *epilogue_footprint(s, params, s["OD"] * s["OH"] * s["OW"]))


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from numba import cuda

    from cnnc.runtime.cuda.epilogue import output_epilogue
    from cnnc.runtime.cuda.integers import divide
    from cnnc.runtime.cuda.intrinsics import for_each_quad
    from cnnc.runtime.cuda.winograd_transforms import output_transform

    shape = shape_of(params)
    transform, finish = output_transform(shape), output_epilogue(params)
    tile_height, tile_width = shape.rows, shape.columns
    pixel = 4 * LANES

    def finish_pixel(sums: Any, first: int, number: int, facts: Any) -> None:
        y, bias, slopes, residual, rows_left, columns_left, y_row, y_column, alpha, beta = facts
        row, column = number // tile_width, number % tile_width
        if row < rows_left and column < columns_left:
            at = row * y_row + column * y_column
            finish(sums, y + at, bias, slopes, residual + at, (alpha, beta))

    finish_tile = for_each_quad(4, tile_height * tile_width, finish_pixel)

    def conv_winograd_output(args: Any) -> None:
        m, bias, residual, slopes, y = args[:5]
        images, blocks, depth, height, width, dilation_h, dilation_w = args[5:12]
        alpha, beta, y_gap, residual_gap = args[12:]

        row_tiles = dilation_h * ((height + dilation_h * tile_height - 1) // (dilation_h * tile_height))
        column_tiles = dilation_w * ((width + dilation_w * tile_width - 1) // (dilation_w * tile_width))
        plane_columns = (row_tiles * column_tiles + 3) // 4 * 4
        columns = images * depth * plane_columns
        rest, half = divide(cuda.blockIdx.x * THREADS + cuda.threadIdx.x, 2)
        block, place = divide(rest, columns)
        plane, tile = divide(place, plane_columns)
        if block >= blocks or tile >= row_tiles * column_tiles:
            return
        image, z = divide(plane, depth)
        tile_row, tile_column = divide(tile, column_tiles)
        group_row, first_row = divide(tile_row, dilation_h)
        group_column, first_column = divide(tile_column, dilation_w)
        row = group_row * tile_height * dilation_h + first_row
        column = group_column * tile_width * dilation_w + first_column
        sums = transform(m + (block * columns + place) * pixel + 16 * half, blocks * columns * pixel)
        offset = (((block * depth + z) * height + row) * width + column) * pixel + 16 * half
        volume = blocks * depth * height * width * LANES
        channel_at = 4 * (block * LANES + 4 * half)
        finish_tile(
            sums,
            (
                y + 4 * image * (volume + y_gap) + offset,
                bias + channel_at,
                slopes + channel_at,
                residual + 4 * image * (volume + residual_gap) + offset,
                (height - row + dilation_h - 1) // dilation_h,
                (width - column + dilation_w - 1) // dilation_w,
                dilation_h * width * pixel,
                dilation_w * pixel,
                alpha,
                beta,
            ),
        )

    return conv_winograd_output


KERNEL = KernelDef(
    name=NAME,
    buffers=("m", "bias", "residual", "slopes", "y"),
    sizes=SIZES,
    build=_build,
    items=_items,
    footprint=_footprint,
    inplace=residual_inplace,
    threads=lambda params: THREADS,
)
