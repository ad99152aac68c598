"""Times of a program: of whole runs, and of its steps, each run on its own."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cnnc.compiled_model import CompiledModel
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
    """Run the program a few times, whole and step by step; first runs do not count.

    Raises:
        InputError: the program does not take these inputs.
    """
    return Times(_run_seconds(compiled, feeds, threads), _step_seconds(compiled, feeds, threads))


def _run_seconds(compiled: CompiledModel, feeds: Mapping[str, Array], threads: int) -> float:
    session, arrays = InferenceSession(compiled.executable, threads=threads), dict(feeds)
    found: list[float] = []

    def run() -> None:
        start = time.perf_counter()
        session.run(None, arrays)
        found.append(time.perf_counter() - start)

    _repeat(run)
    return statistics.median(found[1:])


def _step_seconds(compiled: CompiledModel, feeds: Mapping[str, Array], threads: int) -> dict[int, float]:
    session, arrays = InferenceSession(compiled.executable, threads=threads, profile=True), dict(feeds)
    found: dict[int, list[float]] = {}

    def run() -> None:
        session.run(None, arrays)
        for timing in session.last_profile:
            found.setdefault(timing.step, []).append(timing.seconds)

    _repeat(run)
    return {step: statistics.median(seconds[1:]) for step, seconds in found.items()}


def _repeat(run: Callable[[], None]) -> None:
    """Call ``run`` once, and then as often as is measured."""
    run()
    stop = time.perf_counter() + ENOUGH_SECONDS
    for number in range(MOST_RUNS):
        if number >= LEAST_RUNS and time.perf_counter() > stop:
            break
        run()
