"""``byte.global_average``: the mean over all positions of blocked bytes, requantized: the CPU kernel's contract.

A warp sums a plane: its threads take every 32nd position, and join their sums by shuffles.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnnc.dims import Dim, ceil_div
from cnnc.runtime.cpu import byte_global_average
from cnnc.runtime.cuda.target import LANES, WARP
from cnnc.runtime.kernel import KernelDef, Params, Target

_PLANES = 8
"""Of a block of threads."""


def _items(sizes: Mapping[str, Dim], params: Params) -> Dim:
    return ceil_div(sizes["images"] * sizes["planes"], _PLANES)


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from numba import cuda

    from cnnc.runtime.cuda.byte_access import as_word
    from cnnc.runtime.cuda.byte_pixel import pixel_code
    from cnnc.runtime.cuda.integers import divide, float_of_bits
    from cnnc.runtime.cuda.word_sums import warp_sums

    code = pixel_code(LANES, str(params["element"]))
    fill, added, scaled, store = code.fill, code.added, code.scaled, code.store
    sum_of_warp = warp_sums(LANES)

    def byte_global_average_kernel(args: Any) -> None:
        y, x, images, planes, positions, x_gap, x_zero, factor, y_zero, y_least = args
        thread = cuda.threadIdx.x
        plane = cuda.blockIdx.x * _PLANES + thread // WARP
        if plane >= images * planes:  # a whole warp
            return
        image, _ = divide(plane, planes)
        source = x + plane * positions * LANES + image * x_gap
        total = fill(0)
        for position in range(thread % WARP, positions, WARP):
            total = added(total, source + position * LANES)
        total = sum_of_warp(total)
        if thread % WARP == 0:
            zeros = as_word(positions * x_zero)
            mean = scaled(total, zeros, float_of_bits(factor), as_word(y_zero), as_word(y_least))
            store(y + plane * LANES, mean)

    return byte_global_average_kernel


KERNEL = KernelDef(
    name="byte.global_average",
    buffers=("y", "x"),
    sizes=byte_global_average.KERNEL.sizes,
    build=_build,
    items=_items,
    footprint=byte_global_average.KERNEL.footprint,
    threads=lambda params: _PLANES * WARP,
)
