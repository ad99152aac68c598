"""Latency of quantized models: every engine runs the same QDQ file, and cnnc the float model beside it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnc.cli.bench_worker import BenchWorker
from cnnc.cli.interleaved import Pace, run_rounds
from cnnc.errors import CnncError
from cnnc.tuning.machine_peak import MachinePeak, free_cores_check
from sidebyside.subject import prepare

CNNC, FLOAT = "cnnc", "cnnc float32"
PEERS = ("onnxruntime", "openvino")
ENGINES = (CNNC, *PEERS)

Section = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Named:
    """A worker under another name: two of one engine take turns."""

    worker: BenchWorker
    engine: str

    def times(self, seconds: float) -> list[float]:
        """See ``Timed``."""
        return self.worker.times(seconds)


def measure(
    quantized: Path, exact: Path | None, engines: Sequence[str], threads: int, pace: Pace, cache: Path
) -> dict[str, Any]:
    """Seconds of the rounds by engine, in turns; and why an engine has none.

    Args:
        quantized: the QDQ file.
        exact: the float model that it was made from, for ``FLOAT``.
        cache: folder for compiled models.
    """
    wanted = [(engine, engine, quantized) for engine in engines]
    if exact is not None:
        wanted.append((FLOAT, CNNC, exact))
    failed = {} if exact is not None else {FLOAT: "there is no float model of that name"}
    with ExitStack() as stack:
        workers: list[_Named] = []
        for name, engine, model in wanted:
            try:
                worker = prepare(model, 1, cache).worker(engine, threads)
            except CnncError as error:
                failed[name] = str(error)
                continue
            stack.callback(worker.close)
            workers.append(_Named(worker, name))
        rounds = run_rounds(workers, pace, cores_are_free=free_cores_check(threads))
        return {
            "medians": {worker.engine: rounds.medians(worker.engine) for worker in workers},
            "versions": {worker.engine: worker.worker.version for worker in workers},
            "failed": failed,
            "is_free": rounds.is_free,
            "peak_flops": MachinePeak().flops(),
        }


def table(sections: Mapping[str, Section], threads: int) -> str:
    """Markdown of all models at one number of threads, with the geometric means.

    Args:
        sections: by model.
    """
    head = [
        "model",
        "onnxruntime ms",
        "OpenVINO ms",
        "cnnc ms",
        "faster peer / cnnc",
        "cnnc float32 ms",
        "float32 / int8",
    ]
    rows, ratios, gains = [head, ["---"] * len(head)], [], []
    for name, section in sections.items():
        medians = section["medians"]
        peer = min((medians[engine] for engine in PEERS if engine in medians), key=statistics.median, default=None)
        ratio, gain = _ratio(peer, medians.get(CNNC)), _ratio(medians.get(FLOAT), medians.get(CNNC))
        ratios += [] if ratio is None else [ratio[0]]
        gains += [] if gain is None else [gain[0]]
        times = [_milliseconds(medians.get(engine)) for engine in (*PEERS, CNNC, FLOAT)]
        busy = "" if section["is_free"] else " (busy)"
        rows.append([name + busy, *times[:3], _text(ratio), times[3], _text(gain)])
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    threads_text = f"{threads} thread{'s' * (threads > 1)}"
    return "\n".join(
        [
            f"{threads_text[0].upper()}{threads_text[1:]}:",
            "",
            *lines,
            "",
            f"Faster peer / cnnc: {_summary(ratios)}. float32 / int8: {_summary(gains)}.",
        ]
    )


def _ratio(above: Sequence[float] | None, below: Sequence[float] | None) -> tuple[float, float, float] | None:
    """(ratio of medians, lowest, highest ratio of a round)."""
    if above is None or below is None:
        return None
    rounds = [first / second for first, second in zip(above, below, strict=True)]
    return statistics.median(above) / statistics.median(below), min(rounds), max(rounds)


def _text(ratio: tuple[float, float, float] | None) -> str:
    return "" if ratio is None else f"**{ratio[0]:.2f}** ({ratio[1]:.2f} .. {ratio[2]:.2f})"


def _milliseconds(medians: Sequence[float] | None) -> str:
    if medians is None:
        return ""
    value = statistics.median(medians) * 1e3
    return f"{value:.{max(0, 2 - math.floor(math.log10(value)))}f}"


def _summary(ratios: Sequence[float]) -> str:
    if not ratios:
        return "nothing was measured"
    mean = math.exp(statistics.fmean(map(math.log, ratios)))
    return f"geometric mean {mean:.2f} over {len(ratios)}, lowest {min(ratios):.2f}"
