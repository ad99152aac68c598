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

    combined, start_value = pool_arithmetic(str(params["kind"]))
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
        d0, d1 = taps(front, dilation_d, kernel_d, depth)
        h0, h1 = taps(top, dilation_h, kernel_h, height)
        w0, w1 = taps(left, dilation_w, kernel_w, width)
        base = x + 4 * plane * depth * height * width
        value = start_value
        for tap_d in range(d0, d1):
            for tap_h in range(h0, h1):
                line = ((front + tap_d * dilation_d) * height + top + tap_h * dilation_h) * width
                at = base + 4 * (line + left + w0 * dilation_w)
                for _ in range(w0, w1):
                    value = combined(value, load(at))
                    at += 4 * dilation_w
        if not is_max:
            count = counted(front, dilation_d, kernel_d, depth, end_d, include_pad)
            count *= counted(top, dilation_h, kernel_h, height, end_h, include_pad)
            count *= counted(left, dilation_w, kernel_w, width, end_w, include_pad)
            value = value / np.float32(count)
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
