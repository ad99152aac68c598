"""Predicted times of networks on GPUs, layer by layer, against the devices' rooflines. Needs no GPU, and measures none.

    python benchmarks/cuda_prediction.py --results build/prediction resnet50 mobilenet_v2
    python benchmarks/cuda_prediction.py --results build/prediction --out docs/cuda.md

The first form compiles networks of ``cnnc.models`` for each device at -O2, runs a sample of the blocks of every kernel
call on the emulator at the real sizes, and keeps what ``cnnc.emulation`` predicts in the folder. The second one writes
the tables of everything in the folder between the two marks of the page.

A layer is the calls of one step. Its roofline is that of its direct multiply-accumulates at the float32 peak, of its
weights from memory, or of its activations, from the second-level cache where all of the network's fit in half of it.
Winograd's method multiplies less, so that it can be above its roofline.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cnnc
from cnnc import models
from cnnc.compiler import CompiledModel
from cnnc.dims import evaluate
from cnnc.emulation import Profiler, predict
from cnnc.emulation.prediction import roofline_seconds
from cnnc.runtime.cuda.device_facts import A100, H100, DeviceFacts
from cnnc.runtime.cuda.target import cuda_target
from cnnc.runtime.program import KernelStep

DEVICES = (A100, H100)
BATCHES = (1, 32)
BEGIN, END = "<!-- predicted times, by benchmarks/cuda_prediction.py -->", "<!-- end of predicted times -->"


@dataclass(frozen=True, slots=True)
class Layer:
    """A step on one device.

    Attributes:
        kernels: of its calls, in order; with their parameters.
        macs: multiply-accumulates.
        seconds, roofline: predicted, and the least possible.
        bound: the resource that is busy longest in its longest call.
    """

    name: str
    op: str
    kernels: tuple[str, ...]
    macs: int
    seconds: float
    roofline: float
    bound: str


def predicted(name: str, device: DeviceFacts, batch: int) -> list[Layer]:
    """The layers of a network of ``cnnc.models``."""
    network = models.find(name).model()
    shapes = {port: (batch, *given.shape[1:]) for port, given in network.inputs.items()}
    major, minor = device.architecture
    compiled = cnnc.compile(network, level=2, shapes=shapes, target=f"cuda:{cuda_target(f'sm_{major}{minor}').cpu}")
    profiler = Profiler(compiled.executable, compiled.target, {})
    found = []
    for number, step in enumerate(compiled.lowered.program.steps):
        calls = [profiler.profile(instruction) for instruction in profiler.instructions(number)]
        if not calls or not isinstance(step, KernelStep):
            continue
        times = [predict(call, device, arena_bytes=profiler.arena_bytes) for call in calls]
        kernels = tuple(str(call.variant) for call in calls)
        macs = evaluate(step.macs, {})
        constants, tensors = _bytes(compiled, step)
        least = roofline_seconds(device, 2 * macs / device.flops, constants, tensors, profiler.arena_bytes)
        longest = max(times, key=lambda time: time.seconds)
        seconds = sum(time.seconds for time in times)
        name_alone = step.label.split(",")[0].split(" (")[0]
        found.append(Layer(name_alone, step.op, kernels, macs, seconds, least, longest.bound))
    return found


def _bytes(compiled: CompiledModel, step: KernelStep) -> tuple[int, int]:
    """Bytes of the constants and of the other buffers that a step is given or leaves, without its own between calls."""
    buffers = compiled.lowered.program.buffers
    own = set(step.reads) & set(step.writes)
    found = {True: 0, False: 0}
    for number in (set(step.reads) | set(step.writes)) - own:
        found[buffers[number].kind == "constant"] += int(evaluate(buffers[number].bytes, {}))
    return found[True], found[False]


@dataclass(frozen=True, slots=True)
class Row:
    """Layers that are alike, on one device."""

    first: Layer
    count: int


def rows(layers: Sequence[Layer]) -> list[Row]:
    """Layers by what runs them and how long, in the order of the first of each."""
    groups: dict[tuple[object, ...], list[Layer]] = {}
    for layer in layers:
        key = (layer.op, layer.kernels, layer.macs, round(layer.seconds * 1e8), round(layer.roofline * 1e8))
        groups.setdefault(key, []).append(layer)
    return [Row(group[0], len(group)) for group in groups.values()]


def table(name: str, device: DeviceFacts, batch: int, layers: Sequence[Layer]) -> list[str]:
    """A Markdown table of one network on one device; layers that launching bounds are summed up."""
    shown = [row for row in rows(layers) if row.first.roofline > device.launch_seconds / 2]
    others = [layer for layer in layers if layer not in {row.first for row in shown} and _is_short(layer, device)]
    lines = [
        f"#### {name}, batch {batch}, {device.name}: predicted, not measured",
        "",
        "| first layer of its kind | times | kernels | MMAC | predicted, us | roofline, us | of it | bound by |",
        "|---|---:|---|---:|---:|---:|---:|---|",
    ]
    for row in shown:
        layer = row.first
        kernels = ", ".join(dict.fromkeys(kernel.split("{")[0] for kernel in layer.kernels))
        lines.append(
            f"| {layer.name} | {row.count} | {kernels} | {layer.macs / 1e6:,.1f} | {layer.seconds * 1e6:.1f} "
            f"| {layer.roofline * 1e6:.1f} | {layer.roofline / layer.seconds:.0%} | {layer.bound} |"
        )
    if others:
        seconds, least = (sum(values) for values in zip(*((each.seconds, each.roofline) for each in others)))
        lines.append(
            f"| steps of less than a launch | {len(others)} | | | {seconds * 1e6:.1f} | {least * 1e6:.1f} "
            f"| {least / seconds:.0%} | |"
        )
    return [*lines, ""]


def _is_short(layer: Layer, device: DeviceFacts) -> bool:
    return layer.roofline <= device.launch_seconds / 2


def totals(found: Sequence[tuple[str, int, DeviceFacts, Sequence[Layer]]]) -> list[str]:
    """Whole networks: a line for each batch and device."""
    lines = [
        "| network | batch | device | kernel calls | predicted, ms | images/s | roofline, ms | of it |",
        "|---|---:|---|---:|---:|---:|---:|---:|",
    ]
    for name, batch, device, layers in found:
        seconds, least = sum(layer.seconds for layer in layers), sum(layer.roofline for layer in layers)
        calls = sum(len(layer.kernels) for layer in layers)
        lines.append(
            f"| {name} | {batch} | {device.name} | {calls} | {seconds * 1e3:.2f} | {batch / seconds:,.0f} "
            f"| {least * 1e3:.2f} | {least / seconds:.0%} |"
        )
    return [*lines, ""]


def page(text: str, results: Path) -> str:
    """The page with new tables between its marks."""
    found = []
    for file in sorted(results.glob("*.json")):
        name, batch, device_name = file.stem.rsplit("-", 2)
        device = next(device for device in DEVICES if device.name == device_name)
        layers = [Layer(**{**each, "kernels": tuple(each["kernels"])}) for each in json.loads(file.read_text())]
        found.append((name, int(batch), device, layers))
    found.sort(key=lambda each: (each[0] != "resnet50", each[0], each[2].name, each[1]))
    lines = totals(found)
    for name, batch, device, layers in found:
        lines += table(name, device, batch, layers)
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return "\n".join([before + BEGIN, "", *lines, END + after.rstrip("\n")]) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="networks of cnnc.models to predict")
    parser.add_argument("--device", choices=[device.name for device in DEVICES], help="one device only")
    parser.add_argument("--results", type=Path, required=True, help="folder that keeps predictions")
    parser.add_argument("--out", type=Path, help="Markdown page that gets the tables")
    arguments = parser.parse_args()
    arguments.results.mkdir(parents=True, exist_ok=True)
    for name in arguments.names:
        for device in DEVICES:
            for batch in BATCHES if arguments.device in (None, device.name) else ():
                layers = predicted(name, device, batch)
                file = arguments.results / f"{name}-{batch}-{device.name}.json"
                file.write_text(json.dumps([asdict(layer) for layer in layers]))
                seconds = sum(layer.seconds for layer in layers)
                print(f"{name} batch {batch} {device.name}: predicted {seconds * 1e3:.2f} ms", flush=True)
    if arguments.out:
        arguments.out.write_text(page(arguments.out.read_text(), arguments.results))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
