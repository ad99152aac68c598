"""``pool.plain``: max or average pool of plain tensors with few channels or odd ranks.

x is [planes, D, H, W], y is [planes, OD, OH, OW], both float32; planes are N * C. Parameter ``kind``: max or average.
Windows: ``pool_window``. A row of y first combines the rows of x that its windows meet, by vectors, into one scratch
row; windows then combine elements of that row. Max: as in ``pool.blocked``. Work item: a row of y.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cnnc.runtime.cpu import pool_window
from cnnc.runtime.kernel import KernelDef, Params, Target

arguments = pool_window.arguments


def _build(target: Target, params: Params) -> Callable[..., Any]:
    import numpy as np

    from cnnc.runtime.cpu.registers import registers, scalar_access

    v = registers(target)
    load_part, store_part, splat, maximum = v.load_part, v.store_part, v.splat, v.maximum
    read, write = scalar_access(target, "f32")
    first_tap, tap_stop = pool_window.tap_functions()
    lanes = target.lanes
    is_max = params["kind"] == "max"
    start_value = np.float32(-np.inf if is_max else 0.0)

    def pool_plain(args: Any, begin: int, end: int, scratch: int) -> None:
        y, x = args[0], args[1]
        depth, height, width = args[3], args[4], args[5]
        out_d, out_h, out_w = args[6], args[7], args[8]
        kernel_d, kernel_h, kernel_w = args[9], args[10], args[11]
        stride_d, stride_h, stride_w = args[12], args[13], args[14]
        dilation_d, dilation_h, dilation_w = args[15], args[16], args[17]
        begin_d, begin_h, begin_w = args[18], args[19], args[20]
        end_d, end_h, end_w = args[21], args[22], args[23]
        include_pad = args[24]
        for item in range(begin, end):
            rest, row = item // out_h, item % out_h
            plane, slab = rest // out_d, rest % out_d
            top, front = row * stride_h - begin_h, slab * stride_d - begin_d
            d0, d1 = first_tap(front, dilation_d), tap_stop(front, dilation_d, kernel_d, depth)
            h0, h1 = first_tap(top, dilation_h), tap_stop(top, dilation_h, kernel_h, height)
            rows_counted = max(d1 - d0, 0) * max(h1 - h0, 0)
            if include_pad != 0:
                rows_counted = tap_stop(front, dilation_d, kernel_d, depth + end_d)
                rows_counted *= tap_stop(top, dilation_h, kernel_h, height + end_h)
            image = x + 4 * plane * depth * height * width
            for column in range(0, width, lanes):
                count = min(lanes, width - column)
                total = splat(start_value)
                for tap_d in range(d0, d1):
                    for tap_h in range(h0, h1):
                        line = ((front + tap_d * dilation_d) * height + top + tap_h * dilation_h) * width
                        value = load_part(image + 4 * (line + column), count)
                        if is_max:
                            total = maximum(total, value)
                        else:
                            total = total + value
                store_part(scratch + 4 * column, total, count)
            for column in range(out_w):
                left = column * stride_w - begin_w
                w0, w1 = first_tap(left, dilation_w), tap_stop(left, dilation_w, kernel_w, width)
                result = start_value
                for tap_w in range(w0, w1):
                    value = read(scratch + 4 * (left + tap_w * dilation_w))
                    if not is_max:
                        result += value
                    elif not (value <= result) and result == result:  # NaN compares false: it gets in and stays
                        result = value
                if not is_max:
                    counted = max(w1 - w0, 0)
                    if include_pad != 0:
                        counted = tap_stop(left, dilation_w, kernel_w, width + end_w)
                    result = result / np.float32(rows_counted * counted)
                write(y + 4 * (item * out_w + column), result)

    return pool_plain


KERNEL = KernelDef(
    name="pool.plain",
    buffers=("y", "x"),
    sizes=pool_window.SIZES,
    build=_build,
    items=pool_window.items,
    footprint=lambda sizes, params: pool_window.accesses(sizes, 1),
    scratch_bytes=lambda sizes, params: 4 * sizes["w"],
)
