"""``cnnc bench``: how fast the model runs, against other engines and against the machine's peak."""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cnnc.cli.console import counting, note, print_json, print_table
from cnnc.cli.engines import PEERS
from cnnc.cli.failures import Evidence
from cnnc.cli.input_options import input_options
from cnnc.cli.model_options import (
    LEVEL,
    PRECISION,
    SHAPES,
    STRASSEN,
    TARGET,
    WINOGRAD,
    CompileRequest,
    compile_model,
    compiles,
)
from cnnc.cli.outputs import check_writable, write_text
from cnnc.errors import OptionError

if TYPE_CHECKING:
    from cnnc.cli.images import ImageSettings
    from cnnc.cli.interleaved import Pace

_HELP = """Measure MODEL in cnnc and other engines; a .cnnc file alone.

Each engine runs in a process of its own; the engines take turns in short slices, so that a slow phase of the machine
hits all of them. Shown are the median over the rounds, the fastest and slowest round, and the ratio to cnnc: above 1
means that cnnc is faster. With several threads, rounds in which the machine does not give each a core are repeated.

An engine may live in another Python environment: name its interpreter by PY_ORT, PY_ORT_GPU, PY_OV, PY_NCNN or
PY_MNN.

\b
  cnnc bench model.onnx --against onnxruntime,openvino --threads 1,2 --json out.json
  PY_NCNN=../peers/bin/python cnnc bench model.onnx --against ncnn
  cnnc bench model.onnx --shape input=8,3,224,224
  cnnc bench model.onnx --target cuda --against onnxruntime-gpu
  cnnc bench model.onnx --profile                     time, GFLOP/s and share of the peak of every layer
"""


@dataclass(frozen=True, slots=True)
class EngineResult:
    """One engine at one number of threads; times are the medians of the rounds, in seconds."""

    engine: str
    version: str
    threads: int
    load_seconds: float
    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)

    def ratio(self, base: EngineResult) -> tuple[float, float, float]:
        """(ratio of medians, lowest, highest ratio of a round) of this engine's time to ``base``'s."""
        ratios = [mine / theirs for mine, theirs in zip(self.rounds, base.rounds, strict=True)]
        return self.median / base.median, min(ratios), max(ratios)


@click.command("bench", help=_HELP, short_help="Measure against other engines, or layer by layer.")
@input_options
@click.option("--against", default="", metavar="ENGINE,...", help=f"Other engines: {', '.join(PEERS)}.")
@click.option("--threads", default="1", show_default=True, metavar="N,...", help="Most threads, one or several.")
@click.option("--rounds", type=click.IntRange(min=1), default=15, show_default=True, help="Turns of each engine.")
@click.option(
    "--slice", "seconds", type=click.FloatRange(0.001, 60), default=0.15, show_default=True, help="Seconds of a turn."
)
@click.option("--batch", type=click.IntRange(min=1), default=1, show_default=True, help="Open batch sizes of inputs.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the random inputs.")
@click.option("--profile", is_flag=True, help="Also show each layer's time and rate.")
@click.option("--json", "json_file", type=click.Path(), help="Write the numbers to this file; - prints them instead.")
@compiles(LEVEL, WINOGRAD, STRASSEN, PRECISION, TARGET, SHAPES)
@click.pass_obj
def command(
    evidence: Evidence,
    request: CompileRequest,
    inputs: tuple[str, ...],
    images: ImageSettings,
    against: str,
    threads: str,
    rounds: int,
    seconds: float,
    batch: int,
    seed: int,
    profile: bool,
    json_file: str | None,
) -> None:
    """See ``_HELP``."""
    import numpy as np

    from cnnc.cli.engines import find_engine
    from cnnc.cli.inputs import fill_randomly, read_feeds
    from cnnc.cli.interleaved import Pace
    from cnnc.cli.peer_models import model_for

    model = request.source
    peers = [find_engine(name.strip()) for name in against.split(",") if name.strip()]
    if peers:
        model.check_onnx()
    if request.target.partition(":")[0] == "cuda" or any(peer.on_gpu for peer in peers):
        _check_gpu()
    counts = _thread_counts(threads)
    if json_file not in (None, "-"):
        check_writable(Path(json_file), "--json")
    compiled = compile_model(request, evidence)
    ports = compiled.lowered.program.inputs
    feeds = fill_randomly(read_feeds(inputs, ports, images), ports, seed, batch=batch)
    results: list[EngineResult] = []
    notes: list[str] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cnnc-bench-")))
        onnx = stack.enter_context(model.onnx_file()) if peers else folder
        artifact, arrays = folder / "model.cnnc", folder / "feeds.npz"
        compiled.save(artifact, portable=False)
        np.savez(arrays, **feeds)  # type: ignore[arg-type]
        models = {"cnnc": artifact, **{peer.name: model_for(peer, onnx, feeds, folder) for peer in peers}}
        outputs = [port.name for port in compiled.lowered.program.outputs]
        for count in counts:
            measured, remark = _measure(models, arrays, outputs, count, Pace(rounds, seconds))
            results += measured
            notes += remark
    for text in notes:
        note(f"note: {text}")
    report: dict[str, Any] = {
        "model": model.name,
        "level": request.level,
        "seed": None if inputs else seed,
        "inputs": {name: list(array.shape) for name, array in feeds.items()},
        "results": [_as_json(result, results) for result in results],
        "notes": notes,
    }
    if profile:
        from cnnc.cli.layer_profile import profile_layers

        report["profile"] = profile_layers(compiled, feeds, counts[0])
    if json_file == "-":
        print_json(report)
        return
    if json_file is not None:
        write_text(Path(json_file), json.dumps(report, indent=2, allow_nan=False) + "\n")
    _show(report)


