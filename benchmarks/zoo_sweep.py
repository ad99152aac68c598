"""Numeric sweep: every model of a folder at -O0 and -O2 against float64, judged by the project's limits.

    python benchmarks/zoo_sweep.py --shared ../shared --out docs/zoo.md            everything, then writes the table
    python benchmarks/zoo_sweep.py --shared ../shared --only resnet18 lenet5       some models, prints only

For each model and batch size: a float64 evaluation of the same graph by the reference interpreter (cached), onnxruntime
with its graph optimisations disabled, and cnnc at both levels. The error of a float output is its largest absolute
difference from float64 over the standard deviation of the float64 output (outputs of one element or of equal elements:
relative to max(1, |value|)). Limits: -O0 max(1e-4, 2 x onnxruntime's error), -O2 max(1e-3, 4 x onnxruntime's). Integer
outputs must equal onnxruntime's but where the float64 margin is below the limit.

Models with integer arithmetic inside are judged against onnxruntime with its graph optimisations enabled, which then
fuses what stands between dequantize and quantize into integer ops, as cnnc does at every level (disabled, it rounds
floats in between): within one quantisation step on 99.9 % of the elements, and the same top-1. A step is the scale of
the DequantizeLinear that an output ends in. The table still shows both sides' error against float64: one value that
rounds the other way is enough for a deep network to move many outputs by a few steps, and it does so for both.

Each model runs in a process of its own, so one that fails or needs much memory does not take the sweep with it.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import importlib.util
import json
import platform
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

BATCHES = (1, 3)
LEVELS = (0, 2)
FLOORS = {0: (1e-4, 2.0), 2: (1e-3, 4.0)}
"""Level -> (least limit, multiple of onnxruntime's own error)."""
PIXEL_INPUTS = ("ch_PP-OCRv3_det_infer", "ch_ppocr_mobile_v2.0_cls_infer")
"""Trained on images: noise around 0 leaves their outputs all but constant, so they are fed values in 0..255."""
QUANTIZED_OPS = {"QuantizeLinear", "QLinearConv", "ConvInteger", "MatMulInteger", "DynamicQuantizeLinear"}
MOVES = {"reshape", "flatten", "squeeze", "unsqueeze", "transpose", "slice", "identity"}
"""What may stand between an output and its DequantizeLinear."""


def load_materializer(shared: Path) -> Any:
    """The module that gives the light graphs their weights."""
    spec = importlib.util.spec_from_file_location("materialize", shared / "zoo" / "materialize.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def find_models(shared: Path) -> dict[str, Path]:
    """Name -> file of all graphs: the light ones and the trained ones."""
    models = {path.stem: path for path in sorted((shared / "zoo" / "light").glob("*.onnx"))}
    models |= {path.stem: path for path in sorted((shared / "models" / "real").rglob("*.onnx"))}
    return models


def prepare(path: Path, shared: Path, cache: Path) -> Path:
    """A runnable file of the model: light graphs are given their weights once."""
    if path.with_suffix(".json").exists():
        import onnx

        full = cache / path.name
        if not full.exists():
            onnx.save(load_materializer(shared).materialize(str(path)), full)
        return full
    return path


def feeds_for(session: Any, batch: int, materializer: Any, sizes: tuple[int, int] | None) -> dict[str, np.ndarray]:
    """An array for every input: images as blocky noise, symbolic batch as ``batch``, other sizes as ``sizes``."""
    feeds = {}
    for index, port in enumerate(session.get_inputs()):
        shape = []
        for axis, dim in enumerate(port.shape):
            if isinstance(dim, int) and dim > 0:
                shape.append(dim)
            elif axis == 0:
                shape.append(batch)
            else:
                default = (96, 128) if len(port.shape) == 4 else (64, 64)
                shape.append((sizes or default)[axis % 2])
        dtype = {"tensor(float)": np.float32, "tensor(uint8)": np.uint8}.get(port.type)
        if dtype is np.uint8:
            feeds[port.name] = np.random.default_rng(index).integers(0, 255, shape).astype(np.uint8)
        elif dtype is np.float32:
            feeds[port.name] = materializer.sample_input(shape, index) if len(shape) > 1 else np.ones(shape, np.float32)
        else:
            feeds[port.name] = np.ones(shape, {"tensor(int64)": np.int64, "tensor(double)": np.float64}[port.type])
    return feeds


def reference(path: Path, feeds: dict[str, np.ndarray], cache: Path) -> dict[str, np.ndarray]:
    """Float64 results of the graph, computed once per model content and input."""
    import cnnc
    from cnnc import frontends, interp

    digest = hashlib.sha256(path.read_bytes())
    for name in sorted(feeds):
        digest.update(name.encode() + feeds[name].tobytes())
    file = cache / f"{path.stem}-{digest.hexdigest()[:16]}-{cnnc.__version__}.npz"
    if file.exists():
        with np.load(file) as stored:
            return {name: stored[name] for name in stored.files}
    results = interp.run(frontends.import_onnx(str(path)), feeds, float64=True)
    temporary = file.with_suffix(".tmp.npz")
    np.savez(temporary, **results)
    temporary.replace(file)
    return results


def error_of(got: np.ndarray, truth: np.ndarray) -> float:
    """Largest difference over the truth's standard deviation."""
    got, truth = np.asarray(got, np.float64), np.asarray(truth, np.float64)
    if got.shape != truth.shape:
        return float("inf")
    if not truth.size:
        return 0.0
    same = (got == truth) | (np.isnan(got) & np.isnan(truth))
    difference = np.where(same, 0.0, np.abs(got - truth))
    if np.isnan(difference).any():
        return float("inf")
    spread = float(np.std(truth[np.isfinite(truth)])) if np.isfinite(truth).any() else 0.0
    if truth.size == 1 or spread < 1e-12:
        return float(np.max(difference / np.maximum(1.0, np.abs(truth))))
    return float(np.max(difference)) / spread


def quantization_steps(path: Path) -> dict[str, float] | None:
    """Step of each output that is an integer or a dequantized one with a single scale; None for a model of floats."""
    import onnx

    from cnnc import frontends, ir

    nodes = onnx.load(path, load_external_data=False).graph.node
    if not any(node.op_type in QUANTIZED_OPS for node in nodes):
        return None
    graph = frontends.import_onnx(str(path))
    steps = {}
    for name, value in zip(graph.output_names, graph.outputs, strict=True):
        source = value
        while source.producer is not None and source.producer.op in MOVES:
            source = source.producer.input(0)
        producer = source.producer
        scale = None
        if producer is not None and producer.op == "dequantize_linear":
            scale = ir.known_array(producer.input(1))
        if source.type.dtype.is_integer:
            steps[name] = 1.0
        elif scale is not None and scale.size == 1:
            steps[name] = float(scale.reshape(-1)[0])
    return steps


def judge(
    level: int,
    got: dict[str, np.ndarray],
    ort: dict[str, np.ndarray],
    truth: dict[str, np.ndarray],
    steps: dict[str, float] | None,
) -> tuple[float, float, str]:
    """(error, onnxruntime's error, "" or what is wrong) of one run, the worst over its outputs."""
    floor, factor = FLOORS[level]
    worst, worst_ort, problem = 0.0, 0.0, ""
    for name, exact in truth.items():
        if steps is not None and name in steps:
            problem = problem or quantized_problem(name, got[name], ort[name], steps[name])
            worst, worst_ort = max(worst, error_of(got[name], exact)), max(worst_ort, error_of(ort[name], exact))
            continue
        if exact.dtype.kind in "iub":
            share = float(np.mean(got[name] != exact)) if got[name].shape == exact.shape else 1.0
            allowed = max(1e-3, 2 * float(np.mean(ort[name] != exact)))
            if share > allowed:
                problem = problem or f"{name}: {share:.2%} of integers differ"
            continue
        mine, theirs = error_of(got[name], exact), error_of(ort[name], exact)
        worst, worst_ort = max(worst, mine), max(worst_ort, theirs)
        if not mine <= max(floor, factor * theirs):
            problem = problem or f"{name}: error {mine:.2e} over {max(floor, factor * theirs):.2e}"
    return worst, worst_ort, problem


def quantized_problem(name: str, got: np.ndarray, ort: np.ndarray, step: float) -> str:
    """What is wrong with an output of a quantized model, compared with onnxruntime's."""
    if got.shape != ort.shape:
        return f"{name}: shape {got.shape}, not {ort.shape}"
    share = float(np.mean(np.abs(got.astype(np.float64) - ort) > step * 1.001))
    if share > 1e-3:
        return f"{name}: {share:.2%} of elements differ by more than one step"
    if ort.ndim == 2 and (got.argmax(1) != ort.argmax(1)).any():
        return f"{name}: another top-1"
    return ""


def run_model(name: str, path: Path, shared: Path, cache: Path) -> list[dict[str, Any]]:
    """All runs of one model, in this process."""
    import onnxruntime

    import cnnc

    full = prepare(path, shared, cache)
    materializer = load_materializer(shared)
    options = onnxruntime.SessionOptions()
    levels = onnxruntime.GraphOptimizationLevel
    steps = quantization_steps(full)
    options.graph_optimization_level = levels.ORT_DISABLE_ALL if steps is None else levels.ORT_ENABLE_ALL
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(full), options, providers=["CPUExecutionProvider"])
    outputs = [port.name for port in session.get_outputs()]
    first = session.get_inputs()[0].shape
    batches = BATCHES if not isinstance(first[0], int) else (int(first[0]),)
    spatial = any(not isinstance(dim, int) for dim in first[2:])
    sizes: list[tuple[int, int] | None] = [None, (64, 96), (160, 128), (224, 64)] if spatial else [None]
    compiled = {level: cnnc.compile(str(full), level=level) for level in LEVELS}
    rows = []
    for batch in batches:
        for size in sizes if batch == batches[0] else sizes[:1]:
            feeds = feeds_for(session, batch, materializer, size)
            if name in PIXEL_INPUTS:
                feeds = {key: np.clip(array * 64 + 128, 0, 255) for key, array in feeds.items()}
            ort = dict(zip(outputs, session.run(None, feeds), strict=True))
            truth = reference(full, feeds, cache)
            shape = "x".join(map(str, next(iter(feeds.values())).shape))
            for level in LEVELS:
                got = compiled[level].run(feeds)
                error, ort_error, problem = judge(level, got, ort, truth, steps)
                chosen = [decision.chosen for decision in compiled[level].lowered.decisions]
                conversions = sum(kernel.startswith("layout.") for kernel in chosen)
                rows.append(
                    {"model": name, "input": shape, "level": level, "error": error, "ort": ort_error}
                    | {"problem": problem, "host_ops": chosen.count("host"), "conversions": conversions}
                )
    return rows


def write_table(rows: list[dict[str, Any]], out: Path) -> None:
    """The table as a page of the docs."""
    import onnxruntime

    import cnnc
    from cnnc.runtime.jit.target import cpu_model

    bad = [row for row in rows if row["problem"]]
    models = {row["model"] for row in rows}
    lines = [
        "# Numeric sweep over the model zoo",
        "",
        f"{len(models)} models, {len(rows)} runs, {len(rows) - len(bad)} within the limits; "
        f"cnnc {cnnc.__version__}, onnxruntime {onnxruntime.__version__}, "
        f"Python {platform.python_version()}, {cpu_model()}. "
        "Command: `python benchmarks/zoo_sweep.py --shared ../shared --out docs/zoo.md` (float64 results are cached).",
        "",
        "Errors are the largest absolute difference from a float64 evaluation over the output's standard deviation "
        "(integer models are judged by their distance from onnxruntime). The limits stand in the script.",
        "",
        "| model | input | level | cnnc | onnxruntime | host ops | layout conversions | problem |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append(
            f"| {row['model']} | {row['input']} | O{row['level']} | {row['error']:.1e} | {row['ort']:.1e} "
            f"| {row['host_ops']} | {row['conversions']} | {row['problem']} |"
        )
    temporary = out.with_suffix(".tmp")
    temporary.write_text("\n".join(lines) + "\n")
    temporary.replace(out)


def results_of(arguments: argparse.Namespace, name: str) -> list[dict[str, Any]]:
    """All runs of one model: those that ``--resume`` keeps, else new ones, which it then keeps."""
    if arguments.resume is None:
        return measure(arguments, name)
    kept = arguments.resume / f"{name}.json"
    if kept.exists():
        found: list[dict[str, Any]] = json.loads(kept.read_text())
        return found
    rows = measure(arguments, name)
    temporary = kept.with_suffix(".tmp")
    temporary.write_text(json.dumps(rows))
    temporary.replace(kept)
    return rows


def measure(arguments: argparse.Namespace, name: str) -> list[dict[str, Any]]:
    """All runs of one model, in a process of its own; a row with a problem where that gives no result."""
    command = [sys.executable, __file__, "--shared", str(arguments.shared), "--cache", str(arguments.cache)]
    try:
        done = subprocess.run(
            [*command, "--worker", name], capture_output=True, text=True, timeout=arguments.timeout, check=False
        )
    except subprocess.TimeoutExpired:
        problem = f"no result within {arguments.timeout:.0f} s"
    else:
        if done.returncode == 0:
            rows: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
            return rows
        problem = (done.stderr.strip().splitlines() or ["no message"])[-1][:200]
    row = {"model": name, "input": "", "level": 0, "error": float("nan"), "ort": 0.0, "host_ops": 0, "conversions": 0}
    return [row | {"problem": problem}]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True, help="folder with zoo/ and models/")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "cnnc-sweep")
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    parser.add_argument("--only", nargs="*", help="model names")
    parser.add_argument("--timeout", type=float, default=900, help="seconds for one model")
    parser.add_argument("--jobs", type=int, default=1, help="models at the same time")
    parser.add_argument("--resume", type=Path, help="folder that keeps results: models that have some are not run")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    arguments.cache.mkdir(parents=True, exist_ok=True)
    if arguments.resume is not None:
        arguments.resume.mkdir(parents=True, exist_ok=True)
    models = find_models(arguments.shared)
    if arguments.worker:
        rows = run_model(arguments.worker, models[arguments.worker], arguments.shared, arguments.cache)
        print(json.dumps(rows))
        return 0
    rows: list[dict[str, Any]] = []
    start = time.perf_counter()
    with ThreadPoolExecutor(arguments.jobs) as pool:
        for found in pool.map(functools.partial(results_of, arguments), arguments.only or models):
            rows += found
            for row in found:
                print(
                    f"{row['model']:44} {row['input']:16} O{row['level']} {row['error']:9.2e} ort {row['ort']:8.2e} "
                    f"host {row['host_ops']:3d} layout {row['conversions']:3d} {row['problem']}",
                    flush=True,
                )
    bad = sum(bool(row["problem"]) for row in rows)
    print(f"{len(rows)} runs, {bad} with a problem, {time.perf_counter() - start:.0f} s")
    if arguments.out:
        write_table(rows, arguments.out)
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
