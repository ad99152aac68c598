"""``lrn.plain``: local response normalization of x [N, C, positions] float32; y alike, not in place. See ``lrn``.

Work item: 64 positions of one image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnnc.dims import Dim, ceil_div
from cnnc.runtime.cpu import lrn
from cnnc.runtime.kernel import Access, KernelDef, Params, Target

_POSITIONS = 64
arguments = lrn.arguments


def _items(sizes: Mapping[str, Dim], params: Params) -> Dim:
    return sizes["batch"] * ceil_div(sizes["positions"], _POSITIONS)


def _footprint(sizes: Mapping[str, int], params: Params) -> tuple[Access, ...]:
    size = 4 * sizes["batch"] * sizes["channels"] * sizes["positions"]
    return (Access("y", 0, size, True), Access("x", 0, size, False))


def _build(target: Target, params: Params) -> Callable[..., Any]:
    import numpy as np

    from cnnc.runtime.cpu.registers import float_from_bits, registers

    v = registers(target)
    load_part, store_part, splat, exp, log = v.load_part, v.store_part, v.splat, v.exp, v.log
    from_bits = float_from_bits(target)
    lanes, zero = target.lanes, np.float32(0.0)

    def lrn_plain(args: Any, begin: int, end: int, scratch: int) -> None:
        y, x, channels, positions, size = args[0], args[1], args[3], args[4], args[5]
        alpha, bias = splat(from_bits(args[6])), splat(from_bits(args[8]))
        exponent = splat(zero) - splat(from_bits(args[7]))
        chunks = (positions + _POSITIONS - 1) // _POSITIONS
        for item in range(begin, end):
            image, first = item // chunks, item % chunks * _POSITIONS
            for position in range(first, min(first + _POSITIONS, positions), lanes):
                count = min(lanes, positions - position)
                start = 4 * (image * channels * positions + position)
                for channel in range(channels):
                    total = splat(zero)
                    low, high = max(channel - (size - 1) // 2, 0), min(channel + size // 2 + 1, channels)
                    for neighbour in range(low, high):
                        value = load_part(x + start + 4 * neighbour * positions, count)
                        total = total + value * value
                    factor = exp(exponent * log(bias + alpha * total))
                    at = start + 4 * channel * positions
                    store_part(y + at, load_part(x + at, count) * factor, count)

    return lrn_plain


KERNEL = KernelDef(
    name="lrn.plain",
    buffers=("y", "x"),
    sizes=lrn.SIZES,
    build=_build,
    items=_items,
    footprint=_footprint,
)
