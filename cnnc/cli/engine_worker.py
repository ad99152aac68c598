"""One engine in a process of its own. Run as a file by the interpreter that has the engine.

Nothing of cnnc is imported, unless cnnc is the engine: the interpreter of another one may lack what cnnc needs, and
what the worker imports itself would hide in the engine's start. Requests and answers are JSON, a line each, on standard
input and output:

    {"engine", "model", "feeds", "outputs", "threads", "sessions"}    the first: what to load
        -> {"import_seconds", "load_seconds", "first_seconds", "version"}
    {"seconds"}      a slice -> {"times"}, the seconds of each run in it
    {"at_once"}      all sessions run for so many seconds -> {"times", "seconds"}: a list for each session, all together
    {"save"}         one run, its outputs as an .npz file -> {}
    {"memory"}       -> {"peak_bytes"}, the largest resident set so far; null where the system does not tell

A failure is answered {"error"}. NumPy and the inputs are there before any time is taken.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

MAX_RUNS = 2000
"""Most runs in one slice."""

WARM_SECONDS = 1.0
"""Runs that take longer fill the caches within a small part of themselves: none goes before them untimed."""

Feeds = Mapping[str, Any]
Runner = Callable[[], Sequence[Any]]


def load_cnnc(path: str, feeds: Feeds, outputs: Sequence[str], threads: int) -> Runner:
    """From a ``.cnnc`` file."""
    from cnnc.runtime import InferenceSession

    session = InferenceSession(path, threads=threads)
    names, arrays = list(outputs), dict(feeds)
    return lambda: session.run(names, arrays)


def load_onnxruntime(path: str, feeds: Feeds, outputs: Sequence[str], threads: int, *, optimise: bool = True) -> Runner:
    """From ONNX, with all graph optimisations or none."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    if not optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    known = {port.name for port in session.get_inputs()}
    arrays = {name: array for name, array in feeds.items() if name in known}
    names = list(outputs)
    return lambda: list(session.run(names, arrays))


def load_onnxruntime_gpu(path: str, feeds: Feeds, outputs: Sequence[str], threads: int) -> Runner:
    """From ONNX, on the first GPU; inputs come from the host and outputs go there, as in cnnc."""
    import onnxruntime

    wanted = "CUDAExecutionProvider"
    if wanted not in onnxruntime.get_available_providers():
        raise RuntimeError(f"this onnxruntime has no {wanted}: it is the package onnxruntime-gpu that has it")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    # TF32 would be other numbers than cnnc's at precision f32.
    session = onnxruntime.InferenceSession(path, options, providers=[(wanted, {"use_tf32": 0})])
    if session.get_providers()[0] != wanted:
        raise RuntimeError(f"{wanted} does not start here")
    arrays, names = dict(feeds), list(outputs)
    return lambda: list(session.run(names, arrays))


def load_reference(path: str, feeds: Feeds, outputs: Sequence[str], threads: int) -> Runner:
    """onnxruntime without graph optimisations: what results are compared with."""
    return load_onnxruntime(path, feeds, outputs, threads, optimise=False)


def load_openvino(path: str, feeds: Feeds, outputs: Sequence[str], threads: int) -> Runner:
    """From ONNX, with fixed sizes, as cnnc plans for them too; open sizes would cost it speed."""
    import openvino

    model = openvino.Core().read_model(path)
    model.reshape({name: list(array.shape) for name, array in feeds.items()})
    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()
    arrays, names = dict(feeds), list(outputs)

    def run() -> list[Any]:
        results = request.infer(arrays)
        return [np.asarray(results[name]) for name in names]

    return run


def load_ncnn(path: str, feeds: Feeds, outputs: Sequence[str], threads: int) -> Runner:
    """From ``path``.param and ``path``.bin; inputs lose their batch axis, which ncnn does not have."""
    import ncnn

    net = ncnn.Net()
    options = net.opt
    options.num_threads = threads
    options.use_fp16_packed = options.use_fp16_storage = options.use_fp16_arithmetic = False
    options.use_bf16_storage = False
    if net.load_param(f"{path}.param") or net.load_model(f"{path}.bin"):
        raise RuntimeError("the converted model does not load")
    images = [array[0] for array in feeds.values()]

    def run() -> list[Any]:
        extractor = net.create_extractor()
        for index, image in enumerate(images):
            extractor.input(f"in{index}", ncnn.Mat(image))
        return [np.array(extractor.extract(f"out{index}")[1])[None] for index in range(len(outputs))]

    return run


