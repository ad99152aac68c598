"""``reduce`` on GPUs: one number for every row of the axis, as ``cnnc.runtime.cpu.reduce`` defines it.

A team of threads has some rows (``teams``). Each thread sums into four registers, in turns; these are combined first,
and then those of the threads. Work item: a block of threads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cnnc.runtime.cpu import axis_view
from cnnc.runtime.cpu.reduce import KERNEL as CPU_KERNEL
from cnnc.runtime.cuda.teams import Teams, larger, team_combination, team_functions
from cnnc.runtime.kernel import KernelDef, Params, Target

TEAMS = Teams(256)


def _build(target: Target, params: Params) -> Callable[..., Any]:
    import math

    import numpy as np

    from cnnc.runtime.cuda.intrinsics import FLOAT, INT, inlined
    from cnnc.runtime.cuda.memory_access import load, shared_memory, store

    kind = str(params["kind"])
    infinity, zero, is_shifted = np.float32(np.inf), np.float32(0), kind == "log_sum_exp"
    neutral = np.float32({"max": -np.inf, "min": np.inf, "prod": 1}.get(kind, 0))

    terms: dict[str, Callable[..., Any]] = {
        "l1": lambda x, shift: abs(x),
        "l2": lambda x, shift: x * x,
        "sum_square": lambda x, shift: x * x,
        "log_sum_exp": lambda x, shift: math.exp(x - shift),
    }
    combinations: dict[str, Callable[..., Any]] = {
        "max": larger,
        "min": lambda a, b: b if b < a or b != b else a,
        "prod": lambda a, b: a * b,
    }
    results: dict[str, Callable[..., Any]] = {
        "mean": lambda total, shift, count: total / np.float32(count),
        "l2": lambda total, shift, count: math.sqrt(total),
        "log_sum": lambda total, shift, count: math.log(total),
        "log_sum_exp": lambda total, shift, count: math.log(total) + shift,
    }
    combination = combinations.get(kind, lambda a, b: a + b)
    term = inlined(FLOAT, [FLOAT, FLOAT], terms.get(kind, lambda x, shift: x))
    combine = inlined(FLOAT, [FLOAT, FLOAT], combination)
    result = inlined(FLOAT, [FLOAT, FLOAT, INT], results.get(kind, lambda total, shift, count: total))
    functions = team_functions(TEAMS)
    place, maxima, totals = functions.place, functions.maxima, team_combination(TEAMS, combination)
    shared = shared_memory(TEAMS.shared_bytes)

    def reduce(args: Any) -> None:
        y, x, outers, axis, inner = args
        outer, column, part, parts, columns, size = place(axis, inner)
        if outer >= outers:
            return
        is_column = column < inner
        count = (axis - part + parts - 1) // parts if is_column else 0
        first, step = x + 4 * ((outer * axis + part) * inner + column), 4 * parts * inner
        base, shift = shared(), zero
        if is_shifted:
            best, at = -infinity, first
            for _ in range(count):
                value = load(at)
                best = value if value > best or value != value else best
                at += step
            shift = maxima(best, columns, size, base)
            # An infinite maximum is the result by itself; shifting by it would make NaN of inf - inf.
            shift = shift if abs(shift) < infinity else zero
        a, b, c, d, at = neutral, neutral, neutral, neutral, first
        for _ in range(count // 4):
            a = combine(a, term(load(at), shift))
            b = combine(b, term(load(at + step), shift))
            c = combine(c, term(load(at + 2 * step), shift))
            d = combine(d, term(load(at + 3 * step), shift))
            at += 4 * step
        for _ in range(count % 4):
            a = combine(a, term(load(at), shift))
            at += step
        total = totals(combine(combine(a, b), combine(c, d)), columns, size, base)
        if part == 0 and is_column:
            store(y + 4 * (outer * inner + column), result(total, shift, axis))

    return reduce


KERNEL = KernelDef(
    name="reduce",
    buffers=("y", "x"),
    sizes=axis_view.SIZES,
    build=_build,
    items=lambda sizes, params: TEAMS.blocks(sizes["outer"], sizes["axis"], sizes["inner"]),
    footprint=CPU_KERNEL.footprint,
    threads=lambda params: TEAMS.threads,
)
