"""Latency, batch throughput, and several sessions at once: engines in turns, each in a process of its own."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnc.cli.bench_worker import BenchWorker
from cnnc.cli.interleaved import Pace, Rounds, run_rounds
from cnnc.errors import OptionError
from cnnc.tuning.machine_peak import MachinePeak, free_cores_check
from sidebyside.subject import Subject, largest_error, read_arrays

SESSIONS = 2
"""Sessions that run at once."""


def measure_latency(subject: Subject, engines: Sequence[str], threads: int, pace: Pace) -> dict[str, Any]:
    """Times of one run after the other; and each engine's error against onnxruntime without graph optimisations."""
    with ExitStack() as stack:
        workers, failed = _start(subject, engines, threads, 1, stack)
        rounds = run_rounds(workers, pace, cores_are_free=free_cores_check(threads)) if workers else None
        report = _report(rounds, failed, {worker.engine: worker.version for worker in workers})
        for worker in workers:
            file = subject.folder / f"{worker.engine}.npz"
            worker.save_outputs(file)
            try:
                error = largest_error(read_arrays(file), subject.reference())
            except OptionError as problem:
                report["reference_failed"] = str(problem)
                break
            report["engines"][worker.engine]["error"] = error
    return report


@dataclass(frozen=True, slots=True)
class _Together:
    """A worker whose sessions all run at once."""

    worker: BenchWorker

    @property
    def engine(self) -> str:
        return self.worker.engine

    def times(self, seconds: float) -> list[float]:
        """Seconds of each run of every session."""
        times, _ = self.worker.times_at_once(seconds)
        return [value for session in times for value in session]


def measure_sessions(subject: Subject, engines: Sequence[str], threads: int, pace: Pace) -> dict[str, Any]:
    """Times of the runs of two sessions in one process that run at once, each with as many threads as it may use."""
    with ExitStack() as stack:
        workers, failed = _start(subject, engines, threads, SESSIONS, stack)
        together = [_Together(worker) for worker in workers]
        rounds = run_rounds(together, pace, cores_are_free=free_cores_check(threads)) if workers else None
        return _report(rounds, failed, {worker.engine: worker.version for worker in workers})


def _start(
    subject: Subject, engines: Sequence[str], threads: int, sessions: int, stack: ExitStack
) -> tuple[list[BenchWorker], dict[str, str]]:
    """Workers of the engines that can run the model, and why the others cannot."""
    workers: list[BenchWorker] = []
    failed: dict[str, str] = {}
    for engine in engines:
        try:
            worker = subject.worker(engine, threads, sessions=sessions)
        except OptionError as error:
            failed[engine] = error.what
            continue
        stack.callback(worker.close)
        workers.append(worker)
    return workers, failed


def _report(rounds: Rounds | None, failed: dict[str, str], versions: dict[str, str]) -> dict[str, Any]:
    if rounds is None:
        return {"engines": {}, "failed": failed, "dropped": 0, "is_free": True, "peak_flops": MachinePeak().flops()}
    return {
        "engines": {engine: {"version": versions[engine], **_times(rounds.times[engine])} for engine in versions},
        "failed": failed,
        "dropped": rounds.dropped,
        "is_free": rounds.is_free,
        "peak_flops": MachinePeak().flops(),
    }


def _times(rounds: Sequence[Sequence[float]]) -> dict[str, Any]:
    """Seconds: the median and the mean of each round, and percentiles over all runs."""
    runs = [value for times in rounds for value in times]
    return {
        "medians": [statistics.median(times) for times in rounds],
        "means": [statistics.fmean(times) for times in rounds],
        "p50": float(np.percentile(runs, 50)),
        "p99": float(np.percentile(runs, 99)),
        "runs": len(runs),
    }
