"""``norm.instance_blocked`` on GPUs: as ``cnnc.runtime.cpu.norm_instance_blocked`` defines it, with blocks of 8.

A team of threads has a plane (``teams``): eight threads read the channels of a pixel. Work item: a block of threads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cnnc.runtime.cpu.norm_instance_blocked import KERNEL as CPU_KERNEL
from cnnc.runtime.cuda.target import LANES
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

    def norm_instance_blocked(args: Any) -> None:
        y, x, scale, bias, planes, blocks, positions, epsilon = args
        plane, lane, part, parts, columns, threads = place(positions, LANES)
        if plane >= planes:
            return
        count = (positions - part + parts - 1) // parts
        first, step = 4 * ((plane * positions + part) * LANES + lane), 4 * parts * LANES
        team = (positions, columns, threads, shared())
        mean = mean_of(x + first, step, count, team)
        factor = inverse_deviation(x + first, step, count, team, mean, float_of_bits(epsilon))
        _, block = divide(plane, blocks)
        at = 4 * (block * LANES + lane)
        slope, shift = factor * load(scale + at), load(bias + at)
        for _ in range(count):
            store(y + first, (load_mutable(x + first) - mean) * slope + shift)
            first += step

    return norm_instance_blocked


KERNEL = KernelDef(
    name="norm.instance_blocked",
    buffers=CPU_KERNEL.buffers,
    sizes=CPU_KERNEL.sizes,
    build=_build,
    items=lambda sizes, params: TEAMS.blocks(sizes["planes"], sizes["positions"], LANES),
    footprint=CPU_KERNEL.footprint,
    inplace=CPU_KERNEL.inplace,
    threads=lambda params: TEAMS.threads,
)
