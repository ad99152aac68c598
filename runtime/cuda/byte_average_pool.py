"""``byte.average_pool``: windowed mean of blocked bytes, requantized: the CPU kernel's contract, a pixel of y a thread.

Sums are int32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cnnc.runtime.cpu import byte_average_pool
from cnnc.runtime.cuda.byte_max_pool import THREADS, pixel_items
from cnnc.runtime.kernel import KernelDef, Params, Target


def _build(target: Target, params: Params) -> Callable[..., Any]:
    import numpy as np
    from numba import cuda

    from cnnc.runtime.cuda.byte_access import as_word
    from cnnc.runtime.cuda.byte_pixel import pixel_code
    from cnnc.runtime.cuda.integers import divide, float_of_bits
    from cnnc.runtime.cuda.pool_window import counted, taps

    lanes = int(params["lanes"])
    code = pixel_code(lanes, str(params["element"]))
    fill, added, scaled, store = code.fill, code.added, code.scaled, code.store

    def byte_average_pool_kernel(args: Any) -> None:
        y, x, planes, depth, height, width, out_d, out_h, out_w = args[:9]
        kernel_d, kernel_h, kernel_w, stride_d, stride_h, stride_w = args[9:15]
        dilation_d, dilation_h, dilation_w, begin_d, begin_h, begin_w = args[15:21]
        end_d, end_h, end_w, include_pad, image_planes, x_gap, y_gap = args[21:28]
        x_scale, x_zero, y_scale, y_zero, y_least = args[28:]
        number = cuda.blockIdx.x * THREADS + cuda.threadIdx.x
        if number >= planes * out_d * out_h * out_w:
            return
        rest, column = divide(number, out_w)
        rest, row = divide(rest, out_h)
        plane, slab = divide(rest, out_d)
        image, _ = divide(plane, image_planes)
        front, top, left = slab * stride_d - begin_d, row * stride_h - begin_h, column * stride_w - begin_w
        source = x + plane * depth * height * width * lanes + image * x_gap
        d, h = taps(front, dilation_d, kernel_d, depth), taps(top, dilation_h, kernel_h, height)
        w = taps(left, dilation_w, kernel_w, width)
        total = fill(0)
        for tap_d in range(d[0], d[1]):
            for tap_h in range(h[0], h[1]):
                row_at = ((front + tap_d * dilation_d) * height + top + tap_h * dilation_h) * width + left
                for tap_w in range(w[0], w[1]):
                    total = added(total, source + (row_at + tap_w * dilation_w) * lanes)
        elements = (d[1] - d[0]) * (h[1] - h[0]) * (w[1] - w[0])
        divisor = counted(d, front, dilation_d, kernel_d, depth + end_d, include_pad)
        divisor *= counted(h, top, dilation_h, kernel_h, height + end_h, include_pad)
        divisor *= counted(w, left, dilation_w, kernel_w, width + end_w, include_pad)
        # A window in the padding altogether has the divisor 0, and the mean NaN: the zero point.
        factor = float_of_bits(x_scale) / (float_of_bits(y_scale) * np.float32(divisor))
        mean = scaled(total, as_word(elements * x_zero), factor, as_word(y_zero), as_word(y_least))
        store(y + number * lanes + image * y_gap, mean)

    return byte_average_pool_kernel


KERNEL = KernelDef(
    name="byte.average_pool",
    buffers=("y", "x"),
    sizes=byte_average_pool.SIZES,
    build=_build,
    items=pixel_items,
    footprint=byte_average_pool.KERNEL.footprint,
    threads=lambda params: THREADS,
)
