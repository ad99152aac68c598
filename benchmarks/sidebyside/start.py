"""What happens before the second run: cold start, peak memory, compile time. Each sample is a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cnnc.errors import OptionError
from sidebyside.subject import Subject


def measure_starts(subject: Subject, engines: Sequence[str], threads: int, count: int) -> dict[str, Any]:
    """Seconds from after ``import numpy`` to the first output, and the largest resident set after a few runs.

    Each engine is started once untimed, so that its files and its compiled kernels are in their caches; then all take
    turns.
    """
    samples: dict[str, list[dict[str, Any]]] = {}
    failed: dict[str, str] = {}
    for turn in range(count + 1):
        for engine in engines:
            if engine in failed:
                continue
            try:
                sample = _start(subject, engine, threads)
            except OptionError as error:
                failed[engine] = error.what
                continue
            if turn:
                samples.setdefault(engine, []).append(sample)
    return {"engines": samples, "failed": failed}


def _start(subject: Subject, engine: str, threads: int) -> dict[str, Any]:
    worker = subject.worker(engine, threads)
    try:
        worker.times(0.0)
        start = worker.start
        return {
            "seconds": start.seconds,
            "import": start.import_seconds,
            "load": start.load_seconds,
            "first": start.first_seconds,
            "peak_bytes": worker.peak_bytes(),
        }
    finally:
        worker.close()


def measure_compiling(subject: Subject) -> dict[str, Any]:
    """Seconds of ``cnnc compile`` with an empty kernel cache and with a full one, and the sizes of the files."""
    with tempfile.TemporaryDirectory(prefix="cnnc-compile-") as name:
        folder = Path(name)
        made, kernels = folder / "model.cnnc", folder / "kernels"
        command = [sys.executable, "-m", "cnnc", "compile", str(subject.model.resolve()), "-o", str(made)]
        paths = os.pathsep.join(entry for entry in sys.path if entry)
        environment = {**os.environ, "PYTHONPATH": paths, "CNNC_CACHE_DIR": str(kernels)}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed cnnc has its bytecode
        seconds = []
        for _ in range(3):
            begin = time.perf_counter()
            subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
            seconds.append(time.perf_counter() - begin)
        return {
            "cold_seconds": seconds[0],
            "warm_seconds": min(seconds[1:]),
            "onnx_bytes": subject.model.stat().st_size,
            "cnnc_bytes": made.stat().st_size,
        }
