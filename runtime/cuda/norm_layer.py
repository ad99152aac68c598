"""``norm.layer`` on GPUs: layer and RMS normalization, as ``cnnc.runtime.cpu.norm_layer`` defines them.

A team of threads has a row (``teams``): a warp, or a block for long ones. Work item: a block of threads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cnnc.runtime.cpu.norm_layer import KERNEL as CPU_KERNEL
from cnnc.runtime.cuda.teams import Teams, team_functions
from cnnc.runtime.kernel import KernelDef, Params, Target

TEAMS = Teams(256)


def _build(target: Target, params: Params) -> Callable[..., Any]:
    import numpy as np

    from cnnc.runtime.cuda.integers import float_of_bits
    from cnnc.runtime.cuda.memory_access import load, load_mutable, shared_memory, store
    from cnnc.runtime.cuda.moments import moment_functions

    place, moments = team_functions(TEAMS).place, moment_functions(TEAMS)
    mean_of, inverse_deviation = moments.mean, moments.inverse_deviation
    shared = shared_memory(TEAMS.shared_bytes)
    zero, is_rms = np.float32(0), params["kind"] == "rms"

    def norm_layer(args: Any) -> None:
        y, x, scale, bias, rows, size, epsilon, has_bias = args
        row, _, part, parts, columns, threads = place(size, 1)
        if row >= rows:
            return
        count = (size - part + parts - 1) // parts
        first, step = 4 * (row * size + part), 4 * parts
        team = (size, columns, threads, shared())
        mean = zero
        if not is_rms:
            mean = mean_of(x + first, step, count, team)
        factor = inverse_deviation(x + first, step, count, team, mean, float_of_bits(epsilon))
        column = 4 * part
        for _ in range(count):
            value = (load_mutable(x + first) - mean) * factor * load(scale + column)
            if has_bias != 0:
                value += load(bias + column)
            store(y + first, value)
            first += step
            column += step

    return norm_layer


KERNEL = KernelDef(
    name="norm.layer",
    buffers=CPU_KERNEL.buffers,
    sizes=CPU_KERNEL.sizes,
    build=_build,
    items=lambda sizes, params: TEAMS.blocks(sizes["rows"], sizes["size"], 1),
    footprint=CPU_KERNEL.footprint,
    inplace=CPU_KERNEL.inplace,
    threads=lambda params: TEAMS.threads,
)
