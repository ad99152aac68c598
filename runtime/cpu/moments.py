"""Mean and deviation, shared by the normalizations: two passes, the second around the mean.

The sum of squares minus the square of the mean would cancel for data whose mean is large against its spread.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cnnc.runtime.kernel import Target


@dataclass(frozen=True, slots=True)
class Moments:
    """Jitted functions; addresses and counts are int64, the rest registers.

    Over ``count`` floats, the number in every lane: ``mean(address, count)`` and
    ``inverse_deviation(address, count, mean, epsilon)`` = 1 / sqrt(average of (x - mean)^2 + epsilon).
    Lane by lane over ``count`` registers: ``lane_mean`` and ``lane_inverse_deviation`` with the same arguments.
    """

    mean: Any
    inverse_deviation: Any
    lane_mean: Any
    lane_inverse_deviation: Any


def moment_functions(target: Target) -> Moments:
    """The functions for the target's registers; imports numba."""
    import numba
    import numpy as np

    from cnnc.runtime.cpu.registers import registers

    v = registers(target)
    load, load_part, splat, keep, fold_add, sqrt = v.load, v.load_part, v.splat, v.keep, v.fold_add, v.sqrt
    lanes, vector_bytes = target.lanes, target.vector_bytes
    zero, one = np.float32(0.0), np.float32(1.0)
    jit = numba.njit(error_model="numpy", inline="always")

    @jit  # type: ignore[untyped-decorator]
    def term(x: Any, squared: bool) -> Any:
        return x * x if squared else x

    @jit  # type: ignore[untyped-decorator]
    def lane_sum(address: int, count: int, center: Any, squared: bool) -> Any:
        a, b, c, d = splat(zero), splat(zero), splat(zero), splat(zero)
        whole = count // 4 * 4
        for index in range(0, whole, 4):
            at = address + index * vector_bytes
            a = a + term(load(at) - center, squared)
            b = b + term(load(at + vector_bytes) - center, squared)
            c = c + term(load(at + 2 * vector_bytes) - center, squared)
            d = d + term(load(at + 3 * vector_bytes) - center, squared)
        for index in range(whole, count):
            a = a + term(load(address + index * vector_bytes) - center, squared)
        return (a + b) + (c + d)

    @jit  # type: ignore[untyped-decorator]
    def row_sum(address: int, count: int, center: Any, squared: bool) -> Any:
        rest = count % lanes
        total = lane_sum(address, count // lanes, center, squared)
        tail = term(load_part(address + 4 * (count - rest), rest) - center, squared)
        return splat(fold_add(total + keep(tail, rest, splat(zero))))

    @jit  # type: ignore[untyped-decorator]
    def inverse_root(squares: Any, count: int, epsilon: float) -> Any:
        return splat(one) / sqrt(squares / splat(np.float32(count)) + splat(epsilon))

    @jit  # type: ignore[untyped-decorator]
    def mean(address: int, count: int) -> Any:
        return row_sum(address, count, splat(zero), False) / splat(np.float32(count))

    @jit  # type: ignore[untyped-decorator]
    def inverse_deviation(address: int, count: int, center: Any, epsilon: float) -> Any:
        return inverse_root(row_sum(address, count, center, True), count, epsilon)

    @jit  # type: ignore[untyped-decorator]
    def lane_mean(address: int, count: int) -> Any:
        return lane_sum(address, count, splat(zero), False) / splat(np.float32(count))

    @jit  # type: ignore[untyped-decorator]
    def lane_inverse_deviation(address: int, count: int, center: Any, epsilon: float) -> Any:
        return inverse_root(lane_sum(address, count, center, True), count, epsilon)

    return Moments(mean, inverse_deviation, lane_mean, lane_inverse_deviation)
