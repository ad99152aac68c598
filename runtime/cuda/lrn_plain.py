"""``lrn.plain`` on GPUs: local response normalization of x [N, C, positions], as ``cnnc.runtime.cpu.lrn`` defines it.

A thread has one element; neighbouring threads have neighbouring positions. Work item: a block of threads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cnnc.dims import ceil_div
from cnnc.runtime.cpu import lrn
from cnnc.runtime.cpu.lrn_plain import KERNEL as CPU_KERNEL
from cnnc.runtime.kernel import KernelDef, Params, Target

THREADS = 256


def _build(target: Target, params: Params) -> Callable[..., Any]:
    import math

    import numpy as np
    from numba import cuda

    from cnnc.runtime.cuda.integers import divide, float_of_bits
    from cnnc.runtime.cuda.memory_access import load, store

    zero = np.float32(0)

    def lrn_plain(args: Any) -> None:
        y, x, batch, channels, positions, size, alpha, beta, bias = args
        element = cuda.blockIdx.x * THREADS + cuda.threadIdx.x
        plane, _ = divide(element, positions)
        image, channel = divide(plane, channels)
        if image >= batch:
            return
        low, high = max(channel - (size - 1) // 2, 0), min(channel + size // 2 + 1, channels)
        at, total = x + 4 * (element - (channel - low) * positions), zero
        for _ in range(high - low):
            value = load(at)
            total += value * value
            at += 4 * positions
        base = float_of_bits(bias) + float_of_bits(alpha) * total
        store(y + 4 * element, load(x + 4 * element) * math.exp(-float_of_bits(beta) * math.log(base)))

    return lrn_plain


KERNEL = KernelDef(
    name="lrn.plain",
    buffers=("y", "x"),
    sizes=lrn.SIZES,
    build=_build,
    items=lambda sizes, params: ceil_div(sizes["batch"] * sizes["channels"] * sizes["positions"], THREADS),
    footprint=CPU_KERNEL.footprint,
    threads=lambda params: THREADS,
)