def _check_gpu() -> None:
    """Refuse to measure a GPU that is not there, before anything is compiled.

    Raises:
        OptionError: why no GPU can be opened.
    """
    from cnnc.runtime.cuda.driver import open_device

    open_device()


def _thread_counts(text: str) -> list[int]:
    from cnnc.runtime.cpu_limits import available_threads

    try:
        counts = [int(part) for part in text.split(",")]
    except ValueError as error:
        raise OptionError(f"cannot read {text!r}", where="--threads", hint="write 1 or 1,2") from error
    most = available_threads()
    if any(count < 1 or count > most for count in counts):
        raise OptionError(
            f"{text!r} is not between 1 and {most}, the CPUs of this process", where="--threads", hint="write 1 or 1,2"
        )
    return counts


def _measure(
    models: dict[str, Path], feeds: Path, outputs: Sequence[str], threads: int, pace: Pace
) -> tuple[list[EngineResult], list[str]]:
    """All engines at one number of threads, in turns; and what to say about the measurement."""
    from cnnc.cli.bench_worker import BenchWorker
    from cnnc.cli.interleaved import run_rounds
    from cnnc.tuning.machine_peak import free_cores_check

    with ExitStack() as stack, counting(f"measuring, {threads} thread{'s' * (threads > 1)}") as count:
        workers: list[BenchWorker] = []
        for name, path in models.items():
            worker = BenchWorker(name, path, feeds, outputs, threads)
            stack.callback(worker.close)
            workers.append(worker)
        rounds = run_rounds(workers, pace, cores_are_free=free_cores_check(threads), progress=count)
        results = [
            EngineResult(
                worker.engine, worker.version, threads, worker.start.seconds, tuple(rounds.medians(worker.engine))
            )
            for worker in workers
        ]
    notes = []
    if not rounds.is_free:
        notes.append(
            f"{threads} threads of pure multiply-adds do not run {threads} times as fast as one just now: the host is "
            f"busy, so timings with {threads} threads say little"
        )
    elif rounds.dropped:
        notes.append(f"{rounds.dropped} rounds with {threads} threads were repeated: the host was busy")
    return results, notes


def _as_json(result: EngineResult, results: Sequence[EngineResult]) -> dict[str, Any]:
    [base] = [other for other in results if other.engine == "cnnc" and other.threads == result.threads]
    ratio, lowest, highest = result.ratio(base)
    return {
        "engine": result.engine,
        "version": result.version,
        "threads": result.threads,
        "load_seconds": result.load_seconds,
        "median_ms": result.median * 1e3,
        "min_ms": min(result.rounds) * 1e3,
        "max_ms": max(result.rounds) * 1e3,
        "ratio": ratio,
        "ratio_min": lowest,
        "ratio_max": highest,
        "rounds_ms": [value * 1e3 for value in result.rounds],
    }


def _show(report: dict[str, Any]) -> None:
    rows = [
        (
            f"{row['engine']} {row['version']}",
            row["threads"],
            f"{row['median_ms']:.3f}",
            f"{row['min_ms']:.3f} .. {row['max_ms']:.3f}",
            f"{row['ratio']:.2f}",
            f"{row['ratio_min']:.2f} .. {row['ratio_max']:.2f}",
        )
        for row in report["results"]
    ]
    shapes = ", ".join(f"{name} {shape}" for name, shape in report["inputs"].items())
    columns = ["engine", "threads>", "median ms>", "min .. max ms>", "time / cnnc>", "min .. max>"]
    print_table(columns, rows, title=f"{report['model']}, -O{report['level']}, {shapes}")
    if "profile" in report:
        from cnnc.cli.layer_profile import show_profile

        show_profile(report["profile"])
