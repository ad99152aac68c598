"""``copy.fill``: set consecutive elements of 1, 2, 4 or 8 bytes to one bit pattern.

Contract: ``cnnc.runtime.cpu.copy_fill``. A thread has 16 bytes, which it stores at once where that can be.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cnnc.runtime.cpu import copy_fill as cpu
from cnnc.runtime.cuda.flat_grid import THREAD_BYTES, THREADS, blocks_for_elements
from cnnc.runtime.kernel import KernelDef, Params, Target


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from numba import cuda

    from cnnc.runtime.cuda.element_access import element_access, store_twice

    size = int(params["size"])
    store = element_access(size).store
    own = THREAD_BYTES // size
    ones = sum(1 << 8 * size * place for place in range(8 // size))
    mask = (1 << 8 * size) - 1

    def copy_fill(args: Any) -> None:
        y, count, bits = args
        first = (cuda.blockIdx.x * THREADS + cuda.threadIdx.x) * own
        place = y + first * size
        if first + own <= count and place % THREAD_BYTES == 0:
            store_twice(place, bits if size == 8 else (bits & mask) * ones)
            return
        for element in range(first, min(first + own, count)):
            store(y + element * size, bits)

    return copy_fill


KERNEL = KernelDef(
    name="copy.fill",
    buffers=cpu.KERNEL.buffers,
    sizes=cpu.KERNEL.sizes,
    build=_build,
    items=lambda sizes, params: blocks_for_elements(sizes["count"], int(params["size"])),
    footprint=cpu.KERNEL.footprint,
    threads=lambda params: THREADS,
)
