"""``byte.average_pool``: windowed mean of blocked bytes, requantized.

x is [planes, D, H, W, L], y is [planes, OD, OH, OW, L], of the type ``element``, u8 or i8, L being the target's lanes
and the parameter ``lanes``; planes are N times the blocks. Windows: ``pool_window``. With n elements of x in a window,
of sum s, and a divisor d (n, or what ``include_pad`` adds),

    y = rint((s - n * x_zero) * (x_scale / (y_scale * d))) + y_zero,

saturated to ``y_least`` and 255 more; scales are float32 bits, and so are all products and quotients. Sums are int32:
those of the rows that a row of y covers make a line in scratch first. Work item: 8 rows of y.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from cnnc.runtime.cpu import pool_window
from cnnc.runtime.kernel import KernelDef, Params, Target

SIZES = (*pool_window.SIZES, "x_scale", "x_zero", "y_scale", "y_zero", "y_least")

_ROWS = pool_window.ROWS


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from cnnc.runtime.cpu.byte_runs import by_taps
    from cnnc.runtime.cpu.requantization import Requantization
    from cnnc.runtime.cpu.vector import I32, intrinsic

    lanes, is_signed, word = target.lanes, params["element"] == "i8", target.vector_bytes
    first_tap, tap_stop = pool_window.tap_functions()

    def summed(b: Any, load: Callable[[Any], Any], taps: Any, fixed: int | None) -> Any:
        """The sum of ``load(tap)`` over ``taps`` taps, unrolled where their number is fixed."""
        if fixed is not None:
            return functools.reduce(b.int_add, [load(b.index(tap)) for tap in range(fixed)])
        total = b.variable(b.int_const(0))
        with b.loop(taps) as tap:
            b.set(total, b.int_add(b.get(total), load(tap)))
        return b.get(total)

    def emit_line(b: Any, line: Any, x: Any, step: Any, rows: Any, pixels: Any, adds: Any) -> None:
        """line[p] = the sum of pixel p of ``rows`` rows of x; added to what is there where ``adds`` is not 0."""
        keeps = b.ir.icmp_signed("!=", adds, b.index(0))

        def body(fixed: int | None) -> None:
            with b.loop(pixels) as pixel:
                place, start = b.ir.mul(pixel, b.index(word)), b.ir.mul(pixel, b.index(lanes))
                total = b.variable(
                    summed(b, lambda row: b.load_bytes(x, is_signed, b.ir.add(start, b.ir.mul(row, step))), rows, fixed)
                )
                with b.when(keeps):
                    b.set(total, b.int_add(b.get(total), b.load_integers(line, place)))
                b.store(b.get(total), line, place)

        by_taps(b, rows, body)

    def emit_means(b: Any, y: Any, line: Any, stride: Any, step: Any, taps: Any, count: Any, *numbers: Any) -> None:
        """``count`` pixels of y from ``taps`` pixels of the line each, ``step`` bytes apart."""
        elements, divisor, x_scale, x_zero, y_scale, y_zero, y_least = numbers
        # A window in the padding altogether has the divisor 0.
        stored = Requantization(b, y_zero, y_least, takes_nan=True).stored
        zeros = b.splat(b.ir.trunc(b.ir.mul(elements, x_zero), I32))
        whole = b.to_float(b.splat(b.ir.trunc(divisor, I32)))
        factor = b.div(b.float_bits(x_scale), b.mul(b.float_bits(y_scale), whole))

        def body(fixed: int | None) -> None:
            with b.loop(count) as number:
                start = b.ir.mul(number, stride)
                total = summed(b, lambda tap: b.load_integers(line, b.ir.add(start, b.ir.mul(tap, step))), taps, fixed)
                mean = b.mul(b.to_float(b.int_sub(total, zeros)), factor)
                b.store_bytes(stored(mean), y, b.ir.mul(number, b.index(lanes)))

        by_taps(b, taps, body)

    sum_rows = intrinsic(target, emit_line, 6)
    means = intrinsic(target, emit_means, 13)

    def byte_average_pool(args: Any, begin: int, end: int, scratch: int) -> None:
        y, x = args[0], args[1]
        depth, height, width, out_d, out_h, out_w = args[3], args[4], args[5], args[6], args[7], args[8]
        kernel_d, kernel_h, kernel_w = args[9], args[10], args[11]
        stride_d, stride_h, stride_w = args[12], args[13], args[14]
        dilation_d, dilation_h, dilation_w = args[15], args[16], args[17]
        begin_d, begin_h, begin_w = args[18], args[19], args[20]
        end_d, end_h, end_w = args[21], args[22], args[23]
        include_pad, image_planes, x_gap, y_gap = args[24], args[25], args[26], args[27]
        x_scale, x_zero, y_scale, y_zero, y_least = args[28], args[29], args[30], args[31], args[32]
        span = (kernel_w - 1) * dilation_w + 1
        # Windows inside the row: columns from ``inner_first`` to ``inner_stop``.
        inner_first = min((begin_w + stride_w - 1) // stride_w, out_w)
        inner_stop = max(min((width + begin_w - span) // stride_w + 1, out_w), inner_first)
        groups = (out_h + _ROWS - 1) // _ROWS
        for item in range(begin, end):
            rest, first_row = item // groups, item % groups * _ROWS
            plane, slab = rest // out_d, rest % out_d
            front = slab * stride_d - begin_d
            d0, d1 = first_tap(front, dilation_d), tap_stop(front, dilation_d, kernel_d, depth)
            image = x + plane * depth * height * width * lanes + plane // image_planes * x_gap
            slab_out = y + plane // image_planes * y_gap + rest * out_h * out_w * lanes
            for row in range(first_row, min(first_row + _ROWS, out_h)):
                top = row * stride_h - begin_h
                h0, h1 = first_tap(top, dilation_h), tap_stop(top, dilation_h, kernel_h, height)
                out = slab_out + row * out_w * lanes
                rows = max(d1 - d0, 0) * max(h1 - h0, 0)
                counted = rows
                if include_pad != 0:
                    counted = tap_stop(front, dilation_d, kernel_d, depth + end_d)
                    counted *= tap_stop(top, dilation_h, kernel_h, height + end_h)
                for tap in range(d0, d1):
                    above = (front + tap * dilation_d) * height + top + h0 * dilation_h
                    at, step = image + above * width * lanes, dilation_h * width * lanes
                    sum_rows(scratch, at, step, max(h1 - h0, 0), width, tap - d0)
                column = 0
                while column < out_w:
                    left = column * stride_w - begin_w
                    w0, w1 = first_tap(left, dilation_w), tap_stop(left, dilation_w, kernel_w, width)
                    taps = max(w1 - w0, 0) if rows > 0 else 0
                    divisor = counted * taps
                    if include_pad != 0:
                        divisor = counted * tap_stop(left, dilation_w, kernel_w, width + end_w)
                    count = inner_stop - column if inner_first <= column < inner_stop else 1
                    first = scratch + (left + w0 * dilation_w) * word
                    means(
                        out + column * lanes, first, stride_w * word, dilation_w * word,
                        taps, count, rows * taps, divisor, x_scale, x_zero, y_scale, y_zero, y_least,
                    )  # fmt: skip
                    column += count

    return byte_average_pool


KERNEL = KernelDef(
    name="byte.average_pool",
    buffers=("y", "x"),
    sizes=SIZES,
    build=_build,
    items=pool_window.row_group_items,
    footprint=lambda sizes, params: pool_window.accesses(sizes, int(params["lanes"]), element_bytes=1),
    scratch_bytes=lambda sizes, params: sizes["w"] * (4 * int(params["lanes"])),
)
