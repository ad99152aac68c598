"""``softmax`` on GPUs: softmax or log_softmax along the axis, as ``cnnc.runtime.cpu.softmax`` defines it.

A team of threads has some rows (``teams``) and reads them three times: for their maxima, for the sums of powers, and to
write the results. Short rows lie in the first cache after the first time. Work item: a block of threads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cnnc.runtime.cpu import axis_view
from cnnc.runtime.cpu.softmax import KERNEL as CPU_KERNEL
from cnnc.runtime.cuda.teams import Teams, team_functions
from cnnc.runtime.kernel import KernelDef, Params, Target

TEAMS = Teams(256)


def _build(target: Target, params: Params) -> Callable[..., Any]:
    import math

    import numpy as np

    from cnnc.runtime.cuda.memory_access import load_mutable, shared_memory, store

    functions = team_functions(TEAMS)
    place, sums, maxima = functions.place, functions.sums, functions.maxima
    shared = shared_memory(TEAMS.shared_bytes)
    lowest, zero, is_log = np.float32(-np.inf), np.float32(0), bool(params["log"])

    def softmax(args: Any) -> None:
        y, x, outers, axis, inner = args
        outer, column, part, parts, columns, size = place(axis, inner)
        if outer >= outers:
            return
        count = (axis - part + parts - 1) // parts if column < inner else 0
        first, step = 4 * ((outer * axis + part) * inner + column), 4 * parts * inner
        base, peak, at = shared(), lowest, x + first
        for _ in range(count):
            value = load_mutable(at)
            peak = value if value > peak or value != value else peak
            at += step
        peak = maxima(peak, columns, size, base)
        a, b, at = zero, zero, x + first
        for _ in range(count // 2):
            a += math.exp(load_mutable(at) - peak)
            b += math.exp(load_mutable(at + step) - peak)
            at += 2 * step
        if count % 2 == 1:
            a += math.exp(load_mutable(at) - peak)
        total = sums(a + b, columns, size, base)
        if is_log:
            total = math.log(total)
        offset = first
        for _ in range(count):
            value = load_mutable(x + offset) - peak
            store(y + offset, value - total if is_log else math.exp(value) / total)
            offset += step

    return softmax


KERNEL = KernelDef(
    name="softmax",
    buffers=("y", "x"),
    sizes=axis_view.SIZES,
    build=_build,
    items=lambda sizes, params: TEAMS.blocks(sizes["outer"], sizes["axis"], sizes["inner"]),
    footprint=CPU_KERNEL.footprint,
    inplace=CPU_KERNEL.inplace,
    threads=lambda params: TEAMS.threads,
)
