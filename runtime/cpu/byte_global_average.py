"""``byte.global_average``: the mean over all positions of blocked bytes, requantized.

x is [N, planes, S, L], y is [N, planes, L]:

    y = rint((sum of x - S * x_zero) * factor) + y_zero,

saturated to ``y_least`` and 255 more. ``factor`` are float32 bits. ``element``, the type of x and y, is u8 or i8. Sums
are int32: S is below 2^23. ``x_gap`` are the bytes between two images, for ranges of channels of larger tensors. Work
item: a plane.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnnc.runtime.kernel import Access, KernelDef, Params, Target

MOST_POSITIONS = 2**23 - 1


def _footprint(sizes: Mapping[str, int], params: Params) -> tuple[Access, ...]:
    planes = sizes["images"] * sizes["planes"] * int(params["lanes"])
    gaps = max(sizes["images"] - 1, 0) * sizes["x_gap"]
    return Access("y", 0, planes, True), Access("x", 0, planes * sizes["positions"] + gaps if planes else 0, False)


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from cnnc.runtime.cpu.requantization import Requantization
    from cnnc.runtime.cpu.vector import I32, intrinsic

    lanes, signed = target.lanes, params["element"] == "i8"

    def emit(b: Any, y: Any, x: Any, positions: Any, x_zero: Any, factor: Any, y_zero: Any, y_least: Any) -> None:
        total = b.variable(b.int_const(0))
        with b.loop(positions) as position:
            value = b.load_bytes(x, signed, b.ir.mul(position, b.index(lanes)))
            b.set(total, b.int_add(b.get(total), value))
        zeros = b.splat(b.ir.trunc(b.ir.mul(x_zero, positions), I32))
        real = b.mul(b.to_float(b.int_sub(b.get(total), zeros)), b.float_bits(factor))
        b.store_bytes(Requantization(b, y_zero, y_least).stored(real), y)

    average = intrinsic(target, emit, 7)

    def byte_global_average(args: Any, begin: int, end: int, scratch: int) -> None:
        y, x, planes, positions, x_gap = args[0], args[1], args[3], args[4], args[5]
        for plane in range(begin, end):
            at = x + plane * positions * lanes + plane // planes * x_gap
            average(y + plane * lanes, at, positions, args[6], args[7], args[8], args[9])

    return byte_global_average


KERNEL = KernelDef(
    name="byte.global_average",
    buffers=("y", "x"),
    sizes=("images", "planes", "positions", "x_gap", "x_zero", "factor", "y_zero", "y_least"),
    build=_build,
    items=lambda sizes, params: sizes["images"] * sizes["planes"],
    footprint=_footprint,
)
