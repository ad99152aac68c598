"""The kernel: y = max(x, 0) ** 2 over ``count`` float32 elements, wherever they lie; y may be x.

A work item is 4096 elements, 16 KB: few enough that items spread over threads, enough that a call costs nothing beside
them. The function that ``build`` returns is compiled by Numba; ``registers`` gives it vectors of the CPU's width.
"""

from collections.abc import Callable, Mapping
from typing import Any

from cnnc.dims import Dim, ceil_div
from cnnc.runtime.kernel import Access, KernelDef, Params, Target

_BLOCK = 4096


def _footprint(sizes: Mapping[str, int], params: Params) -> tuple[Access, ...]:
    """The bytes that a call may touch, which every plan is checked by before it runs."""
    return (Access("y", 0, 4 * sizes["count"], True), Access("x", 0, 4 * sizes["count"], False))


def _build(target: Target, params: Params) -> Callable[..., Any]:
    import numpy as np

    from cnnc.runtime.cpu.registers import registers

    v = registers(target)
    load, load_part, store, store_part, largest, splat = v.load, v.load_part, v.store, v.store_part, v.maximum, v.splat
    zero, lanes = np.float32(0.0), target.lanes

    def squared_relu(args: Any, begin: int, end: int, scratch: int) -> None:
        y, x, count = args[0], args[1], args[2]
        for item in range(begin, end):
            first, last = item * _BLOCK, min(count, (item + 1) * _BLOCK)
            full = last - (last - first) % lanes
            for index in range(first, full, lanes):
                positive = largest(load(x + 4 * index), splat(zero))
                store(y + 4 * index, positive * positive)
            positive = largest(load_part(x + 4 * full, last - full), splat(zero))
            store_part(y + 4 * full, positive * positive, last - full)

    return squared_relu


def _items(sizes: Mapping[str, Dim], params: Params) -> Dim:
    return ceil_div(sizes["count"], _BLOCK)


KERNEL = KernelDef(
    name="example.squared_relu",
    buffers=("y", "x"),
    sizes=("count",),
    build=_build,
    items=_items,
    footprint=_footprint,
    inplace=lambda sizes, params: (("y", "x"),),
)
