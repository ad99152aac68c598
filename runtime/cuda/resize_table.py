"""``resize.table``: where each element of a resized axis comes from: two places and two weights.

Contract: ``cnnc.runtime.cpu.resize_table``. A thread makes an entry, in float64. No product is contracted with a sum:
the reference rounds both, and of a place halfway between two elements the last bit decides.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cnnc.runtime.cpu import resize_table as cpu
from cnnc.runtime.cuda.flat_grid import THREADS, blocks_for
from cnnc.runtime.kernel import KernelDef, Params, Target


def _build(target: Target, params: Params) -> Callable[..., Any]:
    import numpy as np
    from numba import cuda
    from numba.cuda import libdevice

    from cnnc.runtime.cuda.integers import float_of_bits
    from cnnc.runtime.cuda.memory_access import store_quad

    floored = libdevice.double2ll_rd
    entry_bytes = cpu.ENTRY_BYTES
    linear, prefer_floor, prefer_ceil, floor = range(4)
    half_pixel, symmetric, pytorch, align_corners, asymmetric = range(5)

    def resize_table(args: Any) -> None:
        y, length, size, scale_bits, coordinates, interpolation = args
        at = cuda.blockIdx.x * THREADS + cuda.threadIdx.x
        if at >= size:
            return
        scale = libdevice.longlong_as_double(scale_bits) if scale_bits != 0 else size / length
        # May be fractional when the ratio was given.
        exact = libdevice.dmul_rn(scale, float(length))
        place = 0.0
        if coordinates == half_pixel or (coordinates == pytorch and size > 1):
            place = (at + 0.5) / scale - 0.5
        elif coordinates == symmetric:
            place = libdevice.dmul_rn(length / 2, 1 - size / exact) + (at + 0.5) / scale - 0.5
        elif coordinates == align_corners and exact != 1:
            place = at * (length - 1) / (exact - 1)
        elif coordinates == asymmetric:
            place = at / scale
        first, second, weight = 0, 0, 0.0
        if interpolation == linear:
            first = floored(place)
            second = first + 1
            weight = place - first
        elif interpolation == prefer_floor:
            first = -floored(0.5 - place)
        elif interpolation == prefer_ceil:
            first = floored(place + 0.5)
        elif interpolation == floor:
            first = floored(place)
        else:
            first = -floored(-place)
        first, second = min(max(first, 0), length - 1), min(max(second, 0), length - 1)
        weights = np.float32(1.0 - weight), np.float32(weight)
        store_quad(y + entry_bytes * at, (float_of_bits(first), float_of_bits(second), weights[0], weights[1]))

    return resize_table


KERNEL = KernelDef(
    name="resize.table",
    buffers=cpu.KERNEL.buffers,
    sizes=cpu.KERNEL.sizes,
    build=_build,
    items=lambda sizes, params: blocks_for(sizes["size"]),
    footprint=cpu.KERNEL.footprint,
    threads=lambda params: THREADS,
)
