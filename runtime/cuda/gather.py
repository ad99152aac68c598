"""``gather``: slices of one axis picked by int64 indices (ONNX Gather), and embedding lookups.

Contract: ``cnnc.runtime.cpu.gather``. Threads follow the elements of y: slices of 16 bytes that lie at multiples of 16
are moved 16 bytes a thread, others element by element.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnnc.dims import Dim
from cnnc.runtime.cpu import gather as cpu
from cnnc.runtime.cuda.flat_grid import THREAD_BYTES, THREADS, blocks_for_elements
from cnnc.runtime.kernel import KernelDef, Params, Target


def _items(sizes: Mapping[str, Dim], params: Params) -> Dim:
    return blocks_for_elements(sizes["outer"] * sizes["count"] * sizes["inner"], int(params["size"]))


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from numba import cuda

    from cnnc.runtime.cuda.element_access import element_access, move_sixteen
    from cnnc.runtime.cuda.integers import divide

    size = int(params["size"])
    whole = THREAD_BYTES // size
    move, load_index = element_access(size).move, element_access(8).load

    def gather(args: Any) -> None:
        y, x, indices, outer, axis, inner, count = args
        at_once = ((inner * size) | x | y) % THREAD_BYTES == 0
        width = whole if at_once else 1
        moves, runs = whole // width, inner // width
        total = outer * count * runs
        for number in range(moves):
            unit = (cuda.blockIdx.x * moves + number) * THREADS + cuda.threadIdx.x
            if unit < total:
                slice_number, place = divide(unit, runs)
                outer_number, position = divide(slice_number, count)
                index = load_index(indices + 8 * position)
                if index < 0:
                    index += axis
                index = min(max(index, 0), axis - 1)
                source = x + size * ((outer_number * axis + index) * inner + place * width)
                target = y + size * unit * width
                if at_once:
                    move_sixteen(target, source)
                else:
                    move(target, source)

    return gather


KERNEL = KernelDef(
    name="gather",
    buffers=cpu.KERNEL.buffers,
    sizes=cpu.KERNEL.sizes,
    build=_build,
    items=_items,
    footprint=cpu.KERNEL.footprint,
    threads=lambda params: THREADS,
)
