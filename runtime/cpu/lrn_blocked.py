"""``lrn.blocked``: local response normalization of x [N, blocks, positions, L] float32; y alike. See ``lrn``.

L is the target's lanes and the parameter ``lanes``. Channels must be in one piece (lane c is channel c); ``channels``
is their true number: pad lanes count in no window and become 0. y may be x. Work item: 16 positions of one image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnnc.dims import Dim, ceil_div, round_up
from cnnc.runtime.cpu import lrn
from cnnc.runtime.kernel import Access, KernelDef, Params, Target

_POSITIONS = 16
arguments = lrn.arguments


def _items(sizes: Mapping[str, Dim], params: Params) -> Dim:
    return sizes["batch"] * ceil_div(sizes["positions"], _POSITIONS)


def _footprint(sizes: Mapping[str, int], params: Params) -> tuple[Access, ...]:
    lanes = int(params["lanes"])
    size = 4 * sizes["batch"] * -(-sizes["channels"] // lanes) * lanes * sizes["positions"]
    return (Access("y", 0, size, True), Access("x", 0, size, False))


def _scratch(sizes: Mapping[str, Dim], params: Params) -> Dim:
    """Squares of all channels of one position, with room for half a window of zeros on either side."""
    return 4 * (round_up(sizes["channels"], int(params["lanes"])) + sizes["size"] * 2)


def _build(target: Target, params: Params) -> Callable[..., Any]:
    import numpy as np

    from cnnc.runtime.cpu.registers import float_from_bits, registers, scalar_access

    v = registers(target)
    load, store, splat, keep, exp, log = v.load, v.store, v.splat, v.keep, v.exp, v.log
    from_bits = float_from_bits(target)
    _, write = scalar_access(target, "f32")
    lanes, pixel, zero = target.lanes, target.vector_bytes, np.float32(0.0)

    def lrn_blocked(args: Any, begin: int, end: int, scratch: int) -> None:
        y, x, channels, positions, size = args[0], args[1], args[3], args[4], args[5]
        alpha, bias = splat(from_bits(args[6])), splat(from_bits(args[8]))
        exponent = splat(zero) - splat(from_bits(args[7]))
        blocks = (channels + lanes - 1) // lanes
        chunks = (positions + _POSITIONS - 1) // _POSITIONS
        before = (size - 1) // 2
        squares = scratch + 4 * size
        for side in range(size):
            write(scratch + 4 * side, zero)
            write(squares + 4 * (blocks * lanes + side), zero)
        for item in range(begin, end):
            image, first = item // chunks, item % chunks * _POSITIONS
            for position in range(first, min(first + _POSITIONS, positions)):
                start = (image * blocks * positions + position) * pixel
                for block in range(blocks):
                    value = load(x + start + block * positions * pixel)
                    store(
                        squares + block * pixel, keep(value * value, min(channels - block * lanes, lanes), splat(zero))
                    )
                for block in range(blocks):
                    total = splat(zero)
                    for neighbour in range(size):
                        total = total + load(squares + block * pixel + 4 * (neighbour - before))
                    factor = exp(exponent * log(bias + alpha * total))
                    at = start + block * positions * pixel
                    value = keep(load(x + at) * factor, min(channels - block * lanes, lanes), splat(zero))
                    store(y + at, value)

    return lrn_blocked


KERNEL = KernelDef(
    name="lrn.blocked",
    buffers=("y", "x"),
    sizes=lrn.SIZES,
    build=_build,
    items=_items,
    footprint=_footprint,
    scratch_bytes=_scratch,
    inplace=lambda sizes, params: (("y", "x"),),
)
