"""``resize.plain``: nearest or linear resize of plain tensors with few channels.

Contract: ``cnnc.runtime.cpu.resize_plain``. A thread computes an element of y. Nearest copies, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnnc.dims import Dim
from cnnc.runtime.cpu import resize_axes
from cnnc.runtime.cpu import resize_plain as cpu
from cnnc.runtime.cuda.flat_grid import THREADS, blocks_for
from cnnc.runtime.kernel import KernelDef, Params, Target


def _items(sizes: Mapping[str, Dim], params: Params) -> Dim:
    return blocks_for(resize_axes.items(sizes, params) * sizes["out_w"])


def _build(target: Target, params: Params) -> Callable[..., Any]:
    import numpy as np
    from numba import cuda

    from cnnc.runtime.cuda.integers import divide
    from cnnc.runtime.cuda.memory_access import load, store
    from cnnc.runtime.cuda.resize_taps import taps_of

    zero = np.float32(0)

    def resize_plain(args: Any) -> None:
        y, x, table_d, table_h, table_w, planes, depth, height, width, out_d, out_h, out_w = args[:12]
        taps_d, taps_h, taps_w = args[12:15]
        number = cuda.blockIdx.x * THREADS + cuda.threadIdx.x
        if number >= planes * out_d * out_h * out_w:
            return
        rest, column = divide(number, out_w)
        rest, row = divide(rest, out_h)
        plane, slab = divide(rest, out_d)
        base = x + 4 * plane * depth * height * width
        along_d, along_h = taps_of(table_d, taps_d, slab), taps_of(table_h, taps_h, row)
        along_w = taps_of(table_w, taps_w, column)
        if taps_d < 2 and taps_h < 2 and taps_w < 2:
            at = (along_d[0] * height + along_h[0]) * width + along_w[0]
            store(y + 4 * number, load(base + 4 * at))
            return
        value = zero
        for tap_d in range(max(taps_d, 1)):
            at_d, weight_d = (along_d[0], along_d[2]) if tap_d == 0 else (along_d[1], along_d[3])
            for tap_h in range(max(taps_h, 1)):
                at_h, weight_h = (along_h[0], along_h[2]) if tap_h == 0 else (along_h[1], along_h[3])
                line = base + 4 * (at_d * height + at_h) * width
                value += weight_d * weight_h * along_w[2] * load(line + 4 * along_w[0])
                if taps_w == 2:
                    value += weight_d * weight_h * along_w[3] * load(line + 4 * along_w[1])
        store(y + 4 * number, value)

    return resize_plain


KERNEL = KernelDef(
    name="resize.plain",
    buffers=resize_axes.BUFFERS,
    sizes=resize_axes.SIZES,
    build=_build,
    items=_items,
    footprint=cpu.KERNEL.footprint,
    threads=lambda params: THREADS,
)
