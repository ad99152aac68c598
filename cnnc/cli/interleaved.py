"""Engines in turns: rounds in which each runs for a slice, while the others sleep."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

REST_SECONDS = 0.05
"""Between two slices, so that the workers of the last engine have stopped spinning."""

MOST_ATTEMPTS = 3
"""Rounds are repeated until there are enough good ones, but no more than so many times their number are run."""


class Timed(Protocol):
    """An engine that runs for a slice."""

    @property
    def engine(self) -> str: ...

    def times(self, seconds: float) -> list[float]:
        """Seconds of each run in a slice of about ``seconds``."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long to measure.

    Attributes:
        rounds: turns of each engine.
        slice_seconds: length of a turn.
        budget_seconds: no further round begins after so long, once there are ``fewest``.
    """

    rounds: int = 15
    slice_seconds: float = 0.15
    budget_seconds: float = float("inf")
    fewest: int = 5


@dataclass(frozen=True, slots=True)
class Rounds:
    """What was measured.

    Attributes:
        times: seconds of the runs in each round, by engine.
        dropped: rounds that were repeated, because the machine did not give every thread a core of its own.
        is_free: whether all rounds that are kept were run on free cores.
    """

    times: dict[str, list[list[float]]]
    dropped: int
    is_free: bool

    def medians(self, engine: str) -> list[float]:
        """The median of each round."""
        return [statistics.median(times) for times in self.times[engine]]


def run_rounds(
    engines: Sequence[Timed],
    pace: Pace,
    *,
    cores_are_free: Callable[[], bool] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Rounds:
    """Rounds of all engines; another one begins each round.

    Args:
        cores_are_free: asked before and after each slice, where several threads are measured; a round in which it says
            no is repeated. Rounds that cannot be had otherwise are taken as they are, and ``is_free`` says so.
        progress: told how many rounds are done, of how many.
    """
    good: list[dict[str, list[float]]] = []
    bad: list[dict[str, list[float]]] = []
    stop = time.perf_counter() + pace.budget_seconds
    for attempt in range(MOST_ATTEMPTS * pace.rounds):
        first = attempt % len(engines)
        times, is_free = _round((*engines[first:], *engines[:first]), pace.slice_seconds, cores_are_free)
        (good if is_free else bad).append(times)
        if progress:
            progress(len(good), pace.rounds)
        if len(good) == pace.rounds:
            break
        if time.perf_counter() > stop and len(good) + len(bad) >= pace.fewest:
            break
    enough = len(good) >= min(pace.fewest, pace.rounds)
    kept = good if enough else [*good, *bad]
    return Rounds(
        {engine.engine: [times[engine.engine] for times in kept] for engine in engines},
        len(good) + len(bad) - len(kept),
        enough,
    )


def _round(
    engines: Sequence[Timed], seconds: float, cores_are_free: Callable[[], bool] | None
) -> tuple[dict[str, list[float]], bool]:
    times: dict[str, list[float]] = {}
    is_free = cores_are_free is None or cores_are_free()
    for engine in engines:
        time.sleep(REST_SECONDS)
        times[engine.engine] = engine.times(seconds)
        if cores_are_free is not None:
            time.sleep(REST_SECONDS)
            is_free = cores_are_free() and is_free
    return times, is_free
