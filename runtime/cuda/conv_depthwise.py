"""``conv.f32.depthwise``: one filter per channel, any window, stride, dilation, padding.

The output has the input's channel layout [N][C/8][D][H][W][8], pieces and pad lanes included; weights are packed at
the input's physical lanes as for the CPU. A thread computes ``rows`` outputs below each other for half a block of
channels; threads count through halves, columns, groups of rows, depths, blocks of channels and images, so that no map
is too small to fill a block of threads. Of a window that is known at compile time a whole column is summed at a time,
so that outputs share their inputs; of other windows it is one tap.

Products are few, so the kernel is as fast as memory: it reads and writes whole sectors, and what neighbouring threads
read again comes from the first-level cache.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnnc.dims import Dim, ceil_div
from cnnc.runtime.cpu.conv_depthwise import BUFFERS
from cnnc.runtime.cpu.conv_depthwise import KERNEL as CPU_KERNEL
from cnnc.runtime.cpu.conv_footprint import residual_inplace
from cnnc.runtime.cuda.depthwise_tile import DepthwiseTile, depthwise_tile
from cnnc.runtime.cuda.target import LANES
from cnnc.runtime.kernel import KernelDef, Params, Target

NAME = "conv.f32.depthwise"

SIZES = tuple(name for name in CPU_KERNEL.sizes if name != "item_rows")
"""Those of the CPU's kernel. Variant parameters: rows (outputs of a thread); window, window_columns, stride (rows and
columns of the window, rows from one output to the next, without dilation; 0 takes all from the sizes); activation,
residual (0 or 1), lanes (8)."""

THREADS = 128


def _items(s: Mapping[str, Dim], params: Params) -> Dim:
    groups = ceil_div(s["OH"], int(params["rows"]))
    return ceil_div(s["N"] * s["CB"] * s["OD"] * groups * s["OW"] * 2, THREADS)


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from numba import cuda

    from cnnc.runtime.cuda.epilogue import output_epilogue
    from cnnc.runtime.cuda.integers import divide
    from cnnc.runtime.cuda.intrinsics import for_each_quad

    rows, window, window_columns = (int(params[name]) for name in ("rows", "window", "window_columns"))
    is_known, stride = window > 0, int(params["stride"])
    zero_tile, add_column = depthwise_tile(DepthwiseTile(rows, window or 1, stride or 1))
    finish = output_epilogue(params)
    pixel = 4 * LANES

    def finish_row(sums: Any, first: int, row: int, facts: Any) -> None:
        y, bias, slopes, residual, left, y_step, alpha, beta = facts
        if row < left:
            finish(sums, y + row * y_step, bias, slopes, residual + row * y_step, (alpha, beta))

    finish_rows = for_each_quad(4, rows, finish_row)

    def conv_depthwise(args: Any) -> None:
        x, weights, bias, residual, slopes, y = args[:6]
        images, blocks, depth, height, width, out_d, out_h, out_w = args[6:14]
        kernel_d, kernel_h, kernel_w, stride_d, stride_h, stride_w = args[14:20]
        dilation_d, dilation_h, dilation_w, begin_d, begin_h, begin_w = args[20:26]
        alpha, beta, x_gap, y_gap, residual_gap = args[26:]

        groups = (out_h + rows - 1) // rows
        number = cuda.blockIdx.x * THREADS + cuda.threadIdx.x
        if number >= images * blocks * out_d * groups * out_w * 2:
            return
        rest, half = divide(number, 2)
        rest, out_x = divide(rest, out_w)
        rest, group = divide(rest, groups)
        rest, out_z = divide(rest, out_d)
        image, block = divide(rest, blocks)
        first = group * rows

        volume = blocks * depth * height * width * LANES
        plane = x + 4 * image * (volume + x_gap) + block * depth * height * width * pixel + 16 * half
        taps = kernel_d * kernel_h * kernel_w
        filter_at = weights + block * taps * pixel + 16 * half
        top, left = first * stride_h - begin_h, out_x * stride_w - begin_w
        # Taps below each other that are summed at a time, and how far apart their inputs are.
        steps = 1 if is_known else kernel_h
        columns = window_columns if is_known else kernel_w
        row_step = 1 if is_known else stride_h
        x_step, weights_step = row_step * width * pixel, columns * pixel
        sums = zero_tile()
        for tap_z in range(kernel_d):
            z = out_z * stride_d + tap_z * dilation_d - begin_d
            if 0 <= z < depth:
                tap_at = filter_at + tap_z * kernel_h * columns * pixel
                for tap_y in range(steps):
                    row, column = top + tap_y * dilation_h, left
                    at = plane + ((z * height + row) * width + column) * pixel
                    for _ in range(columns):
                        inside = int(0 <= column < width)
                        sums = add_column(sums, (at, x_step, row, row_step, height, inside, tap_at, weights_step))
                        at += dilation_w * pixel
                        column += dilation_w
                        tap_at += pixel

        place = ((block * out_d + out_z) * out_h + first) * out_w + out_x
        own = blocks * out_d * out_h * out_w * LANES
        at = 4 * half + LANES * block
        finish_rows(
            sums,
            (
                y + 4 * image * (own + y_gap) + place * pixel + 16 * half,
                bias + 4 * at,
                slopes + 4 * at,
                residual + 4 * image * (own + residual_gap) + place * pixel + 16 * half,
                out_h - first,
                out_w * pixel,
                alpha,
                beta,
            ),
        )

    return conv_depthwise


KERNEL = KernelDef(
    name=NAME,
    buffers=BUFFERS,
    sizes=SIZES,
    build=_build,
    items=_items,
    footprint=CPU_KERNEL.footprint,
    inplace=residual_inplace,
    threads=lambda params: THREADS,
)
