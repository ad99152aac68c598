"""``pool.blocked``: max or average pool of blocked tensors, vectors along the lanes.

x is [planes, D, H, W, L], y is [planes, OD, OH, OW, L], both float32; planes are N times the blocks, L is the target's
lanes. Parameters: ``kind`` (max or average) and ``lanes``. Windows: ``pool_window``. Pad lanes are pooled like the
others, so they stay finite as long as every window meets the input. Global pools are ``reduce`` over [planes, S, L].

A window is a product of intervals, so it is pooled one direction after the other: a strip of a row of y first gets a
*line* in scratch, which combines the KD * KH rows of x under it and holds padding at both ends; windows then run along
the line. That takes KH + KW steps in place of KH * KW, and none of them looks for borders.

Max: a NaN in the window gives NaN; padding counts as -inf, so a window that holds only padding gives -inf.
Averages are sums times the reciprocal of the count. Work item: a row of y.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnnc.dims import Dim, maximum
from cnnc.runtime.cpu import pool_window
from cnnc.runtime.kernel import KernelDef, Params, Target

arguments = pool_window.arguments

_LINE = 96
"""Pixels of a line: it and the pixels of x above it stay in the first-level cache. Wider windows get longer lines."""


def _scratch_bytes(sizes: Mapping[str, Dim], params: Params) -> Dim:
    span = (sizes["kernel_w"] - 1) * sizes["dilation_w"] + 1
    return maximum(_LINE, span) * (int(params["lanes"]) * 4)


def _build(target: Target, params: Params) -> Callable[..., Any]:
    import numba
    import numpy as np

    from cnnc.runtime.cpu.registers import registers

    v = registers(target)
    load, store, splat, greater, greatest = v.load, v.store, v.splat, v.maximum, v.maximum_of_three
    first_tap, tap_stop = pool_window.tap_functions()
    pixel, line_pixels = target.vector_bytes, _LINE
    is_max = params["kind"] == "max"
    start_value = np.float32(-np.inf if is_max else 0.0)
    whole = np.float32(1)
    jit = numba.njit(error_model="numpy", inline="always")

    @jit  # type: ignore[untyped-decorator]
    def one(dst: int, a: int, step: int, count: int, factor: Any) -> None:
        """dst[i] = a[i]: ``count`` vectors ``step`` bytes apart, to consecutive places; averages times ``factor``."""
        for number in range(count):
            value = load(a + number * step)
            store(dst + number * pixel, value if is_max else value * splat(factor))

    @jit  # type: ignore[untyped-decorator]
    def two(dst: int, a: int, a_step: int, b: int, step: int, count: int, factor: Any) -> None:
        for number in range(count):
            value, other = load(a + number * a_step), load(b + number * step)
            store(dst + number * pixel, greater(value, other) if is_max else (value + other) * splat(factor))

    @jit  # type: ignore[untyped-decorator]
    def three(dst: int, a: int, a_step: int, b: int, c: int, step: int, count: int, factor: Any) -> None:
        for number in range(count):
            value, other, last = load(a + number * a_step), load(b + number * step), load(c + number * step)
            if is_max:
                store(dst + number * pixel, greatest(value, other, last))
            else:
                store(dst + number * pixel, (value + other + last) * splat(factor))

    @jit  # type: ignore[untyped-decorator]
    def combine(dst: int, src: int, step: int, tap_step: int, taps: int, count: int, factor: Any) -> None:
        """dst[i] = src[i] of ``taps`` rows of vectors, ``tap_step`` bytes apart."""
        if taps == 1:
            one(dst, src, step, count, factor)
        elif taps == 2:
            two(dst, src, step, src + tap_step, step, count, factor)
        else:
            odd = taps % 2
            three(dst, src, step, src + tap_step, src + 2 * tap_step, step, count, factor if taps == 3 else whole)
            for tap in range(3, taps - 1 + odd, 2):
                at, is_last = src + tap * tap_step, tap + 2 == taps
                three(dst, dst, pixel, at, at + tap_step, step, count, factor if is_last else whole)
            if odd == 0:
                two(dst, dst, pixel, src + (taps - 1) * tap_step, step, count, factor)

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
        line = scratch
        span = (kernel_w - 1) * dilation_w + 1
        strip = (max(line_pixels, span) - span) // stride_w + 1
        # Windows inside the row: ``inside`` of them, from ``inner_first`` on.
        inner_first = min((begin_w + stride_w - 1) // stride_w, out_w)
        inside = max(min((width + begin_w - span) // stride_w + 1, out_w) - inner_first, 0)
        for item in range(begin, end):
            rest, row = item // out_h, item % out_h
            plane, slab = rest // out_d, rest % out_d
            top, front = row * stride_h - begin_h, slab * stride_d - begin_d
            d0, d1 = first_tap(front, dilation_d), tap_stop(front, dilation_d, kernel_d, depth)
            h0, h1 = first_tap(top, dilation_h), tap_stop(top, dilation_h, kernel_h, height)
            rows = max(d1 - d0, 0) * max(h1 - h0, 0)
            rows_counted = rows
            if include_pad != 0:
                rows_counted = tap_stop(front, dilation_d, kernel_d, depth + end_d)
                rows_counted *= tap_stop(top, dilation_h, kernel_h, height + end_h)
            factor = whole / np.float32(rows_counted * kernel_w)
            image = x + plane * depth * height * width * pixel + plane // image_planes * x_gap
            out = y + plane // image_planes * y_gap + item * out_w * pixel
            for strip_begin in range(0, out_w, strip):
                strip_end = min(strip_begin + strip, out_w)
                # Pixel p of the line is column left + p of x.
                left = strip_begin * stride_w - begin_w
                length = (strip_end - 1 - strip_begin) * stride_w + span
                low = min(max(-left, 0), length)
                high = max(min(width - left, length), low) if rows > 0 else low
                for place in range(low):
                    store(line + place * pixel, splat(start_value))
                for place in range(high, length):
                    store(line + place * pixel, splat(start_value))
                into, under = line + low * pixel, image + (left + low) * pixel
                for tap in range(d0, d1):
                    plane_row = (front + tap * dilation_d) * height + top
                    if tap == d0:
                        at, row_step = under + (plane_row + h0 * dilation_h) * width * pixel, dilation_h * width * pixel
                        combine(into, at, pixel, row_step, h1 - h0, high - low, whole)
                        continue
                    for tap_h in range(h0, h1):
                        at = under + (plane_row + tap_h * dilation_h) * width * pixel
                        two(into, into, pixel, at, pixel, high - low, whole)
                result = out + strip_begin * pixel
                combine(result, line, stride_w * pixel, dilation_w * pixel, kernel_w, strip_end - strip_begin, factor)
            if is_max:
                continue
            # Windows over the ends of the row count fewer elements: they are corrected where they were written.
            for number in range(out_w - inside):
                column = number if number < inner_first else number + inside
                left = column * stride_w - begin_w
                counted = max(tap_stop(left, dilation_w, kernel_w, width) - first_tap(left, dilation_w), 0)
                if include_pad != 0:
                    counted = tap_stop(left, dilation_w, kernel_w, width + end_w)
                correction = splat(np.float32(kernel_w) / np.float32(counted))
                store(out + column * pixel, load(out + column * pixel) * correction)

    return pool_blocked


KERNEL = KernelDef(
    name="pool.blocked",
    buffers=("y", "x"),
    sizes=pool_window.SIZES,
    build=_build,
    items=pool_window.items,
    footprint=lambda sizes, params: pool_window.accesses(sizes, int(params["lanes"])),
    scratch_bytes=_scratch_bytes,
)
