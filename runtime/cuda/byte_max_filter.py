"""``byte.max_filter``: max pools of bytes that keep the size of their maps, with stride 1: the CPU kernel's contract.

A pixel of y a thread, with all taps of its window.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnnc.dims import Dim, ceil_div
from cnnc.runtime.cpu import byte_max_filter
from cnnc.runtime.kernel import KernelDef, Params, Target

THREADS = 256


def _items(sizes: Mapping[str, Dim], params: Params) -> Dim:
    return ceil_div(sizes["planes"] * sizes["h"] * sizes["w"], THREADS)


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from numba import cuda

    from cnnc.runtime.cuda.byte_pixel import pixel_code
    from cnnc.runtime.cuda.integers import divide
    from cnnc.runtime.cuda.pool_window import taps

    lanes, least = int(params["lanes"]), -128 if params["element"] == "i8" else 0
    code = pixel_code(lanes, str(params["element"]))
    fill, larger, store = code.fill, code.larger, code.store

    def byte_max_filter_kernel(args: Any) -> None:
        y, x, planes, height, width, kernel_h, kernel_w, dilation_h, dilation_w = args[:9]
        begin_h, begin_w, image_planes, x_gap, y_gap = args[9:]
        number = cuda.blockIdx.x * THREADS + cuda.threadIdx.x
        if number >= planes * height * width:
            return
        rest, column = divide(number, width)
        plane, row = divide(rest, height)
        image, _ = divide(plane, image_planes)
        source = x + plane * height * width * lanes + image * x_gap
        top, left = row - begin_h, column - begin_w
        h0, h1 = taps(top, dilation_h, kernel_h, height)
        w0, w1 = taps(left, dilation_w, kernel_w, width)
        best = fill(least)
        for tap_h in range(h0, h1):
            row_at = (top + tap_h * dilation_h) * width + left
            for tap_w in range(w0, w1):
                best = larger(best, source + (row_at + tap_w * dilation_w) * lanes)
        store(y + number * lanes + image * y_gap, best)

    return byte_max_filter_kernel


KERNEL = KernelDef(
    name="byte.max_filter",
    buffers=("y", "x"),
    sizes=byte_max_filter.SIZES,
    build=_build,
    items=_items,
    footprint=byte_max_filter.KERNEL.footprint,
    threads=lambda params: THREADS,
)
