"""``norm.layer``: layer normalization (and RMS normalization) over the last axes.

x and y are [rows, size] float32, y may be x; scale and bias (optional, address 0) are [size] float32. Parameter
``kind``: layer, y = (x - mean) / sqrt(var + epsilon) * scale + bias, or rms, where the mean counts as 0. ``epsilon`` is
float32 bits. The mean and deviation are not given out. Work item: a row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnnc.dims import Dim
from cnnc.runtime.kernel import Access, KernelDef, Params, Target


def arguments(rows: Dim, size: Dim, epsilon_bits: int, has_bias: bool) -> dict[str, Dim]:
    """Size slots; epsilon as float32 bits."""
    return {"rows": rows, "size": size, "epsilon": epsilon_bits, "has_bias": int(has_bias)}


def _footprint(sizes: Mapping[str, int], params: Params) -> tuple[Access, ...]:
    total = 4 * sizes["rows"] * sizes["size"]
    vector = 4 * sizes["size"] if total else 0
    ranges = [Access("y", 0, total, True), Access("x", 0, total, False), Access("scale", 0, vector, False)]
    if sizes["has_bias"]:
        ranges.append(Access("bias", 0, vector, False))
    return tuple(ranges)


def _build(target: Target, params: Params) -> Callable[..., Any]:
    import numpy as np

    from cnnc.runtime.cpu.moments import moment_functions
    from cnnc.runtime.cpu.registers import float_from_bits, registers

    v = registers(target)
    load_part, store_part, splat = v.load_part, v.store_part, v.splat
    from_bits = float_from_bits(target)
    moments = moment_functions(target)
    mean_of, inverse_deviation = moments.mean, moments.inverse_deviation
    lanes = target.lanes
    zero, is_rms = np.float32(0.0), params["kind"] == "rms"

    def norm_layer(args: Any, begin: int, end: int, scratch: int) -> None:
        y, x, scale, bias = args[0], args[1], args[2], args[3]
        size, epsilon, has_bias = args[5], from_bits(args[6]), args[7]
        for row in range(begin, end):
            source, result = x + 4 * row * size, y + 4 * row * size
            mean = splat(zero)
            if not is_rms:
                mean = mean_of(source, size)
            factor = inverse_deviation(source, size, mean, epsilon)
            for column in range(0, size, lanes):
                count, offset = min(lanes, size - column), 4 * column
                value = (load_part(source + offset, count) - mean) * factor * load_part(scale + offset, count)
                if has_bias != 0:
                    value = value + load_part(bias + offset, count)
                store_part(result + offset, value, count)

    return norm_layer


KERNEL = KernelDef(
    name="norm.layer",
    buffers=("y", "x", "scale", "bias"),
    sizes=("rows", "size", "epsilon", "has_bias"),
    build=_build,
    items=lambda sizes, params: sizes["rows"],
    footprint=_footprint,
    inplace=lambda sizes, params: (("y", "x"),),
)
