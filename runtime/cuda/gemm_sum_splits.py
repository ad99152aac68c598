"""``gemm.f32.sum_splits``: Y = act(sums over the splits + bias): the second launch of a product divided along K.

sums is [splits][M][N] float32, bias [N], y [M][N]. The splits are added in their order. A thread has an element; work
item: a block of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnnc.dims import ceil_div
from cnnc.runtime.kernel import Access, KernelDef, Params, Target

THREADS = 128


def _footprint(sizes: Mapping[str, int], params: Params) -> tuple[Access, ...]:
    elements = sizes["M"] * sizes["N"]
    return (
        Access("y", 0, 4 * elements, True),
        Access("sums", 0, 4 * sizes["splits"] * elements, False),
        Access("bias", 0, 4 * sizes["N"] if elements else 0, False),
    )


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from numba import cuda

    from cnnc.runtime.cuda.activation import scalar_activation
    from cnnc.runtime.cuda.integers import divide, float_of_bits
    from cnnc.runtime.cuda.memory_access import load, store

    activation = scalar_activation(str(params["activation"]))

    def sum_splits(args: Any) -> None:
        y, sums, bias, rows, columns, splits, alpha, beta = args
        element = cuda.blockIdx.x * THREADS + cuda.threadIdx.x
        if element >= rows * columns:
            return
        _, column = divide(element, columns)
        total = load(sums + 4 * element)
        for split in range(1, splits):
            total += load(sums + 4 * (split * rows * columns + element))
        total += load(bias + 4 * column)
        store(y + 4 * element, activation(total, float_of_bits(alpha), float_of_bits(beta)))

    return sum_splits


KERNEL = KernelDef(
    name="gemm.f32.sum_splits",
    buffers=("y", "sums", "bias"),
    sizes=("M", "N", "splits", "alpha", "beta"),
    build=_build,
    items=lambda sizes, params: ceil_div(sizes["M"] * sizes["N"], THREADS),
    footprint=_footprint,
    threads=lambda params: THREADS,
)
