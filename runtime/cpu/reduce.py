"""``reduce``: one number for every row of the axis: sum, mean, max, min, prod, l1, l2, sum_square, log_sum,
log_sum_exp.

x is [outer, axis, inner] float32 (``axis_view``), y is [outer, inner] float32. Parameter ``kind`` is one of ``KINDS``.
Global pools are means and maxima, too: [N*C, S, 1] plain, [N*blocks, S, L] blocked. The axis may be empty: sums are 0,
products 1, maxima -inf, minima inf, a mean NaN.

Sums run in four registers side by side that are added at the end, in an order that depends on the sizes only. NaN
spreads into the result of every kind. Work item: ``axis_view``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnnc.runtime.cpu import axis_view
from cnnc.runtime.kernel import Access, KernelDef, Params, Target

KINDS = ("sum", "mean", "max", "min", "prod", "l1", "l2", "sum_square", "log_sum", "log_sum_exp")


def _footprint(sizes: Mapping[str, int], params: Params) -> tuple[Access, ...]:
    return (
        Access("y", 0, 4 * sizes["outer"] * sizes["inner"], True),
        Access("x", 0, 4 * axis_view.elements(sizes), False),
    )


def _build(target: Target, params: Params) -> Callable[..., Any]:
    import numba
    import numpy as np

    from cnnc.runtime.cpu.registers import registers

    v = registers(target)
    load, load_part, store, store_part, splat, keep = v.load, v.load_part, v.store, v.store_part, v.splat, v.keep
    maximum, minimum, absolute, sqrt, exp, log = v.maximum, v.minimum, v.absolute, v.sqrt, v.exp, v.log
    kind = str(params["kind"])
    lanes, vector_bytes, columns = target.lanes, target.vector_bytes, axis_view.COLUMNS
    jit = numba.njit(error_model="numpy", inline="always")

    def pick(table: dict[str, Any], default: Any) -> Any:
        return jit(table.get(kind, default))

    term = pick(
        {
            "l1": lambda x, shift: absolute(x),
            "l2": lambda x, shift: x * x,
            "sum_square": lambda x, shift: x * x,
            "log_sum_exp": lambda x, shift: exp(x - shift),
        },
        lambda x, shift: x,
    )
    combine = pick(
        {"max": lambda a, b: maximum(a, b), "min": lambda a, b: minimum(a, b), "prod": lambda a, b: a * b},
        lambda a, b: a + b,
    )
    finish = pick(
        {
            "mean": lambda total, shift, count: total / splat(np.float32(count)),
            "l2": lambda total, shift, count: sqrt(total),
            "log_sum": lambda total, shift, count: log(total),
            "log_sum_exp": lambda total, shift, count: log(total) + shift,
        },
        lambda total, shift, count: total,
    )
    fold = {"max": v.fold_maximum, "min": v.fold_minimum, "prod": v.fold_mul}.get(kind, v.fold_add)
    fold_maximum, finite_or_zero = v.fold_maximum, v.finite_or_zero
    neutral = np.float32({"max": -np.inf, "min": np.inf, "prod": 1.0}.get(kind, 0.0))
    lowest, shifted = np.float32(-np.inf), kind == "log_sum_exp"

    @jit  # type: ignore[untyped-decorator]
    def accumulate(address: int, step: int, count: int, width: int, shift: Any) -> Any:
        """Terms of ``count`` registers, ``step`` bytes apart, of ``width`` lanes each."""
        a, b, c, d = splat(neutral), splat(neutral), splat(neutral), splat(neutral)
        whole = count // 4 * 4
        if width == lanes:
            for index in range(0, whole, 4):
                at = address + index * step
                a = combine(a, term(load(at), shift))
                b = combine(b, term(load(at + step), shift))
                c = combine(c, term(load(at + 2 * step), shift))
                d = combine(d, term(load(at + 3 * step), shift))
            for index in range(whole, count):
                a = combine(a, term(load(address + index * step), shift))
        else:
            for index in range(count):
                a = combine(a, term(load_part(address + index * step, width), shift))
        return combine(combine(a, b), combine(c, d))

    @jit  # type: ignore[untyped-decorator]
    def largest(address: int, step: int, count: int, width: int) -> Any:
        """Maximum of registers as in ``accumulate``."""
        best = splat(lowest)
        for index in range(count):
            best = maximum(best, load_part(address + index * step, width))
        return best

    def reduce(args: Any, begin: int, end: int, scratch: int) -> None:
        y, x, axis, inner = args[0], args[1], args[3], args[4]
        chunks = (inner + columns - 1) // columns
        shift = splat(np.float32(0.0))
        for item in range(begin, end):
            if inner == 1:
                row = x + 4 * item * axis
                whole, rest = axis // lanes, axis % lanes
                tail = row + whole * vector_bytes
                if shifted:
                    best = largest(row, vector_bytes, whole, lanes)
                    best = maximum(best, keep(load_part(tail, rest), rest, splat(lowest)))
                    # An infinite maximum is the result by itself; shifting by it would make NaN of inf - inf.
                    shift = finite_or_zero(splat(fold_maximum(best)))
                total = accumulate(row, vector_bytes, whole, lanes, shift)
                total = combine(total, keep(term(load_part(tail, rest), shift), rest, splat(neutral)))
                store_part(y + 4 * item, finish(splat(fold(total)), shift, axis), 1)
                continue
            outer, first = item // chunks, item % chunks * columns
            for column in range(first, min(first + columns, inner), lanes):
                width = min(lanes, inner - column)
                address = x + 4 * (outer * axis * inner + column)
                if shifted:
                    shift = finite_or_zero(largest(address, 4 * inner, axis, width))
                total = finish(accumulate(address, 4 * inner, axis, width, shift), shift, axis)
                if width == lanes:
                    store(y + 4 * (outer * inner + column), total)
                else:
                    store_part(y + 4 * (outer * inner + column), total, width)

    return reduce


KERNEL = KernelDef(
    name="reduce",
    buffers=("y", "x"),
    sizes=axis_view.SIZES,
    build=_build,
    items=axis_view.items,
    footprint=_footprint,
)
