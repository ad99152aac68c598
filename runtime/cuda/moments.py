"""Mean and deviation of rows by teams of threads, shared by the normalizations: two passes, the second around the mean.

The sum of squares minus the square of the mean would cancel for data whose mean is large against its spread.
"""

from __future__ import annotations

from typing import Any

from cnnc.frozen_dataclass import dataclass
from cnnc.runtime.cuda.teams import Teams, team_functions


@dataclass(frozen=True, slots=True)
class Moments:
    """Functions for Numba CUDA code, which all threads of a team call.

    A thread has ``count`` float32, the first at address ``at``, ``step`` bytes apart. ``row`` is the tuple (elements of
    the row, columns, size, shared memory) in the words of ``teams``.

    Attributes:
        mean: ``mean(at, step, count, row)``.
        inverse_deviation: ``inverse_deviation(at, step, count, row, mean, epsilon)``
            = 1 / sqrt(average of (x - mean)^2 + epsilon).
    """

    mean: Any
    inverse_deviation: Any


def moment_functions(teams: Teams) -> Moments:
    """The functions for these teams; imports numba."""
    import math

    import numpy as np
    from numba import types

    from cnnc.runtime.cuda.intrinsics import FLOAT, INT, inlined
    from cnnc.runtime.cuda.memory_access import load_mutable

    sums = team_functions(teams).sums
    row_type = types.UniTuple(INT, 4)
    zero, one = np.float32(0), np.float32(1)

    def own_sum(at: int, step: int, count: int) -> Any:
        a, b, c, d = zero, zero, zero, zero
        for _ in range(count // 4):
            a += load_mutable(at)
            b += load_mutable(at + step)
            c += load_mutable(at + 2 * step)
            d += load_mutable(at + 3 * step)
            at += 4 * step
        for _ in range(count % 4):
            a += load_mutable(at)
            at += step
        return (a + b) + (c + d)

    def own_squares(at: int, step: int, count: int, center: Any) -> Any:
        a, b, c, d = zero, zero, zero, zero
        for _ in range(count // 4):
            u, v = load_mutable(at) - center, load_mutable(at + step) - center
            w, x = load_mutable(at + 2 * step) - center, load_mutable(at + 3 * step) - center
            a, b, c, d = a + u * u, b + v * v, c + w * w, d + x * x
            at += 4 * step
        for _ in range(count % 4):
            u = load_mutable(at) - center
            a += u * u
            at += step
        return (a + b) + (c + d)

    sum_of = inlined(FLOAT, [INT, INT, INT], own_sum)
    squares_of = inlined(FLOAT, [INT, INT, INT, FLOAT], own_squares)

    def mean(at: int, step: int, count: int, row: Any) -> Any:
        elements, columns, size, shared = row
        return sums(sum_of(at, step, count), columns, size, shared) / np.float32(elements)

    def inverse_deviation(at: int, step: int, count: int, row: Any, center: Any, epsilon: Any) -> Any:
        elements, columns, size, shared = row
        squares = sums(squares_of(at, step, count, center), columns, size, shared)
        return one / math.sqrt(squares / np.float32(elements) + epsilon)

    return Moments(
        inlined(FLOAT, [INT, INT, INT, row_type], mean),
        inlined(FLOAT, [INT, INT, INT, row_type, FLOAT, FLOAT], inverse_deviation),
    )
