"""``resize.blocked``: nearest or linear resize of tensors that are blocked by 8 channels.

Contract: ``cnnc.runtime.cpu.resize_blocked``. Two threads share a pixel of y, each with four lanes: a warp reads whole
sectors wherever its pixels come from, and writes consecutive ones. Nearest copies, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnnc.dims import Dim
from cnnc.runtime.cpu import resize_axes
from cnnc.runtime.cpu import resize_blocked as cpu
from cnnc.runtime.cuda.flat_grid import THREADS, blocks_for
from cnnc.runtime.cuda.target import LANES
from cnnc.runtime.kernel import KernelDef, Params, Target

_SHARES = 2


def _items(sizes: Mapping[str, Dim], params: Params) -> Dim:
    return blocks_for(resize_axes.items(sizes, params) * sizes["out_w"] * _SHARES)


def _build(target: Target, params: Params) -> Callable[..., Any]:
    import numpy as np
    from numba import cuda

    from cnnc.runtime.cuda.integers import divide
    from cnnc.runtime.cuda.memory_access import load_quad, store_quad
    from cnnc.runtime.cuda.resize_taps import taps_of

    zero, pixel_bytes = np.float32(0), 4 * LANES

    def resize_blocked(args: Any) -> None:
        y, x, table_d, table_h, table_w, planes, depth, height, width, out_d, out_h, out_w = args[:12]
        taps_d, taps_h, taps_w, image_planes, x_gap, y_gap = args[12:]
        number = cuda.blockIdx.x * THREADS + cuda.threadIdx.x
        pixel, share = number // _SHARES, number % _SHARES
        if pixel >= planes * out_d * out_h * out_w:
            return
        rest, column = divide(pixel, out_w)
        rest, row = divide(rest, out_h)
        plane, slab = divide(rest, out_d)
        image, _ = divide(plane, image_planes)
        base = x + 4 * image * x_gap + plane * depth * height * width * pixel_bytes + 16 * share
        result = y + 4 * image * y_gap + pixel * pixel_bytes + 16 * share
        along_d, along_h = taps_of(table_d, taps_d, slab), taps_of(table_h, taps_h, row)
        along_w = taps_of(table_w, taps_w, column)
        if taps_d < 2 and taps_h < 2 and taps_w < 2:
            at = (along_d[0] * height + along_h[0]) * width + along_w[0]
            store_quad(result, load_quad(base + at * pixel_bytes))
            return
        v0, v1, v2, v3 = zero, zero, zero, zero
        for tap_d in range(max(taps_d, 1)):
            at_d, weight_d = (along_d[0], along_d[2]) if tap_d == 0 else (along_d[1], along_d[3])
            for tap_h in range(max(taps_h, 1)):
                at_h, weight_h = (along_h[0], along_h[2]) if tap_h == 0 else (along_h[1], along_h[3])
                line = base + (at_d * height + at_h) * width * pixel_bytes
                quad, weight = load_quad(line + along_w[0] * pixel_bytes), weight_d * weight_h * along_w[2]
                v0, v1 = v0 + weight * quad[0], v1 + weight * quad[1]
                v2, v3 = v2 + weight * quad[2], v3 + weight * quad[3]
                if taps_w == 2:
                    quad, weight = load_quad(line + along_w[1] * pixel_bytes), weight_d * weight_h * along_w[3]
                    v0, v1 = v0 + weight * quad[0], v1 + weight * quad[1]
                    v2, v3 = v2 + weight * quad[2], v3 + weight * quad[3]
        store_quad(result, (v0, v1, v2, v3))

    return resize_blocked


KERNEL = KernelDef(
    name="resize.blocked",
    buffers=resize_axes.BUFFERS,
    sizes=resize_axes.SIZES,
    build=_build,
    items=_items,
    footprint=cpu.KERNEL.footprint,
    threads=lambda params: THREADS,
)
