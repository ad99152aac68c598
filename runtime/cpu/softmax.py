"""``softmax``: softmax or log_softmax along the axis.

x and y are [outer, axis, inner] float32 (``axis_view``); y may be x. Parameter ``log``: 0 or 1. The maximum is
subtracted first, so exp never overflows; a row with NaN or inf, or of -inf only, gives NaN, as NumPy's formula does.
Work item: ``axis_view``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnnc.dims import Dim, maximum, minimum
from cnnc.runtime.cpu import axis_view
from cnnc.runtime.kernel import Access, KernelDef, Params, Target


def _footprint(sizes: Mapping[str, int], params: Params) -> tuple[Access, ...]:
    size = 4 * axis_view.elements(sizes)
    return (Access("y", 0, size, True), Access("x", 0, size, False))


def _scratch(sizes: Mapping[str, Dim], params: Params) -> Dim:
    """A register for every element of the axis, where the axis is not the innermost one.

    Lines of x that are far apart tend to share cache sets, so that each is read once and worked on in scratch.
    """
    return 64 * sizes["axis"] * maximum(minimum(sizes["inner"] - 1, 1), 0)


def _build(target: Target, params: Params) -> Callable[..., Any]:
    import numpy as np

    from cnnc.runtime.cpu.registers import registers

    v = registers(target)
    load, load_part, store, store_part, splat, keep = v.load, v.load_part, v.store, v.store_part, v.splat, v.keep
    largest, exp, log, fold_add, fold_maximum = v.maximum, v.exp, v.log, v.fold_add, v.fold_maximum
    lanes, vector_bytes, columns = target.lanes, target.vector_bytes, axis_view.COLUMNS
    lowest, zero, is_log = np.float32(-np.inf), np.float32(0.0), bool(params["log"])

    def softmax(args: Any, begin: int, end: int, scratch: int) -> None:
        y, x, axis, inner = args[0], args[1], args[3], args[4]
        chunks = (inner + columns - 1) // columns
        for item in range(begin, end):
            if inner == 1:
                source, result = x + 4 * item * axis, y + 4 * item * axis
                rest = axis % lanes
                tail = 4 * (axis - rest)
                peak = keep(load_part(source + tail, rest), rest, splat(lowest))
                for offset in range(0, tail, vector_bytes):
                    peak = largest(peak, load(source + offset))
                peak = splat(fold_maximum(peak))
                power = exp(load_part(source + tail, rest) - peak)
                total = keep(power, rest, splat(zero))
                if not is_log:
                    # In place, the tail must be written after it was read: nothing reads it again.
                    store_part(result + tail, power, rest)
                for offset in range(0, tail, vector_bytes):
                    power = exp(load(source + offset) - peak)
                    total = total + power
                    if not is_log:
                        store(result + offset, power)
                total = splat(fold_add(total))
                if is_log:
                    total = log(total)
                    for offset in range(0, tail, vector_bytes):
                        store(result + offset, load(source + offset) - peak - total)
                    store_part(result + tail, load_part(source + tail, rest) - peak - total, rest)
                else:
                    for offset in range(0, tail, vector_bytes):
                        store(result + offset, load(result + offset) / total)
                    store_part(result + tail, load_part(result + tail, rest) / total, rest)
                continue
            outer, first = item // chunks, item % chunks * columns
            step = 4 * inner
            for column in range(first, min(first + columns, inner), lanes):
                width = min(lanes, inner - column)
                start = 4 * (outer * axis * inner + column)
                source, result = x + start, y + start
                peak, total = splat(lowest), splat(zero)
                for index in range(axis):
                    value = load_part(source + index * step, width)
                    store(scratch + index * vector_bytes, value)
                    peak = largest(peak, value)
                for index in range(axis):
                    value = load(scratch + index * vector_bytes) - peak
                    power = exp(value)
                    total = total + power
                    store(scratch + index * vector_bytes, value if is_log else power)
                if is_log:
                    total = log(total)
                for index in range(axis):
                    value = load(scratch + index * vector_bytes)
                    store_part(result + index * step, value - total if is_log else value / total, width)

    return softmax


KERNEL = KernelDef(
    name="softmax",
    buffers=("y", "x"),
    sizes=axis_view.SIZES,
    build=_build,
    items=axis_view.items,
    footprint=_footprint,
    scratch_bytes=_scratch,
    inplace=lambda sizes, params: (("y", "x"),),
)