def load_mnn(path: str, feeds: Feeds, outputs: Sequence[str], threads: int) -> Runner:
    """From an ``.mnn`` file; inputs are converted to its own layout beforehand."""
    import MNN.expr
    import MNN.nn

    settings = {"backend": "CPU", "numThread": threads, "precision": "high"}
    manager = MNN.nn.create_runtime_manager((settings,))
    net = MNN.nn.load_module_from_file(path, list(feeds), list(outputs), runtime_manager=manager)
    blocked, plain = MNN.expr.NC4HW4, MNN.expr.NCHW
    images = [
        MNN.expr.convert(MNN.expr.const(array.ravel().tolist(), list(array.shape), plain), blocked)
        for array in feeds.values()
    ]
    return lambda: [np.array(MNN.expr.convert(result, plain).read()) for result in net.forward(images)]


LOADERS: Mapping[str, tuple[str, str, Callable[[str, Feeds, Sequence[str], int], Runner]]] = {
    "cnnc": ("cnnc.runtime", "cnnc", load_cnnc),
    "onnxruntime": ("onnxruntime", "onnxruntime", load_onnxruntime),
    "onnxruntime-gpu": ("onnxruntime", "onnxruntime-gpu", load_onnxruntime_gpu),
    "reference": ("onnxruntime", "onnxruntime", load_reference),
    "openvino": ("openvino", "openvino", load_openvino),
    "ncnn": ("ncnn", "ncnn", load_ncnn),
    "mnn": ("MNN.nn", "MNN", load_mnn),
}
"""Engine -> module whose import belongs to its start, distribution that has its version, loader."""


def slice_times(run: Callable[[], object], seconds: float) -> list[float]:
    """Seconds of each run until ``seconds`` have passed; at least one.

    One that is not timed goes first, because other engines have used the caches since the last slice.
    """
    times: list[float] = []
    begin = time.perf_counter()
    run()
    first = time.perf_counter() - begin
    if first >= WARM_SECONDS:
        return [first]
    end = time.perf_counter() + seconds
    while len(times) < MAX_RUNS:
        start = time.perf_counter()
        run()
        stop = time.perf_counter()
        times.append(stop - start)
        if stop >= end:
            break
    return times


def times_at_once(runs: Sequence[Callable[[], object]], seconds: float) -> tuple[list[list[float]], float]:
    """Seconds of each run of each of ``runs``, all repeated side by side for ``seconds``; and how long that took."""
    times: list[list[float]] = [[] for _ in runs]
    gate = threading.Barrier(len(runs) + 1)

    def repeat(index: int) -> None:
        gate.wait()
        end = time.perf_counter() + seconds
        while True:
            start = time.perf_counter()
            runs[index]()
            stop = time.perf_counter()
            times[index].append(stop - start)
            if stop >= end:
                return

    threads = [threading.Thread(target=repeat, args=(index,)) for index in range(len(runs))]
    for thread in threads:
        thread.start()
    gate.wait()
    begin = time.perf_counter()
    for thread in threads:
        thread.join()
    return times, time.perf_counter() - begin


def peak_bytes() -> int | None:
    """The largest resident set of this process; unlike getrusage it says nothing of the process that started it."""
    status = Path("/proc/self/status")
    found = re.search(r"^VmHWM:\s+(\d+) kB", status.read_text(), re.M) if status.exists() else None
    return None if found is None else int(found.group(1)) * 1024


def _version(module: str, distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return str(getattr(sys.modules[module.partition(".")[0]], "__version__", ""))


def _load(request: dict[str, Any]) -> tuple[list[Runner], dict[str, Any]]:
    with np.load(request["feeds"], allow_pickle=False) as archive:
        feeds = {name: archive[name] for name in archive.files}
    module, distribution, load = LOADERS[request["engine"]]
    begin = time.perf_counter()
    importlib.import_module(module)
    imported = time.perf_counter()
    settings = (request["model"], feeds, request["outputs"], request["threads"])
    runs = [load(*settings)]
    loaded = time.perf_counter()
    runs[0]()
    first = time.perf_counter()
    for _ in range(1, request["sessions"]):
        runs.append(load(*settings))
        runs[-1]()
    return runs, {
        "import_seconds": imported - begin,
        "load_seconds": loaded - imported,
        "first_seconds": first - loaded,
        "version": _version(module, distribution),
    }


def _answer(request: dict[str, Any], runs: Sequence[Runner]) -> dict[str, Any]:
    if "seconds" in request:
        return {"times": slice_times(runs[0], request["seconds"])}
    if "at_once" in request:
        times, seconds = times_at_once(runs, request["at_once"])
        return {"times": times, "seconds": seconds}
    if "memory" in request:
        return {"peak_bytes": peak_bytes()}
    np.savez(request["save"], *(np.asarray(array) for array in runs[0]()))
    return {}


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever else prints must not look like an answer
    runs: list[Runner] = []
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if runs:
                answer = _answer(request, runs)
            else:
                runs, answer = _load(request)
        except Exception as error:  # engines raise classes of their own
            answer = {"error": (f"{type(error).__name__}: {error}".splitlines() or [""])[0][:300]}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
