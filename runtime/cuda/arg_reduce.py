"""``arg_reduce`` on GPUs: place of the largest or smallest element, as ``cnnc.runtime.cpu.arg_reduce`` defines it.

A team of threads has some rows (``teams``). Threads compare values first and places where these tie, so that the
result does not depend on how the axis was divided. Work item: a block of threads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cnnc.runtime.cpu import axis_view
from cnnc.runtime.cpu.arg_reduce import KERNEL as CPU_KERNEL
from cnnc.runtime.cuda.target import WARP
from cnnc.runtime.cuda.teams import Teams, team_functions
from cnnc.runtime.kernel import KernelDef, Params, Target

TEAMS = Teams(256)


def _build(target: Target, params: Params) -> Callable[..., Any]:
    import numpy as np
    from numba import cuda

    from cnnc.runtime.cuda.intrinsics import BOOL, FLOAT, inlined
    from cnnc.runtime.cuda.memory_access import load, load_shared, shared_memory, store_i64, store_shared

    find = team_functions(TEAMS).place
    warps, threads = TEAMS.threads // WARP, TEAMS.threads
    # A value and its place, a float32 too: they are exact up to the longest axis.
    shared = shared_memory(2 * TEAMS.shared_bytes)
    is_max, last = params["kind"] == "max", bool(params["last"])
    nothing, zero = np.float32(-1), np.float32(0)

    def is_better(value: Any, at: Any, best: Any, place: Any) -> Any:
        if at < zero or place < zero:
            return at >= zero
        if value != value or best != best:
            if not (value != value and best != best):
                return value != value
        elif value != best:
            return value > best if is_max else value < best
        return at > place if last else at < place

    beats = inlined(BOOL, [FLOAT] * 4, is_better)

    def arg_reduce(args: Any) -> None:
        y, x, outers, axis, inner = args
        outer, column, part, parts, columns, size = find(axis, inner)
        if outer >= outers:
            return
        address, step = x + 4 * ((outer * axis + part) * inner + column), 4 * parts * inner
        best, place, index = zero, nothing, part if column < inner else axis
        while index < axis:
            value, at = load(address), np.float32(index)
            if beats(value, at, best, place):
                best, place = value, at
            address += step
            index += parts
        distance = WARP // 2
        while distance >= columns:
            value = cuda.shfl_xor_sync(0xFFFFFFFF, best, distance)
            at = cuda.shfl_xor_sync(0xFFFFFFFF, place, distance)
            if beats(value, at, best, place):
                best, place = value, at
            distance >>= 1
        if size > WARP:
            thread = cuda.threadIdx.x
            base = shared()
            if thread % WARP < columns:
                store_shared(base + 4 * thread, best)
                store_shared(base + 4 * (threads + thread), place)
            cuda.syncthreads()
            mine = base + 4 * (thread & (columns - 1))
            for warp in range(warps):
                value, at = load_shared(mine + 4 * WARP * warp), load_shared(mine + 4 * (threads + WARP * warp))
                if beats(value, at, best, place):
                    best, place = value, at
        if part == 0 and column < inner:
            store_i64(y + 8 * (outer * inner + column), np.int64(place))

    return arg_reduce


KERNEL = KernelDef(
    name="arg_reduce",
    buffers=("y", "x"),
    sizes=axis_view.SIZES,
    build=_build,
    items=lambda sizes, params: TEAMS.blocks(sizes["outer"], sizes["axis"], sizes["inner"]),
    footprint=CPU_KERNEL.footprint,
    threads=lambda params: TEAMS.threads,
)
