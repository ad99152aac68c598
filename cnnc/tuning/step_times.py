"""Times of the steps of whole programs that run in turns, so that all of them see the same state of the machine."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from cnnc.runtime.call import RunSettings, StepTiming
from cnnc.runtime.executable import Executable
from cnnc.runtime.executor import Array, Executor

ROUNDS = 15
"""Profiled runs of each program; a step's time is the median over them."""


def step_times(
    executables: Sequence[Executable], inputs: Sequence[Array], sizes: Mapping[str, int], *, threads: int | None = None
) -> list[list[tuple[StepTiming, float]]]:
    """Each program's steps with the median of their seconds.

    Args:
        inputs: of all programs.
        sizes: of the symbols of their shapes.
        threads: most threads of a run; None for all that the process may use.
    """
    executors = [Executor(executable) for executable in executables]
    runs: list[list[list[StepTiming]]] = [[] for _ in executors]
    for executor in executors:
        executor.load_kernels()
        executor.run(inputs, sizes, RunSettings(threads))
    for _ in range(ROUNDS):
        for executor, timings in zip(executors, runs, strict=True):
            timings.append([])
            executor.run(inputs, sizes, RunSettings(threads), timings[-1])
    return [
        [(steps[0], statistics.median(step.seconds for step in steps)) for steps in zip(*timings, strict=True)]
        for timings in runs
    ]
