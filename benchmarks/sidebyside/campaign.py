"""The measuring half of ``benchmarks/performance.py``: what there is to measure of each model."""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cnnc
from cnnc.cli.interleaved import Pace
from cnnc.errors import CnncError
from cnnc.runtime.cpu_limits import available_threads
from cnnc.runtime.jit.target import cpu_model, host_target
from sidebyside.layers import measure_layers, measure_limits
from sidebyside.speed import measure_latency, measure_sessions
from sidebyside.start import measure_compiling, measure_starts
from sidebyside.store import MACHINE, Store
from sidebyside.subject import Subject, prepare

LOAD_MODELS = ("resnet50", "mobilenet_v2", "vgg16", "googlenet")
"""Measured with batches and with two sessions too."""
LOAD_ENGINES = ("cnnc", "onnxruntime", "openvino")
"""The others take one image at a time, or hold Python's lock while they run."""
BATCH = 8
STARTS = 5

Measurement = Callable[[], dict[str, Any]]


def sections(
    model: str, arguments: argparse.Namespace, subject: Callable[[int], Subject]
) -> list[tuple[str, list[str], Measurement]]:
    """What there is to measure of a model: name of the section, engines, and what measures it."""
    engines: list[str] = arguments.engines
    loaded = [engine for engine in LOAD_ENGINES if engine in engines]
    pace = Pace(arguments.rounds, arguments.slice, arguments.budget)
    most = max(arguments.threads)
    found: list[tuple[str, list[str], Measurement]] = []
    for threads in arguments.threads:
        found.append(
            (f"latency/{threads}", engines, lambda threads=threads: measure_latency(subject(1), engines, threads, pace))
        )
        if model in LOAD_MODELS:
            found.append(
                (
                    f"batch/{threads}",
                    loaded,
                    lambda threads=threads: measure_latency(subject(BATCH), loaded, threads, pace),
                )
            )
    if model in LOAD_MODELS:
        found.append((f"sessions/{most}", loaded, lambda: measure_sessions(subject(1), loaded, most, pace)))
    found.append((f"start/{most}", engines, lambda: measure_starts(subject(1), engines, most, STARTS)))
    found.append(("compile", [], lambda: measure_compiling(subject(1))))
    found.append(("layers", [], lambda: measure_layers(subject(1))))
    return [item for item in found if item[0].partition("/")[0] in arguments.only]


def measure(store: Store, arguments: argparse.Namespace) -> None:
    """Measure what the store lacks, model by model."""
    store.write(MACHINE, "machine", _machine(store.read(MACHINE).get("machine")))
    for model in arguments.models:
        path = arguments.models_folder / f"{model}.onnx"
        if not path.exists():
            store.write(model, "missing", f"there is no {path.name}")
            print(f"{model}: there is no {path}", flush=True)
            continue
        prepared: dict[int, Subject] = {}

        def subject(batch: int, path: Path = path, prepared: dict[int, Subject] = prepared) -> Subject:
            if batch not in prepared:
                prepared[batch] = prepare(path, batch, arguments.store / "models")
            return prepared[batch]

        for name, engines, run in sections(model, arguments, subject):
            known = store.read(model).get(name)
            if known is not None and set(engines) <= set(known["asked"]) and not arguments.again:
                continue
            begin = time.perf_counter()
            try:
                value = run()
            except CnncError as error:
                print(f"{model} {name}: {error}", flush=True)
                continue
            store.write(model, name, {**value, "asked": engines, "command": arguments.command})
            print(f"{model} {name}: {time.perf_counter() - begin:.0f} s {_line(value)}", flush=True)


def _machine(known: dict[str, Any] | None) -> dict[str, Any]:
    limits = measure_limits()
    if known is not None:  # a busy machine measures less than its limits
        old = known["limits"]
        limits["peak_flops"] = max(limits["peak_flops"], old["peak_flops"])
        rates = limits["bytes_per_second"]
        limits["bytes_per_second"] = {level: max(rate, old["bytes_per_second"][level]) for level, rate in rates.items()}
    return {
        "cpu": cpu_model(),
        "target": host_target().cpu,
        "cores": available_threads(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "cnnc": cnnc.__version__,
        "date": time.strftime("%Y-%m-%d"),
        "limits": limits,
    }


def _line(value: dict[str, Any]) -> str:
    """The medians of a section, for whoever watches."""
    engines = value.get("engines", {})
    times = [
        f"{name} {statistics.median(facts['medians']) * 1e3:.3f} ms"
        for name, facts in engines.items()
        if isinstance(facts, dict) and "medians" in facts
    ]
    return ", ".join([*times, *(f"{name}: {reason}" for name, reason in value.get("failed", {}).items())])
