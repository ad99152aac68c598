"""``byte.max_pool``: max pool of bytes, blocked or plain, along the rows and then along the columns.

x is [planes, D, H, W, L], y is [planes, OD, OH, OW, L], of the type ``element``, u8 or i8; L, the parameter ``lanes``,
is the target's lanes for blocked tensors, with N times the blocks as planes, and 1 for plain ones. Windows:
``pool_window``. A window that holds only padding gives the least value of the type. Work item: 8 rows of y.

The largest bytes of the rows that the windows of a row of y cover make a line in scratch, with the least value at its
ends for padding: whole registers, whatever L is. Of it the columns are taken, as whole registers for stride 1 and by
pixels for others. They straddle the registers that were stored, which CPUs cannot forward: so all lines of an item are
made before the first is read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnnc.dims import Dim, floor_div, maximum
from cnnc.runtime.cpu import pool_window
from cnnc.runtime.kernel import KernelDef, Params, Target

_ROWS = pool_window.ROWS
_LINE = 3072
"""Bytes of a line: those of an item stay in the first-level cache. Wider windows get longer lines."""


def _scratch_bytes(sizes: Mapping[str, Dim], params: Params) -> Dim:
    lanes = int(params["lanes"])
    span = (sizes["kernel_w"] - 1) * sizes["dilation_w"] + 1
    return maximum(floor_div(_LINE, lanes), span) * (_ROWS * lanes)


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from cnnc.runtime.cpu.byte_runs import byte_runs
    from cnnc.runtime.cpu.vector import constant

    runs = byte_runs(target, int(params["lanes"]), params["element"] == "i8")
    fill, widest, of_rows, of_pixels = runs.fill_least, runs.larger, runs.largest_of_rows, runs.largest_of_pixels
    first_tap, tap_stop = pool_window.tap_functions()
    lanes = constant(target, int(params["lanes"]))

    def byte_max_pool(args: Any, begin: int, end: int, scratch: int) -> None:
        y, x = args[0], args[1]
        depth, height, width, out_d, out_h, out_w = args[3], args[4], args[5], args[6], args[7], args[8]
        kernel_d, kernel_h, kernel_w = args[9], args[10], args[11]
        stride_d, stride_h, stride_w = args[12], args[13], args[14]
        dilation_d, dilation_h, dilation_w = args[15], args[16], args[17]
        begin_d, begin_h, begin_w = args[18], args[19], args[20]
        image_planes, x_gap, y_gap = args[25], args[26], args[27]
        pixel, span = lanes(), (kernel_w - 1) * dilation_w + 1
        longest = max(_LINE // pixel, span)
        pitch, strip = longest * pixel, (longest - span) // stride_w + 1
        groups = (out_h + _ROWS - 1) // _ROWS
        for item in range(begin, end):
            rest, first_row = item // groups, item % groups * _ROWS
            plane, slab = rest // out_d, rest % out_d
            front = slab * stride_d - begin_d
            d0, d1 = first_tap(front, dilation_d), tap_stop(front, dilation_d, kernel_d, depth)
            image = x + plane * depth * height * width * pixel + plane // image_planes * x_gap
            slab_out = y + plane // image_planes * y_gap + rest * out_h * out_w * pixel
            rows = min(_ROWS, out_h - first_row)
            for strip_begin in range(0, out_w, strip):
                count = min(strip_begin + strip, out_w) - strip_begin
                # Pixel p of a line is column left + p of x.
                left = strip_begin * stride_w - begin_w
                length = (count - 1) * stride_w + span
                for number in range(rows):
                    line = scratch + number * pitch
                    top = (first_row + number) * stride_h - begin_h
                    h0, h1 = first_tap(top, dilation_h), tap_stop(top, dilation_h, kernel_h, height)
                    low = min(max(-left, 0), length)
                    high = max(min(width - left, length), low) if d0 < d1 and h0 < h1 else low
                    fill(line, low * pixel)
                    fill(line + high * pixel, (length - high) * pixel)
                    into, inside = line + low * pixel, (high - low) * pixel
                    for tap in range(d0, d1):
                        above = (front + tap * dilation_d) * height + top + h0 * dilation_h
                        at, step = image + (above * width + left + low) * pixel, dilation_h * width * pixel
                        if tap == d0:
                            of_rows(into, at, step, max(h1 - h0, 0), inside)
                            continue
                        for tap_h in range(h1 - h0):
                            widest(into, at + tap_h * step, inside)
                for number in range(rows):
                    line = scratch + number * pitch
                    result = slab_out + ((first_row + number) * out_w + strip_begin) * pixel
                    if stride_w == 1:
                        of_rows(result, line, dilation_w * pixel, kernel_w, count * pixel)
                    else:
                        of_pixels(result, line, stride_w * pixel, dilation_w * pixel, kernel_w, count)

    return byte_max_pool


KERNEL = KernelDef(
    name="byte.max_pool",
    buffers=("y", "x"),
    sizes=pool_window.SIZES,
    build=_build,
    items=pool_window.row_group_items,
    footprint=lambda sizes, params: pool_window.accesses(sizes, int(params["lanes"]), element_bytes=1),
    scratch_bytes=_scratch_bytes,
)
