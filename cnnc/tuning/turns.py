"""Times of Python calls that take turns, so that a drift of the clock touches all of them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping


def time_in_turns(
    calls: Mapping[str, Callable[[], object]], *, rounds: int = 15, slice_seconds: float = 0.01
) -> dict[str, float]:
    """The median seconds of each call, by name.

        time_in_turns({"dense": lambda: dense.run(feeds), "sparse": lambda: sparse.run(feeds)})

    Every call runs once beforehand, so that nothing is compiled or allocated while the clock runs.

    Args:
        calls: what to time.
        rounds: turns of each call; a turn gives one number, the mean of its runs.
        slice_seconds: length of a turn; a call that takes longer runs once in it.
    """
    counts = {}
    for name, call in calls.items():
        call()
        start = time.perf_counter()
        call()
        counts[name] = max(1, int(slice_seconds / max(time.perf_counter() - start, 1e-7)))
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            for _ in range(counts[name]):
                call()
            times[name].append((time.perf_counter() - start) / counts[name])
    return {name: statistics.median(seconds) for name, seconds in times.items()}
