"""Stopwatches that measure nothing: times are made up from the candidate that a program was lowered with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from cnnc.lower import Lowered
from cnnc.lower.selection import Candidate
from cnnc.runtime.kernel import Variant


class FakeStopwatch:
    """``time_of(candidate, position)`` gives the seconds of the layer's candidate at that position."""

    def __init__(self, time_of: Callable[[Candidate, int], float]) -> None:
        self.time_of = time_of
        self.variants: list[Variant] = []
        self.layers = 0
        self.models = 0
        self.model_times: list[float] = []

    def compile(self, variants: Iterable[Variant]) -> None:
        self.variants += variants

    def rounds(self, programs: Sequence[Lowered]) -> list[list[float]]:
        self.layers += 1
        times = []
        for position, program in enumerate(programs):
            [decision] = program.decisions
            assert decision.timing is not None
            times.append(self.time_of(decision.timing.best, position))
        return [[drift * seconds for seconds in times] for drift in (1.0, 3.0, 1.5)]

    def model_rounds(self, programs: Sequence[Lowered]) -> list[list[float]]:
        """The last program is the fastest, unless ``model_times`` says otherwise."""
        self.models += 1
        times = self.model_times or [1.0 / (1 + position) for position in range(len(programs))]
        return [times[: len(programs)]] * 3


def last_is_fastest(candidate: Candidate, position: int) -> float:
    return 1e-3 / (1 + position)
