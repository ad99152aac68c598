"""``norm.group``: group and instance normalization of plain tensors.

x and y are [rows, channels, positions] float32, y may be x: rows are N * groups, ``channels`` those of one group (1 for
instance normalization). scale and bias hold one float32 for each of the ``groups * channels`` channels. ``epsilon`` is
float32 bits. y = (x - mean) / sqrt(var + epsilon) * scale + bias, moments over a row. Work item: a row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnnc.dims import Dim
from cnnc.runtime.kernel import Access, KernelDef, Params, Target


def arguments(batch: Dim, groups: Dim, channels: Dim, positions: Dim, epsilon_bits: int) -> dict[str, Dim]:
    """Size slots: N, groups, channels of one group, spatial positions, epsilon as float32 bits."""
    return {
        "rows": batch * groups,
        "groups": groups,
        "channels": channels,
        "positions": positions,
        "epsilon": epsilon_bits,
    }


def _footprint(sizes: Mapping[str, int], params: Params) -> tuple[Access, ...]:
    size = 4 * sizes["rows"] * sizes["channels"] * sizes["positions"]
    vector = 4 * sizes["groups"] * sizes["channels"] if size else 0
    return (
        Access("y", 0, size, True),
        Access("x", 0, size, False),
        Access("scale", 0, vector, False),
        Access("bias", 0, vector, False),
    )


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from cnnc.runtime.cpu.moments import moment_functions
    from cnnc.runtime.cpu.registers import float_from_bits, registers, scalar_access

    v = registers(target)
    load, load_part, store, store_part, splat, fma = v.load, v.load_part, v.store, v.store_part, v.splat, v.fma
    read, _ = scalar_access(target, "f32")
    from_bits = float_from_bits(target)
    moments = moment_functions(target)
    mean_of, inverse_deviation = moments.mean, moments.inverse_deviation
    lanes, vector_bytes = target.lanes, target.vector_bytes

    def norm_group(args: Any, begin: int, end: int, scratch: int) -> None:
        y, x, scale, bias = args[0], args[1], args[2], args[3]
        groups, channels, positions, epsilon = args[5], args[6], args[7], from_bits(args[8])
        rest = positions % lanes
        tail = 4 * (positions - rest)
        for row in range(begin, end):
            start = 4 * row * channels * positions
            mean = mean_of(x + start, channels * positions)
            factor = inverse_deviation(x + start, channels * positions, mean, epsilon)
            for channel in range(channels):
                at = 4 * (row % groups * channels + channel)
                slope, shift = factor * splat(read(scale + at)), splat(read(bias + at))
                plane = start + 4 * channel * positions
                for offset in range(plane, plane + tail, vector_bytes):
                    store(y + offset, fma(load(x + offset) - mean, slope, shift))
                end_part = fma(load_part(x + plane + tail, rest) - mean, slope, shift)
                store_part(y + plane + tail, end_part, rest)

    return norm_group


KERNEL = KernelDef(
    name="norm.group",
    buffers=("y", "x", "scale", "bias"),
    sizes=("rows", "groups", "channels", "positions", "epsilon"),
    build=_build,
    items=lambda sizes, params: sizes["rows"],
    footprint=_footprint,
    inplace=lambda sizes, params: (("y", "x"),),
)
