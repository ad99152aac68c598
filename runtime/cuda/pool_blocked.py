"""``pool.blocked``: max or average pool of tensors that are blocked by 8 channels.

Contract: ``cnnc.runtime.cpu.pool_blocked``; planes are [D, H, W, 8]. Two threads share a pixel of y, each with four
lanes: whatever the stride, a warp reads whole sectors, and it writes consecutive ones. Windows of neighbouring pixels
overlap in the first-level cache.

Max: a NaN in the window gives NaN; padding counts as -inf. Averages are sums times the reciprocal of the count.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnnc.dims import Dim
from cnnc.runtime.cpu import pool_blocked as cpu
from cnnc.runtime.cpu import pool_window as window
from cnnc.runtime.cuda.flat_grid import THREADS, blocks_for
from cnnc.runtime.cuda.target import LANES
from cnnc.runtime.kernel import KernelDef, Params, Target

_SHARES = 2


def _items(sizes: Mapping[str, Dim], params: Params) -> Dim:
    return blocks_for(window.items(sizes, params) * sizes["out_w"] * _SHARES)


def _build(target: Target, params: Params) -> Callable[..., Any]:
    import numpy as np
    from numba import cuda

    from cnnc.runtime.cuda.integers import divide
    from cnnc.runtime.cuda.memory_access import load_quad, store_quad
    from cnnc.runtime.cuda.pool_arithmetic import pool_arithmetic
    from cnnc.runtime.cuda.pool_window import counted, taps

    combined, start_value = pool_arithmetic(str(params["kind"]), target)
    is_max = params["kind"] == "max"
    one, pixel_bytes = np.float32(1), 4 * LANES

    def pool_blocked(args: Any) -> None:
        y, x, planes, depth, height, width, out_d, out_h, out_w, kernel_d, kernel_h, kernel_w = args[:12]
        stride_d, stride_h, stride_w, dilation_d, dilation_h, dilation_w = args[12:18]
        begin_d, begin_h, begin_w, end_d, end_h, end_w, include_pad, image_planes, x_gap, y_gap = args[18:]
        number = cuda.blockIdx.x * THREADS + cuda.threadIdx.x
        pixel, share = number // _SHARES, number % _SHARES
        if pixel >= planes * out_d * out_h * out_w:
            return
        rest, column = divide(pixel, out_w)
        rest, row = divide(rest, out_h)
        plane, slab = divide(rest, out_d)
        image, _ = divide(plane, image_planes)
        front, top, left = slab * stride_d - begin_d, row * stride_h - begin_h, column * stride_w - begin_w
        span_d = taps(front, dilation_d, kernel_d, depth)
        span_h = taps(top, dilation_h, kernel_h, height)
        span_w = taps(left, dilation_w, kernel_w, width)
        if not is_max:
            count = counted(span_d, front, dilation_d, kernel_d, depth + end_d, include_pad)
            count *= counted(span_h, top, dilation_h, kernel_h, height + end_h, include_pad)
            count *= counted(span_w, left, dilation_w, kernel_w, width + end_w, include_pad)
            factor = one / np.float32(count)
        base = x + 4 * image * x_gap + plane * depth * height * width * pixel_bytes + 16 * share
        v0, v1, v2, v3 = start_value, start_value, start_value, start_value
        first_d, first_h = front + span_d[0] * dilation_d, top + span_h[0] * dilation_h
        slab_at = base + ((first_d * height + first_h) * width + left + span_w[0] * dilation_w) * pixel_bytes
        step_d, step_h, step_w = (
            dilation_d * height * width * pixel_bytes,
            dilation_h * width * pixel_bytes,
            dilation_w * pixel_bytes,
        )
        for _ in range(span_d[0], span_d[1]):
            row_at = slab_at
            for _ in range(span_h[0], span_h[1]):
                at = row_at
                for _ in range(span_w[0], span_w[1]):
                    quad = load_quad(at)
                    v0, v1 = combined(v0, quad[0]), combined(v1, quad[1])
                    v2, v3 = combined(v2, quad[2]), combined(v3, quad[3])
                    at += step_w
                row_at += step_h
            slab_at += step_d
        if not is_max:
            v0, v1, v2, v3 = v0 * factor, v1 * factor, v2 * factor, v3 * factor
        store_quad(y + 4 * image * y_gap + pixel * pixel_bytes + 16 * share, (v0, v1, v2, v3))

    return pool_blocked


KERNEL = KernelDef(
    name="pool.blocked",
    buffers=cpu.KERNEL.buffers,
    sizes=window.SIZES,
    build=_build,
    items=_items,
    footprint=cpu.KERNEL.footprint,
    threads=lambda params: THREADS,
)
