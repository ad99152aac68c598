"""``pool.plain``: max or average pool of plain tensors with few channels or odd ranks.

Contract: ``cnnc.runtime.cpu.pool_plain``; planes are [D, H, W]. A thread computes an element of y. Max: as in
``pool.blocked``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnnc.dims import Dim
from cnnc.runtime.cpu import pool_plain as cpu
from cnnc.runtime.cpu import pool_window as window
from cnnc.runtime.cuda.flat_grid import THREADS, blocks_for
from cnnc.runtime.kernel import KernelDef, Params, Target


def _items(sizes: Mapping[str, Dim], params: Params) -> Dim:
    return blocks_for(window.items(sizes, params) * sizes["out_w"])


def _build(target: Target, params: Params) -> Callable[..., Any]:
    import numpy as np
    from numba import cuda

    from cnnc.runtime.cuda.integers import divide
    from cnnc.runtime.cuda.memory_access import load, store
    from cnnc.runtime.cuda.pool_arithmetic import pool_arithmetic
    from cnnc.runtime.cuda.pool_window import counted, taps

    combined, start_value = pool_arithmetic(str(params["kind"]), target)
    is_max = params["kind"] == "max"

    def pool_plain(args: Any) -> None:
        y, x, planes, depth, height, width, out_d, out_h, out_w, kernel_d, kernel_h, kernel_w = args[:12]
        stride_d, stride_h, stride_w, dilation_d, dilation_h, dilation_w = args[12:18]
        begin_d, begin_h, begin_w, end_d, end_h, end_w, include_pad = args[18:25]
        number = cuda.blockIdx.x * THREADS + cuda.threadIdx.x
        if number >= planes * out_d * out_h * out_w:
            return
        rest, column = divide(number, out_w)
        rest, row = divide(rest, out_h)
        plane, slab = divide(rest, out_d)
        front, top, left = slab * stride_d - begin_d, row * stride_h - begin_h, column * stride_w - begin_w
        span_d = taps(front, dilation_d, kernel_d, depth)
        span_h = taps(top, dilation_h, kernel_h, height)
        span_w = taps(left, dilation_w, kernel_w, width)
        if not is_max:
            count = counted(span_d, front, dilation_d, kernel_d, depth + end_d, include_pad)
            count *= counted(span_h, top, dilation_h, kernel_h, height + end_h, include_pad)
            count *= counted(span_w, left, dilation_w, kernel_w, width + end_w, include_pad)
            divisor = np.float32(count)
        base = x + 4 * plane * depth * height * width
        value = start_value
        first_d, first_h = front + span_d[0] * dilation_d, top + span_h[0] * dilation_h
        slab_at = base + ((first_d * height + first_h) * width + left + span_w[0] * dilation_w) * 4
        step_d, step_h, step_w = dilation_d * height * width * 4, dilation_h * width * 4, dilation_w * 4
        for _ in range(span_d[0], span_d[1]):
            row_at = slab_at
            for _ in range(span_h[0], span_h[1]):
                at = row_at
                for _ in range(span_w[0], span_w[1]):
                    value = combined(value, load(at))
                    at += step_w
                row_at += step_h
            slab_at += step_d
        if not is_max:
            value = value / divisor
        store(y + 4 * number, value)

    return pool_plain


KERNEL = KernelDef(
    name="pool.plain",
    buffers=cpu.KERNEL.buffers,
    sizes=window.SIZES,
    build=_build,
    items=_items,
    footprint=cpu.KERNEL.footprint,
    threads=lambda params: THREADS,
)
