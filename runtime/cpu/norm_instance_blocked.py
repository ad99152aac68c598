"""``norm.instance_blocked``: instance normalization of blocked tensors, one channel a lane.

x and y are [planes, positions, L] float32, y may be x; planes are N * ``blocks``, L is the target's lanes and the
parameter ``lanes``. scale and bias are [blocks, L] float32, packed with zeros in pad lanes, so that these come out as 0
(finite input and a positive epsilon given). ``epsilon`` is float32 bits. Work item: a plane.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnnc.dims import Dim
from cnnc.runtime.kernel import Access, KernelDef, Params, Target


def arguments(batch: Dim, blocks: Dim, positions: Dim, epsilon_bits: int) -> dict[str, Dim]:
    """Size slots: N, blocks of lanes, spatial positions, epsilon as float32 bits."""
    return {"planes": batch * blocks, "blocks": blocks, "positions": positions, "epsilon": epsilon_bits}


def _footprint(sizes: Mapping[str, int], params: Params) -> tuple[Access, ...]:
    lanes = int(params["lanes"])
    size = 4 * lanes * sizes["planes"] * sizes["positions"]
    vector = 4 * lanes * sizes["blocks"] if size else 0
    return (
        Access("y", 0, size, True),
        Access("x", 0, size, False),
        Access("scale", 0, vector, False),
        Access("bias", 0, vector, False),
    )


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from cnnc.runtime.cpu.moments import moment_functions
    from cnnc.runtime.cpu.registers import float_from_bits, registers

    v, moments = registers(target), moment_functions(target)
    load, store, fma = v.load, v.store, v.fma
    lane_mean, lane_inverse_deviation = moments.lane_mean, moments.lane_inverse_deviation
    from_bits = float_from_bits(target)
    pixel = target.vector_bytes

    def norm_instance_blocked(args: Any, begin: int, end: int, scratch: int) -> None:
        y, x, scale, bias = args[0], args[1], args[2], args[3]
        blocks, positions, epsilon = args[5], args[6], from_bits(args[7])
        for plane in range(begin, end):
            start, at = plane * positions * pixel, plane % blocks * pixel
            mean = lane_mean(x + start, positions)
            slope = load(scale + at) * lane_inverse_deviation(x + start, positions, mean, epsilon)
            shift = load(bias + at)
            for offset in range(start, start + positions * pixel, pixel):
                store(y + offset, fma(load(x + offset) - mean, slope, shift))

    return norm_instance_blocked


KERNEL = KernelDef(
    name="norm.instance_blocked",
    buffers=("y", "x", "scale", "bias"),
    sizes=("planes", "blocks", "positions", "epsilon"),
    build=_build,
    items=lambda sizes, params: sizes["planes"],
    footprint=_footprint,
    inplace=lambda sizes, params: (("y", "x"),),
)
