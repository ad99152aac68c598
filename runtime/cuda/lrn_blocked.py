"""``lrn.blocked`` on GPUs: local response normalization of x [N, blocks, positions, 8], not in place.

``cnnc.runtime.cpu.lrn`` defines it. A thread has four channels of a pixel, half a sector, and reads the quads that
their windows touch: three for a window of up to nine channels. Pad lanes become 0. Work item: a block of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnnc.dims import Dim, ceil_div
from cnnc.runtime.cpu import lrn
from cnnc.runtime.cpu.lrn_blocked import KERNEL as CPU_KERNEL
from cnnc.runtime.cuda.target import LANES
from cnnc.runtime.kernel import KernelDef, Params, Target

THREADS = 256


def _items(sizes: Mapping[str, Dim], params: Params) -> Dim:
    return ceil_div(2 * sizes["batch"] * ceil_div(sizes["channels"], LANES) * sizes["positions"], THREADS)


def _build(target: Target, params: Params) -> Callable[..., Any]:
    import math

    import numpy as np
    from numba import cuda

    from cnnc.runtime.cuda.integers import divide, float_of_bits
    from cnnc.runtime.cuda.intrinsics import FLOAT, INT, inlined, unrolled
    from cnnc.runtime.cuda.memory_access import first_lanes, load_quad, store_quad

    zero = np.float32(0)

    def add_square(total: Any, value: Any, distance: int, before: int, after: int) -> Any:
        """The sum with a channel that is so far behind the one that it is for."""
        return total + value * value if -before <= distance <= after else total

    def normalized(value: Any, total: Any, alpha: Any, beta: Any, bias: Any) -> Any:
        return value * math.exp(-beta * math.log(bias + alpha * total))

    square = inlined(FLOAT, [FLOAT, FLOAT, INT, INT, INT], add_square)

    def add_channel(totals: Any, index: int, facts: Any) -> Any:
        """The sums of four channels with a channel of a quad."""
        quad, distance, before, after = facts
        value, distance = quad[index], distance + index
        t0 = square(totals[0], value, distance, before, after)
        t1 = square(totals[1], value, distance - 1, before, after)
        t2 = square(totals[2], value, distance - 2, before, after)
        return t0, t1, t2, square(totals[3], value, distance - 3, before, after)

    add_quad = unrolled(4, add_channel)
    result = inlined(FLOAT, [FLOAT] * 5, normalized)

    def lrn_blocked(args: Any) -> None:
        y, x, batch, channels, positions, size, alpha_bits, beta_bits, bias_bits = args
        blocks = (channels + LANES - 1) // LANES
        pixel, half = divide(cuda.blockIdx.x * THREADS + cuda.threadIdx.x, 2)
        plane, position = divide(pixel, positions)
        image, block = divide(plane, blocks)
        if image >= batch:
            return
        before, after = (size - 1) // 2, size // 2
        channel = block * LANES + 4 * half
        totals = (zero, zero, zero, zero)
        start = x + 4 * LANES * (image * blocks * positions + position)
        first, last = max(channel - before, 0) // 4, min(channel + 3 + after, channels - 1) // 4
        for quad in range(first, last + 1):
            at = start + 4 * (quad // 2 * positions * LANES + 4 * (quad % 2))
            values = first_lanes(load_quad(at), channels - 4 * quad)
            totals = add_quad(totals, (values, 4 * quad - channel, before, after))
        alpha, beta, bias = float_of_bits(alpha_bits), float_of_bits(beta_bits), float_of_bits(bias_bits)
        offset = 4 * (pixel * LANES + 4 * half)
        v0, v1, v2, v3 = first_lanes(load_quad(x + offset), channels - channel)
        v0, v1 = result(v0, totals[0], alpha, beta, bias), result(v1, totals[1], alpha, beta, bias)
        v2, v3 = result(v2, totals[2], alpha, beta, bias), result(v3, totals[3], alpha, beta, bias)
        store_quad(y + offset, first_lanes((v0, v1, v2, v3), channels - channel))

    return lrn_blocked


KERNEL = KernelDef(
    name="lrn.blocked",
    buffers=("y", "x"),
    sizes=lrn.SIZES,
    build=_build,
    items=_items,
    footprint=CPU_KERNEL.footprint,
    threads=lambda params: THREADS,
)
