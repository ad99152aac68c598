"""Networks of ``cnnc.models`` on the emulated GPU against float64, judged by the project's limits. Needs no GPU.

    python benchmarks/cuda_models.py --out docs/cuda-models.md     everything, then writes the table
    python benchmarks/cuda_models.py --only resnet18 unet          some networks, prints only
    python benchmarks/cuda_models.py --resume RESULTS ...          takes what the folder has, runs and keeps the rest

Every network is compiled for a GPU architecture at -O2; its kernels are compiled to PTX, which the emulator executes,
checking every access. That is slow, so each runs at batch 1 and at the smallest image that it takes: its own divided by
8, 4 or 2, or its own. Networks of more multiply-accumulates than ``--most`` at that size are left out, and listed.
Numbers are those of ``batch_statistics``, errors and limits those of ``model_sweep``. Each network runs in a process of
its own.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from batch_statistics import give_statistics
from zoo_sweep import judge

import cnnc
from cnnc import interp, models
from cnnc.dsl import Input, Model
from cnnc.emulation import EmulatedDevice
from cnnc.errors import UserError
from cnnc.frontends.dsl.model import model as make_model
from cnnc.runtime.program import KernelStep
from cnnc.sample_inputs import sample_arrays

LEVEL = 2
DIVISORS = (8, 4, 2, 1)
LEAST = 32
"""Pixels along an axis of an image that was made smaller."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a network.

    Attributes:
        shape: of the input that it ran at.
        macs: multiply-accumulates at that shape.
        error, onnxruntime: the worst errors against float64.
        launches: of kernels in a run; host: ops that have none.
        seconds: of the emulation.
        problem: "" or what is wrong.
    """

    name: str
    shape: str
    macs: int
    error: float
    onnxruntime: float
    launches: int
    host: str
    seconds: float
    problem: str


def small_model(entry: models.Entry) -> Model:
    """The network at the smallest of its image sizes that it takes, with its usual random numbers."""
    for divisor in DIVISORS:
        inputs = {name: _divided(given, divisor) for name, given in entry.inputs.items()}
        try:
            found = make_model(entry.network(), inputs, name=entry.name, seed=0)
            found.graph({name: (1, *given.shape[1:]) for name, given in inputs.items()})
        except UserError:
            if divisor == DIVISORS[-1]:
                raise
            continue
        return found
    raise AssertionError("the last size either raises or is taken")


def _divided(given: Input, divisor: int) -> Input:
    batch, channels, *sizes = given.shape
    smaller = [max(int(size) // divisor, min(LEAST, int(size))) for size in sizes]
    return Input(batch, channels, *smaller)


def check(model: Model, architecture: str, most: int) -> Result:
    """Compile a network for the architecture, run it on the emulator and compare it with float64."""
    import onnxruntime

    shapes = {name: (1, *given.shape[1:]) for name, given in model.inputs.items()}
    shape = ", ".join("x".join(map(str, sizes)) for sizes in shapes.values())
    graph = model.graph(shapes)
    macs = model.macs()
    if macs > most:
        return Result(model.name, shape, macs, 0.0, 0.0, 0, "", 0.0, "left out: too much for the emulator")
    give_statistics(model)
    graph = model.graph(shapes)
    feeds = sample_arrays({value.name: value.type for value in graph.inputs}, 1)
    truth = interp.run(graph, feeds, float64=True)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    exported = cnnc.export_onnx(model).SerializeToString()
    session = onnxruntime.InferenceSession(exported, options, providers=["CPUExecutionProvider"])
    names = [port.name for port in session.get_outputs()]
    ort = dict(zip(names, session.run(None, feeds), strict=True))
    compiled = cnnc.compile(model, level=LEVEL, shapes=shapes, target=f"cuda:{architecture}")
    compiled.device = EmulatedDevice(architecture)
    start = time.perf_counter()
    error, theirs, problem = judge(LEVEL, compiled.run(feeds), ort, truth, None)
    seconds = time.perf_counter() - start
    host = sorted({decision.op for decision in compiled.lowered.decisions if decision.chosen == "host"})
    steps = compiled.lowered.program.steps
    launches = sum(len(step.choices[0].calls) for step in steps if isinstance(step, KernelStep))
    return Result(model.name, shape, macs, error, theirs, launches, ", ".join(host), seconds, problem)


def measure(name: str, arguments: argparse.Namespace) -> Result:
    """``check`` in a process of its own; a result with a problem where that gives none."""
    worker = ["--worker", name, "--architecture", arguments.architecture, "--most", str(arguments.most)]
    failed = Result(name, "", 0, float("nan"), float("nan"), 0, "", 0.0, "")
    try:
        done = subprocess.run(
            [sys.executable, __file__, *worker],
            capture_output=True,
            text=True,
            timeout=arguments.timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return replace(failed, problem=f"no result within {arguments.timeout:.0f} s")
    if done.returncode:
        return replace(failed, problem=(done.stderr.strip().splitlines() or ["no message"])[-1][:200])
    return Result(**json.loads(done.stdout.splitlines()[-1]))


def result_of(name: str, arguments: argparse.Namespace) -> Result:
    """The result that the folder ``--resume`` has, else a new one, which it then keeps."""
    if arguments.resume is None:
        return measure(name, arguments)
    arguments.resume.mkdir(parents=True, exist_ok=True)
    file = arguments.resume / f"{name}.json"
    if not file.exists():
        temporary = file.with_suffix(".tmp")
        temporary.write_text(json.dumps(asdict(measure(name, arguments))))
        temporary.replace(file)
    return Result(**json.loads(file.read_text()))


def page(results: list[Result], arguments: argparse.Namespace) -> str:
    """The table as a page of the docs."""
    import numba_cuda
    import onnxruntime

    run = [result for result in results if not result.problem.startswith("left out")]
    bad = sum(bool(result.problem) for result in run)
    left_out = ", ".join(f"{result.name} ({result.macs / 1e6:,.0f})" for result in results if result not in run)
    resumed = " --resume RESULTS" if arguments.resume else ""
    lines = [
        "# The networks of cnnc.models on the emulated GPU",
        "",
        f"{len(run)} networks, {len(run) - bad} within the limits at -O{LEVEL}, compiled for "
        f"{arguments.architecture} and executed by the PTX emulator, which checks every access. cnnc "
        f"{cnnc.__version__}, numba-cuda {numba_cuda.__version__}, onnxruntime {onnxruntime.__version__}, Python "
        f"{platform.python_version()}. Command: `python benchmarks/cuda_models.py{resumed} --out docs/cuda-models.md`"
        f"{'; some results may be of earlier commits' if resumed else ''}.",
        "",
        "Each network runs at batch 1 and the smallest image that it takes. Errors are the largest absolute difference "
        "from a float64 evaluation over the output's standard deviation, with random weights and the normalization "
        "statistics of `benchmarks/batch_statistics.py`; the limit is max(1e-3, 4 x onnxruntime's error). Launches are "
        "those of one run; the last but one column names ops that have no kernel and run on the host.",
        "",
        "| name | input | MMAC | launches | on the host | cnnc | onnxruntime | emulated, s | problem |",
        "|---|---|---:|---:|---|---:|---:|---:|---|",
        *(
            f"| {result.name} | {result.shape} | {result.macs / 1e6:,.1f} | {result.launches} | {result.host} "
            f"| {result.error:.1e} | {result.onnxruntime:.1e} | {result.seconds:.0f} | {result.problem} |"
            for result in run
        ),
    ]
    if left_out:
        lines += ["", f"Left out, with their millions of multiply-accumulates: {left_out}."]
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    parser.add_argument("--only", nargs="*", help="names of networks")
    parser.add_argument("--architecture", default="sm_80", help="what kernels are compiled for")
    parser.add_argument("--most", type=int, default=600_000_000, help="multiply-accumulates of the largest network")
    parser.add_argument("--timeout", type=float, default=1800, help="seconds for one network")
    parser.add_argument("--jobs", type=int, default=1, help="networks at a time")
    parser.add_argument("--resume", type=Path, help="folder that keeps results: networks that have one are not run")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        model = small_model(models.find(arguments.worker))
        print(json.dumps(asdict(check(model, arguments.architecture, arguments.most))))
        return 0
    names = arguments.only or [entry.name for entry in models.entries()]
    results = []
    with ThreadPoolExecutor(arguments.jobs) as pool:
        for result in pool.map(lambda name: result_of(name, arguments), names):
            print(
                f"{result.name:24} {result.macs / 1e6:7.1f} MMAC {result.seconds:5.0f} s {result.error:9.2e} "
                f"ort {result.onnxruntime:8.2e} host [{result.host}] {result.problem}",
                flush=True,
            )
            results.append(result)
    if arguments.out:
        temporary = arguments.out.with_suffix(".tmp")
        temporary.write_text(page(results, arguments))
        temporary.replace(arguments.out)
    return 1 if any(result.problem and not result.problem.startswith("left out") for result in results) else 0


if __name__ == "__main__":
    raise SystemExit(main())
