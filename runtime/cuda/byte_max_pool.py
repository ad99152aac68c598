"""``byte.max_pool``: max pool of bytes, blocked or plain: the contract of the CPU kernel, a pixel of y a thread.

A window that holds only padding gives the least value of the type. Neighbouring threads read neighbouring pixels; what
windows have in common comes from the first-level cache.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnnc.dims import Dim, ceil_div
from cnnc.runtime.cpu import byte_max_pool, pool_window
from cnnc.runtime.kernel import KernelDef, Params, Target

THREADS = 256


def pixel_items(sizes: Mapping[str, Dim], params: Params) -> Dim:
    """Blocks of threads, a pixel of y each."""
    return ceil_div(sizes["planes"] * sizes["out_d"] * sizes["out_h"] * sizes["out_w"], THREADS)


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from numba import cuda

    from cnnc.runtime.cuda.byte_pixel import pixel_code
    from cnnc.runtime.cuda.integers import divide
    from cnnc.runtime.cuda.pool_window import taps

    lanes, least = int(params["lanes"]), -128 if params["element"] == "i8" else 0
    code = pixel_code(lanes, str(params["element"]))
    fill, larger, store = code.fill, code.larger, code.store

    def byte_max_pool_kernel(args: Any) -> None:
        y, x, planes, depth, height, width, out_d, out_h, out_w = args[:9]
        kernel_d, kernel_h, kernel_w, stride_d, stride_h, stride_w = args[9:15]
        dilation_d, dilation_h, dilation_w, begin_d, begin_h, begin_w = args[15:21]
        image_planes, x_gap, y_gap = args[25:]
        number = cuda.blockIdx.x * THREADS + cuda.threadIdx.x
        if number >= planes * out_d * out_h * out_w:
            return
        rest, column = divide(number, out_w)
        rest, row = divide(rest, out_h)
        plane, slab = divide(rest, out_d)
        image, _ = divide(plane, image_planes)
        front, top, left = slab * stride_d - begin_d, row * stride_h - begin_h, column * stride_w - begin_w
        source = x + plane * depth * height * width * lanes + image * x_gap
        d0, d1 = taps(front, dilation_d, kernel_d, depth)
        h0, h1 = taps(top, dilation_h, kernel_h, height)
        w0, w1 = taps(left, dilation_w, kernel_w, width)
        best = fill(least)
        for tap_d in range(d0, d1):
            for tap_h in range(h0, h1):
                row_at = ((front + tap_d * dilation_d) * height + top + tap_h * dilation_h) * width + left
                for tap_w in range(w0, w1):
                    best = larger(best, source + (row_at + tap_w * dilation_w) * lanes)
        store(y + number * lanes + image * y_gap, best)

    return byte_max_pool_kernel


KERNEL = KernelDef(
    name="byte.max_pool",
    buffers=("y", "x"),
    sizes=pool_window.SIZES,
    build=_build,
    items=pixel_items,
    footprint=byte_max_pool.KERNEL.footprint,
    threads=lambda params: THREADS,
)
