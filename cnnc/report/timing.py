"""Times of a program: of whole runs, and of its steps, each run on its own."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cnnc.compiler import CompiledModel
from cnnc.ir import Array
from cnnc.runtime.session import InferenceSession

MOST_RUNS = 9
LEAST_RUNS = 3
ENOUGH_SECONDS = 5.0
"""No further run is begun after so long, once there are ``LEAST_RUNS``."""


@dataclass(frozen=True, slots=True)
class Times:
    """Median seconds: of a run, and of each step by its number."""

    run: float
    steps: Mapping[int, float]


def measured_times(compiled: CompiledModel, feeds: Mapping[str, Array], threads: int) -> Times:
    """Run the program a few times, whole and step by step; first runs do not count."""
    whole = InferenceSession(compiled.executable, threads=threads)
    single = InferenceSession(compiled.executable, threads=threads, profile=True)
    arrays, runs, steps = dict(feeds), list[float](), dict[int, list[float]]()

    def run_whole() -> None:
        start = time.perf_counter()
        whole.run(None, arrays)
        runs.append(time.perf_counter() - start)

    def run_steps() -> None:
        single.run(None, arrays)
        for timing in single.last_profile:
            steps.setdefault(timing.step, []).append(timing.seconds)

    whole.run(None, arrays)
    single.run(None, arrays)
    _repeat(run_whole)
    _repeat(run_steps)
    return Times(statistics.median(runs), {step: statistics.median(seconds) for step, seconds in steps.items()})


def _repeat(run: Callable[[], None]) -> None:
    stop = time.perf_counter() + ENOUGH_SECONDS
    for number in range(MOST_RUNS):
        if number >= LEAST_RUNS and time.perf_counter() > stop:
            break
        run()
