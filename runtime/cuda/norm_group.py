"""``norm.group`` on GPUs: group and instance normalization of plain tensors, as ``cnnc.runtime.cpu.norm_group`` says.

A team of threads has a row (``teams``), which is a group of channels of an image. Work item: a block of threads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cnnc.runtime.cpu.norm_group import KERNEL as CPU_KERNEL
from cnnc.runtime.cuda.teams import Teams, team_functions
from cnnc.runtime.kernel import KernelDef, Params, Target

TEAMS = Teams(512)


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from cnnc.runtime.cuda.integers import divide, float_of_bits
    from cnnc.runtime.cuda.memory_access import load, load_mutable, shared_memory, store
    from cnnc.runtime.cuda.moments import moment_functions

    place, moments = team_functions(TEAMS).place, moment_functions(TEAMS)
    mean_of, inverse_deviation = moments.mean, moments.inverse_deviation
    shared = shared_memory(TEAMS.shared_bytes)

    def norm_group(args: Any) -> None:
        y, x, scale, bias, rows, groups, channels, positions, epsilon = args
        elements = channels * positions
        row, _, part, parts, columns, threads = place(elements, 1)
        if row >= rows:
            return
        count = (elements - part + parts - 1) // parts
        first, step = 4 * (row * elements + part), 4 * parts
        team = (elements, columns, threads, shared())
        mean = mean_of(x + first, step, count, team)
        factor = inverse_deviation(x + first, step, count, team, mean, float_of_bits(epsilon))
        _, group = divide(row, groups)
        index = part
        for _ in range(count):
            channel, _ = divide(index, positions)
            at = 4 * (group * channels + channel)
            store(y + first, (load_mutable(x + first) - mean) * (factor * load(scale + at)) + load(bias + at))
            first += step
            index += parts

    return norm_group


KERNEL = KernelDef(
    name="norm.group",
    buffers=CPU_KERNEL.buffers,
    sizes=CPU_KERNEL.sizes,
    build=_build,
    items=lambda sizes, params: TEAMS.blocks(sizes["rows"], sizes["channels"] * sizes["positions"], 1),
    footprint=CPU_KERNEL.footprint,
    inplace=CPU_KERNEL.inplace,
    threads=lambda params: TEAMS.threads,
)
