"""Where the time goes: each step of the program, with its rate and its share of the machine's peak."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from cnnc.cli.console import print_table
from cnnc.explanation.step_bytes import StepBytes, step_bytes
from cnnc.runtime.cuda.target import is_cuda
from cnnc.runtime.input_check import bind_shapes
from cnnc.tuning.machine_peak import MachinePeak

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnnc.cli.inputs import Array
    from cnnc.compiler import CompiledModel
    from cnnc.runtime.call import StepTiming

RUNS = 9
"""Profiled runs; each step's time is the median over them."""

FLOPS_PER_MAC = 2


def profile_layers(compiled: CompiledModel, feeds: Mapping[str, Array], threads: int) -> dict[str, Any]:
    """Time every step. The peak of a CPU is measured before and after, and the better one counts; a GPU's is computed.

    Returns:
        A JSON value: ``peak_gflops`` of all threads, ``layers`` in the order of the program, ``seconds`` of all steps.
        A layer's ``bytes`` are what it reads and writes at least, see ``step_bytes``; null where that is not known.
    """
    from cnnc.runtime.session import InferenceSession

    peak = None if is_cuda(compiled.target) else MachinePeak()
    before = peak.flops() if peak else _gpu_flops()
    session = InferenceSession(compiled.executable, threads=threads, profile=True)
    session.run(None, feeds)
    runs: list[tuple[StepTiming, ...]] = []
    for _ in range(RUNS):
        session.run(None, feeds)
        runs.append(session.last_profile)
    limit = max(before, peak.flops()) * threads if peak else before
    program = compiled.executable.program
    bindings = bind_shapes(program.inputs, [feeds[port.name] for port in program.inputs])
    moved = step_bytes(program, bindings, compiled.target)
    layers = [_layer(timings, limit, moved.get(timings[0].step)) for timings in zip(*runs, strict=True)]
    seconds = sum(layer["seconds"] for layer in layers)
    return {"threads": threads, "peak_gflops": limit / 1e9, "seconds": seconds, "layers": layers}


def _gpu_flops() -> float:
    from cnnc.runtime.cuda.driver import open_device
    from cnnc.runtime.cuda.driver_facts import facts_of_device

    return facts_of_device(open_device()).flops


def _layer(timings: tuple[StepTiming, ...], limit: float, moved: StepBytes | None) -> dict[str, Any]:
    first = timings[0]
    seconds = statistics.median(timing.seconds for timing in timings)
    rate = FLOPS_PER_MAC * first.macs / seconds
    return {
        "layer": first.label,
        "op": first.op,
        "kernels": list(first.kernels),
        "seconds": seconds,
        "macs": first.macs,
        "bytes": None if moved is None else moved.total,
        "gflops": rate / 1e9,
        "share_of_peak": rate / limit,
    }


def show_profile(profile: Mapping[str, Any]) -> None:
    """The profile as a table."""
    total = profile["seconds"]
    rows = [
        (
            _short(layer["layer"]),
            layer["op"],
            ", ".join(kernel.partition("{")[0] for kernel in layer["kernels"]) or "host (NumPy)",
            f"{layer['seconds'] * 1e6:.1f}",
            f"{layer['seconds'] / total:.1%}",
            f"{layer['gflops']:.1f}" if layer["macs"] else "",
            f"{layer['share_of_peak']:.0%}" if layer["macs"] else "",
        )
        for layer in profile["layers"]
    ]
    macs = sum(layer["macs"] for layer in profile["layers"])
    rate = FLOPS_PER_MAC * macs / total
    share = f"{rate / 1e9 / profile['peak_gflops']:.0%}"
    print_table(
        ["layer", "op", "kernel", "us>", "share>", "GFLOP/s>", "of peak>"],
        rows,
        title=f"layers, {profile['threads']} thread(s); the machine's peak is {profile['peak_gflops']:.0f} GFLOP/s",
        total=("all", "", "", f"{total * 1e6:.1f}", "", f"{rate / 1e9:.1f}", share),
    )


def _short(label: str) -> str:
    """The first origin of a step, and how many were fused into it."""
    origins = label.split(", ")
    return origins[0] if len(origins) == 1 else f"{origins[0]} + {len(origins) - 1} fused"
