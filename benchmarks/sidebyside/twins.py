"""Latency of models that were made from others (quantized, pruned): every engine runs the made one, cnnc the other too.

What is measured lies as JSON in a store, so that a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import math
import shlex
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnc.cli.bench_worker import BenchWorker
from cnnc.cli.interleaved import Pace, run_rounds
from cnnc.cli.outputs import write_text
from cnnc.errors import CnncError
from cnnc.tuning.machine_peak import MachinePeak, free_cores_check
from sidebyside.store import Store
from sidebyside.subject import prepare

CNNC = "cnnc"
PEERS = ("onnxruntime", "openvino")
ENGINES = (CNNC, *PEERS)

Section = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Twin:
    """A model and the one that it was made from.

    Attributes:
        name: of the row, and of its file in the store.
        made: the file that all engines run.
        original: None where there is none.
    """

    name: str
    made: Path
    original: Path | None


@dataclass(frozen=True, slots=True)
class Labels:
    """Names of columns: of cnnc with the original model, and of what the made one gains."""

    original: str
    gain: str


@dataclass(frozen=True, slots=True)
class _Named:
    """A worker under another name: two of one engine take turns."""

    worker: BenchWorker
    engine: str

    def times(self, seconds: float) -> list[float]:
        """See ``Timed``."""
        return self.worker.times(seconds)


def measure(
    twin: Twin, labels: Labels, engines: Sequence[str], threads: int, pace: Pace, cache: Path
) -> dict[str, Any]:
    """Seconds of the rounds by engine, in turns; and why an engine has none.

    Args:
        cache: folder for compiled models.
    """
    wanted = [(engine, engine, twin.made) for engine in engines]
    failed = {}
    if twin.original is None:
        failed[labels.original] = "there is no such model"
    else:
        wanted.append((labels.original, CNNC, twin.original))
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


def add_options(parser: argparse.ArgumentParser, store: str) -> None:
    """The options that such benchmarks share."""
    parser.add_argument("--engines", nargs="+", default=list(ENGINES), choices=ENGINES)
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=9, help="turns of each engine")
    parser.add_argument("--slice", type=float, default=0.15, help="seconds of a turn; one run at least")
    parser.add_argument("--budget", type=float, default=float("inf"), help="seconds after which nothing new begins")
    parser.add_argument("--again", action="store_true", help="measure also what the store has")
    parser.add_argument("--store", type=Path, default=Path("build") / store, help="folder of the JSON files")
    parser.add_argument("--out", type=Path, help="write the tables here, instead of printing them")


def run(twins: Sequence[Twin], labels: Labels, arguments: argparse.Namespace, command: str) -> None:
    """Measure what is missing, as far as the budget goes, and show what there is.

    Args:
        arguments: those of ``add_options``.
        command: what the report says it was made by.
    """
    store = Store(arguments.store)
    pace = Pace(arguments.rounds, arguments.slice)
    stop = time.monotonic() + arguments.budget
    missing = list(_missing(store, twins, arguments))
    for done, (twin, threads) in enumerate(missing):
        if time.monotonic() > stop:
            print(f"{len(missing) - done} measurements are left; the same command goes on", file=sys.stderr)
            break
        value = measure(twin, labels, arguments.engines, threads, pace, arguments.store / "models")
        store.write(twin.name, f"latency/{threads}", {**value, "asked": arguments.engines})
        print(f"{twin.name}, {threads} threads {value['failed'] or ''}", file=sys.stderr, flush=True)
    text = _report(store, twins, labels, arguments, command)
    if arguments.out is None:
        print(text)
    else:
        write_text(arguments.out, text)


def _missing(store: Store, twins: Sequence[Twin], arguments: argparse.Namespace) -> Iterator[tuple[Twin, int]]:
    """Models and threads that were not measured with all engines."""
    for twin in twins:
        for threads in arguments.threads:
            known = store.read(twin.name).get(f"latency/{threads}")
            if arguments.again or known is None or not set(arguments.engines) <= set(known["asked"]):
                yield twin, threads


def _report(store: Store, twins: Sequence[Twin], labels: Labels, arguments: argparse.Namespace, command: str) -> str:
    parts = []
    versions: dict[str, str] = {}
    for threads in arguments.threads:
        key = f"latency/{threads}"
        sections = {twin.name: found[key] for twin in twins if key in (found := store.read(twin.name))}
        for section in sections.values():
            versions |= section["versions"]
        if sections:
            parts.append(table(sections, labels, threads))
    options = ["--threads", *map(str, arguments.threads), "--rounds", str(arguments.rounds)]
    listed = ", ".join(f"{engine} {version}" for engine, version in versions.items())
    return "\n\n".join([*parts, f"`{command} {shlex.join(options)}`; {listed}."]) + "\n"


def table(sections: Mapping[str, Section], labels: Labels, threads: int) -> str:
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
        f"{labels.original} ms",
        labels.gain,
    ]
    rows, ratios, gains = [head, ["---"] * len(head)], [], []
    for name, section in sections.items():
        medians = section["medians"]
        peer = min((medians[engine] for engine in PEERS if engine in medians), key=statistics.median, default=None)
        ratio, gain = _ratio(peer, medians.get(CNNC)), _ratio(medians.get(labels.original), medians.get(CNNC))
        ratios += [] if ratio is None else [ratio[0]]
        gains += [] if gain is None else [gain[0]]
        times = [_milliseconds(medians.get(engine)) for engine in (*PEERS, CNNC, labels.original)]
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
            f"Faster peer / cnnc: {_summary(ratios)}. {labels.gain}: {_summary(gains)}.",
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
