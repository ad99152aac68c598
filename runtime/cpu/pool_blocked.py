"""``pool.blocked``: max or average pool of blocked tensors, vectors along the lanes.

x is [planes, D, H, W, L], y is [planes, OD, OH, OW, L], both float32; planes are N times the blocks, L is the target's
lanes. Parameters: ``kind`` (max or average) and ``lanes``. Windows: ``pool_window``. Pad lanes are pooled like the
others, so they stay finite as long as every window meets the input. Global pools are ``reduce`` over [planes, S, L].

Max: a NaN in the window gives NaN; padding counts as -inf, so a window that holds only padding gives -inf.
Work item: a row of y.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cnnc.runtime.cpu import pool_window
from cnnc.runtime.kernel import KernelDef, Params, Target

arguments = pool_window.arguments


def _build(target: Target, params: Params) -> Callable[..., Any]:
    import numba
    import numpy as np

    from cnnc.runtime.cpu.registers import registers

    v = registers(target)
    load, store, splat, maximum = v.load, v.store, v.splat, v.maximum
    first_tap, tap_stop = pool_window.tap_functions()
    pixel = target.vector_bytes
    is_max = params["kind"] == "max"
    start_value = np.float32(-np.inf if is_max else 0.0)

    @numba.njit(error_model="numpy", inline="always")  # type: ignore[untyped-decorator]
    def combine(total: Any, value: Any) -> Any:
        if is_max:
            return maximum(total, value)
        return total + value

    def pool_blocked(args: Any, begin: int, end: int, scratch: int) -> None:
        y, x = args[0], args[1]
        depth, height, width = args[3], args[4], args[5]
        out_d, out_h, out_w = args[6], args[7], args[8]
        kernel_d, kernel_h, kernel_w = args[9], args[10], args[11]
        stride_d, stride_h, stride_w = args[12], args[13], args[14]
        dilation_d, dilation_h, dilation_w = args[15], args[16], args[17]
        begin_d, begin_h, begin_w = args[18], args[19], args[20]
        end_d, end_h, end_w = args[21], args[22], args[23]
        include_pad, image_planes, x_gap, y_gap = args[24], args[25], args[26] * 4, args[27] * 4
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
            image = x + plane * depth * height * width * pixel + plane // image_planes * x_gap
            out = y + plane // image_planes * y_gap
            # Columns whose windows lie inside the row go four at a time: they share the loops over the taps.
            inner_first = min((begin_w + stride_w - 1) // stride_w, out_w)
            inner_last = (width + begin_w - (kernel_w - 1) * dilation_w - 1) // stride_w
            quads = max(min(inner_last + 1, out_w) - inner_first, 0) // 4
            next_pixel = stride_w * pixel
            for quad in range(quads):
                column = inner_first + 4 * quad
                left = column * stride_w - begin_w
                a, b, c, d = splat(start_value), splat(start_value), splat(start_value), splat(start_value)
                for tap_d in range(d0, d1):
                    for tap_h in range(h0, h1):
                        line = ((front + tap_d * dilation_d) * height + top + tap_h * dilation_h) * width + left
                        at = image + line * pixel
                        for _ in range(kernel_w):
                            a, b = combine(a, load(at)), combine(b, load(at + next_pixel))
                            c, d = combine(c, load(at + 2 * next_pixel)), combine(d, load(at + 3 * next_pixel))
                            at += dilation_w * pixel
                if not is_max:
                    divisor = splat(np.float32(rows_counted * kernel_w))
                    a, b, c, d = a / divisor, b / divisor, c / divisor, d / divisor
                result = out + (item * out_w + column) * pixel
                store(result, a)
                store(result + pixel, b)
                store(result + 2 * pixel, c)
                store(result + 3 * pixel, d)
            for number in range(out_w - 4 * quads):
                column = number if number < inner_first else number + 4 * quads
                left = column * stride_w - begin_w
                w0, w1 = first_tap(left, dilation_w), tap_stop(left, dilation_w, kernel_w, width)
                total = splat(start_value)
                for tap_d in range(d0, d1):
                    for tap_h in range(h0, h1):
                        line = ((front + tap_d * dilation_d) * height + top + tap_h * dilation_h) * width + left
                        for tap_w in range(w0, w1):
                            total = combine(total, load(image + (line + tap_w * dilation_w) * pixel))
                if not is_max:
                    counted = max(w1 - w0, 0)
                    if include_pad != 0:
                        counted = tap_stop(left, dilation_w, kernel_w, width + end_w)
                    total = total / splat(np.float32(rows_counted * counted))
                store(out + (item * out_w + column) * pixel, total)

    return pool_blocked


KERNEL = KernelDef(
    name="pool.blocked",
    buffers=("y", "x"),
    sizes=pool_window.SIZES,
    build=_build,
    items=pool_window.items,
    footprint=lambda sizes, params: pool_window.accesses(sizes, int(params["lanes"])),
)
