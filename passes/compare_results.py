"""Compares what a graph returns before and after a pass, within the bound of the pass's kind."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cnnc import interp
from cnnc.ir import Array, Graph
from cnnc.sample_inputs import sample_inputs

ROUNDING_BOUND = 1e-4
"""Largest error of a ``rounding`` pass, over the output's standard deviation (both sides computed in float64, so only
what a pass folds into float32 constants is rounded)."""

DIFFERING_INTEGERS = 0.01
"""Share of an integer output that a ``rounding`` pass may change: rounding may decide a close ArgMax otherwise."""


def results(graph: Graph, numerics: str, sizes: Mapping[str, int] | None = None) -> dict[str, Array]:
    """Outputs for seeded inputs (symbols as ``sizes`` says): as they are for ``exact``, in float64 for ``rounding``."""
    return interp.run(graph, sample_inputs(graph, sizes=sizes), float64=numerics != "exact")


def difference(
    before: Mapping[str, Array], after: Mapping[str, Array], numerics: str, float32: Mapping[str, Array] | None = None
) -> str | None:
    """None where the results agree as ``numerics`` demands, else one sentence with the worst output.

    ``float32`` are the results before the pass computed in float32: a network that amplifies their rounding amplifies
    that of folded constants too, and twice their error is allowed where it is more than ``ROUNDING_BOUND``.
    """
    if before.keys() != after.keys():
        return f"the outputs were {', '.join(before)} and are {', '.join(after)}"
    for name, old in before.items():
        bound = ROUNDING_BOUND if float32 is None else max(ROUNDING_BOUND, 2 * _error(old, float32[name]))
        reason = _compare(old, after[name], numerics, bound)
        if reason is not None:
            return f"output {name!r}: {reason}"
    return None


def _compare(old: Array, new: Array, numerics: str, bound: float) -> str | None:
    if old.shape != new.shape or old.dtype != new.dtype:
        return f"was {old.dtype.name}{list(old.shape)} and is {new.dtype.name}{list(new.shape)}"
    if old.dtype.kind in "iub":
        wrong = int(np.count_nonzero(old != new))
        allowed = 0 if numerics == "exact" else int(DIFFERING_INTEGERS * old.size)
        return f"{wrong} of {old.size} elements differ" if wrong > allowed else None
    a, b = old.astype(np.float64), new.astype(np.float64)
    if numerics == "exact":
        # Zeros of different sign are different results; NaNs are all the same one.
        same = (np.isnan(a) & np.isnan(b)) | ((a == b) & (np.signbit(a) == np.signbit(b)))
        return (
            None
            if same.all()
            else f"{int((~same).sum())} of {a.size} elements differ in a bit; worst by {_worst(a, b)}"
        )
    finite = np.isfinite(a)
    if not np.array_equal(a[~finite], b[~finite], equal_nan=True) or not np.isfinite(b[finite]).all():
        return "NaN or infinity stands in other places"
    error = _error(a, b)
    return f"differs by {error:.1e} of its standard deviation, more than {bound:.0e}" if error > bound else None


def _error(old: Array, new: Array) -> float:
    """Largest error over the scale of ``old``, where both are finite."""
    a, b = old.astype(np.float64), new.astype(np.float64)
    both = np.isfinite(a) & np.isfinite(b)
    worst = float(np.abs(np.subtract(a[both], b[both])).max(initial=0))
    return worst / _scale(a[both])


def _scale(values: Array) -> float:
    """Standard deviation, but not less than a hundredth of the largest magnitude or of 1: an output that is constant,
    or only rounding noise, has no scale of its own."""
    spread = float(np.std(values.astype(np.float64))) if values.size > 1 else 0.0
    return max(spread, 0.01 * max(1.0, float(np.abs(values).max(initial=0))))


def _worst(a: Array, b: Array) -> str:
    both = np.isfinite(a) & np.isfinite(b)
    worst = float(np.abs(np.subtract(a[both], b[both])).max(initial=0))
    return f"{worst:.1e}"
