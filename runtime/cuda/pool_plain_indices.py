"""``pool.plain_indices``: max pool of plain tensors that also says where each maximum was.

Contract: ``cnnc.runtime.cpu.pool_plain_indices``. A thread computes an element of y. Of equal elements the first
counts; NaN wins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnnc.dims import Dim
from cnnc.runtime.cpu import pool_plain_indices as cpu
from cnnc.runtime.cpu import pool_window as window
from cnnc.runtime.cuda.flat_grid import THREADS, blocks_for
from cnnc.runtime.kernel import KernelDef, Params, Target


def _items(sizes: Mapping[str, Dim], params: Params) -> Dim:
    return blocks_for(window.items(sizes, params) * sizes["out_w"])


def _build(target: Target, params: Params) -> Callable[..., Any]:
    import numpy as np
    from numba import cuda

    from cnnc.runtime.cuda.element_access import element_access
    from cnnc.runtime.cuda.integers import divide
    from cnnc.runtime.cuda.memory_access import load, store
    from cnnc.runtime.cuda.pool_window import taps

    store_index = element_access(8).store
    start_value = np.float32(-np.inf)

    def pool_plain_indices(args: Any) -> None:
        y, indices, x, planes, depth, height, width, out_d, out_h, out_w, kernel_d, kernel_h, kernel_w = args[:13]
        stride_d, stride_h, stride_w, dilation_d, dilation_h, dilation_w, begin_d, begin_h, begin_w = args[13:22]
        column_major = args[29]
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
        first = plane * depth * height * width
        best, place = start_value, -1
        for tap_d in range(d0, d1):
            for tap_h in range(h0, h1):
                line = ((front + tap_d * dilation_d) * height + top + tap_h * dilation_h) * width
                for tap_w in range(w0, w1):
                    at = line + left + tap_w * dilation_w
                    value = load(x + 4 * (first + at))
                    # The first element counts even when it is -inf; a NaN replaces any number.
                    if place < 0 or (not (value <= best) and best == best):
                        best, place = value, at
        if column_major != 0:
            line, at_w = divide(place, width)
            at_d, at_h = divide(line, height)
            place = (at_w * height + at_h) * depth + at_d
        store(y + 4 * number, best)
        store_index(indices + 8 * number, first + place)

    return pool_plain_indices


KERNEL = KernelDef(
    name="pool.plain_indices",
    buffers=cpu.KERNEL.buffers,
    sizes=cpu.KERNEL.sizes,
    build=_build,
    items=_items,
    footprint=cpu.KERNEL.footprint,
    writes=cpu.KERNEL.writes,
    threads=lambda params: THREADS,
)
