"""Numeric sweep: every network of ``cnnc.models`` against float64, judged by the project's limits.

    python benchmarks/model_sweep.py --out docs/models.md       everything, then writes the table
    python benchmarks/model_sweep.py --only resnet18 unet       some networks, prints only
    python benchmarks/model_sweep.py --resume RESULTS ...       takes what the folder has, measures and keeps the rest

For each network at its standard input, with the numbers of ``batch_statistics`` and at batch 1 and 3: a float64
evaluation by the reference interpreter; onnxruntime with its graph optimisations disabled, on the exported model, which
first passes the ONNX checker; and cnnc at -O2. Errors and limits are those of ``zoo_sweep``: the largest absolute
difference from float64 over the standard deviation of the float64 output, at most max(1e-3, 4 x onnxruntime's).

Each network runs in a process of its own, so one that fails or needs much memory does not take the sweep with it.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from batch_statistics import give_statistics
from zoo_sweep import BATCHES, judge

import cnnc
from cnnc import dsl, interp, models
from cnnc.sample_inputs import sample_arrays

LEVEL = 2


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a network: the worst errors over batches and outputs, and "" or what is wrong."""

    name: str
    error: float
    onnxruntime: float
    problem: str


def check_model(model: dsl.Model, batches: tuple[int, ...] = BATCHES, *, seed: int = 1) -> Result:
    """Compare cnnc and onnxruntime with float64 on a model."""
    import onnx
    import onnxruntime

    exported = cnnc.export_onnx(model).SerializeToString()
    onnx.checker.check_model(exported, full_check=True)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(exported, options, providers=["CPUExecutionProvider"])
    outputs = [port.name for port in session.get_outputs()]
    compiled = cnnc.compile(model, level=LEVEL)
    graph = model.graph()
    types = {value.name: value.type for value in graph.inputs}
    error, theirs, problems = 0.0, 0.0, []
    for batch in batches:
        feeds = sample_arrays(types, seed, batch=batch)
        truth = interp.run(graph, feeds, float64=True)
        ort = dict(zip(outputs, session.run(None, feeds), strict=True))
        mine, other, problem = judge(LEVEL, compiled.run(feeds), ort, truth, None)
        error, theirs = max(error, mine), max(theirs, other)
        if problem:
            problems.append(f"batch {batch}: {problem}")
    return Result(model.name, error, theirs, "; ".join(problems))


def check_entry(name: str) -> Result:
    """The network of that name with its standard inputs."""
    model = models.model(name)
    give_statistics(model)
    return check_model(model)


def measure(name: str, timeout: float) -> Result:
    """``check_entry`` in a process of its own; a result with a problem where that gives none."""
    command = [sys.executable, __file__, "--worker", name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        return Result(name, float("nan"), float("nan"), f"no result within {timeout:.0f} s")
    if done.returncode:
        problem = (done.stderr.strip().splitlines() or ["no message"])[-1][:200]
        return Result(name, float("nan"), float("nan"), problem)
    return Result(**json.loads(done.stdout.splitlines()[-1]))


def result_of(name: str, kept: Path | None, timeout: float) -> Result:
    """The result that the folder ``kept`` has, else a new one, which it then keeps."""
    if kept is None:
        return measure(name, timeout)
    file = kept / f"{name}.json"
    if not file.exists():
        temporary = file.with_suffix(".tmp")
        temporary.write_text(json.dumps(asdict(measure(name, timeout))))
        temporary.replace(file)
    return Result(**json.loads(file.read_text()))


def page(results: list[Result], *, resumed: bool) -> str:
    """The table as a page of the docs, which says whether results were kept from earlier runs."""
    import onnxruntime

    from cnnc.runtime.jit.target import cpu_model

    bad = sum(bool(result.problem) for result in results)
    lines = [
        "# The networks of cnnc.models",
        "",
        f"{len(results)} networks, {len(results) - bad} within the limits at -O{LEVEL} and batches of "
        f"{' and '.join(map(str, BATCHES))}; cnnc {cnnc.__version__}, onnxruntime {onnxruntime.__version__}, Python "
        f"{platform.python_version()}, {cpu_model()}. "
        f"Command: `python benchmarks/model_sweep.py {'--resume RESULTS ' if resumed else ''}--out docs/models.md`"
        f"{', some results being of earlier commits' if resumed else ''}.",
        "",
        "Parameters and multiply-accumulates (for one input of the standard size) are counted from the graph; "
        "`cnnc.models` says what was published. Errors are the largest absolute difference from a float64 evaluation "
        "over the output's standard deviation, with random weights and the normalization statistics of "
        "`benchmarks/batch_statistics.py`. onnxruntime runs the exported model without graph optimisations. "
        "The limit for cnnc is max(1e-3, 4 x onnxruntime's error).",
        "",
        "| name | network | input | parameters | MMAC | cnnc | onnxruntime | problem |",
        "|---|---|---|---:|---:|---:|---:|---|",
    ]
    for result in results:
        entry = models.find(result.name)
        model = entry.model()
        shapes = ", ".join("x".join(map(str, given.shape)) for given in entry.inputs.values())
        lines.append(
            f"| {entry.name} | {entry.title} | {shapes} | {model.parameter_count:,} | {model.macs() / 1e6:,.1f} "
            f"| {result.error:.1e} | {result.onnxruntime:.1e} | {result.problem} |"
        )
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    parser.add_argument("--only", nargs="*", help="names of networks")
    parser.add_argument("--timeout", type=float, default=900, help="seconds for one network")
    parser.add_argument("--resume", type=Path, help="folder that keeps results: networks that have one are not run")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(asdict(check_entry(arguments.worker))))
        return 0
    if arguments.resume is not None:
        arguments.resume.mkdir(parents=True, exist_ok=True)
    results = []
    for name in arguments.only or [entry.name for entry in models.entries()]:
        result = result_of(name, arguments.resume, arguments.timeout)
        print(f"{name:24} {result.error:9.2e} ort {result.onnxruntime:8.2e} {result.problem}", flush=True)
        results.append(result)
    if arguments.out:
        temporary = arguments.out.with_suffix(".tmp")
        temporary.write_text(page(results, resumed=arguments.resume is not None))
        temporary.replace(arguments.out)
    return 1 if any(result.problem for result in results) else 0


if __name__ == "__main__":
    raise SystemExit(main())
