"""Teams of threads that share a row: how they divide it, and how they add up what each of them has found.

Rows lie as in ``cnnc.runtime.cpu.axis_view``: x is [outer, axis, inner], and a row is the axis at one outer and one
inner index. Neighbouring threads take neighbouring inner indices, so that a warp reads whole sectors: a team works on
1, 8 or 32 *columns* of inner at once, and divides the axis between the threads that these leave. It is a warp where
the rows are short, else a block. Partial results are combined in an order that depends on axis and inner alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cnnc.dims import Dim, ceil_div, maximum, minimum
from cnnc.frozen_dataclass import dataclass
from cnnc.runtime.cuda.target import LANES, WARP

SHORT = 16 * WARP
"""Elements of a team's rows up to which the team is a warp."""


def _exceeds(size: Dim, bound: int) -> Dim:
    """1 where ``size`` is more than ``bound``, else 0."""
    return minimum(maximum(size - bound, 0), 1)


@dataclass(frozen=True, slots=True)
class Teams:
    """How blocks of ``threads`` threads are divided into teams; a multiple of 32."""

    threads: int

    @property
    def shared_bytes(self) -> int:
        """Shared memory that a combination uses: a float32 for every thread."""
        return 4 * self.threads

    def blocks(self, outer: Dim, axis: Dim, inner: Dim) -> Dim:
        """Blocks of threads for all rows."""
        columns = 1 + (LANES - 1) * _exceeds(inner, 1) + (WARP - LANES) * _exceeds(inner, LANES)
        warps = self.threads // WARP
        teams = warps - (warps - 1) * _exceeds(axis * columns, SHORT)
        return ceil_div(outer * ceil_div(inner, columns), teams)


@dataclass(frozen=True, slots=True)
class TeamFunctions:
    """Functions for Numba CUDA code; all numbers are int64 unless said otherwise.

    Attributes:
        place: ``place(axis, inner)`` is (outer, column, part, parts, columns, size): this thread takes the elements
            part, part + parts, ... of the row of ``column`` at ``outer``. ``size`` are the threads of the team. Of the
            last teams outer may be too large; so may column, in some threads of a team.
        sums: ``sums(value, columns, size, shared)``: the sum of the float32 that the threads of a column have, in
            each of them. All threads of a team call it. ``shared``: address of ``shared_bytes``.
        maxima: likewise the largest; NaN if any is NaN.
    """

    place: Any
    sums: Any
    maxima: Any


def larger(a: Any, b: Any) -> Any:
    """The larger of two float32 in Numba CUDA code, NaN if one of them is."""
    return b if b > a or b != b else a


def team_functions(teams: Teams) -> TeamFunctions:
    """The functions for these teams; imports numba."""
    from numba import cuda, types

    from cnnc.runtime.cuda.integers import divide
    from cnnc.runtime.cuda.intrinsics import INT, inlined

    threads, warps = teams.threads, teams.threads // WARP

    def find(axis: int, inner: int) -> Any:
        shift = 0 if inner <= 1 else 3 if inner <= LANES else 5
        columns = 1 << shift
        is_warp = axis << shift <= SHORT
        size = WARP if is_warp else threads
        thread = cuda.threadIdx.x
        lane = thread % WARP if is_warp else thread
        team = cuda.blockIdx.x * warps + thread // WARP if is_warp else cuda.blockIdx.x
        outer, chunk = divide(team, (inner + columns - 1) >> shift)
        column = (chunk << shift) + (lane & (columns - 1))
        return outer, column, lane >> shift, size >> shift, columns, size

    return TeamFunctions(
        inlined(types.UniTuple(INT, 6), [INT, INT], find),
        team_combination(teams, lambda a, b: a + b),
        team_combination(teams, larger),
    )


def team_combination(teams: Teams, combine: Callable[[Any, Any], Any]) -> Any:
    """``combined(value, columns, size, shared)`` as ``TeamFunctions.sums``, with another ``combine`` of two float32."""
    from numba import cuda

    from cnnc.runtime.cuda.intrinsics import FLOAT, INT, inlined
    from cnnc.runtime.cuda.memory_access import load_shared, store_shared

    warps = teams.threads // WARP
    both = inlined(FLOAT, [FLOAT, FLOAT], combine)

    def combined(value: Any, columns: int, size: int, shared: int) -> Any:
        distance = WARP // 2
        while distance >= columns:
            value = both(value, cuda.shfl_xor_sync(0xFFFFFFFF, value, distance))
            distance >>= 1
        if size > WARP:
            thread = cuda.threadIdx.x
            # What the combination before has left here may still be read.
            cuda.syncthreads()
            if thread % WARP < columns:
                store_shared(shared + 4 * thread, value)
            cuda.syncthreads()
            mine = shared + 4 * (thread & (columns - 1))
            value = load_shared(mine)
            for warp in range(1, warps):
                value = both(value, load_shared(mine + 4 * WARP * warp))
        return value

    return inlined(FLOAT, [FLOAT, INT, INT, INT], combined)
