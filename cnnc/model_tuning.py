"""Kernels of a model's layers measured on this machine, for level 3."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from os import PathLike
from pathlib import Path

from cnnc.errors import OptionError
from cnnc.ir import Graph, Notes
from cnnc.ir.clone import clone_graph
from cnnc.lower.selection import COST_MODEL
from cnnc.model_reading import Model, read_graph
from cnnc.optimisation import optimise_graph
from cnnc.options import Options
from cnnc.runtime.cpu_limits import available_threads
from cnnc.runtime.cuda.device import Device
from cnnc.runtime.cuda.driver import open_device
from cnnc.runtime.cuda.target import cuda_target, is_cuda
from cnnc.runtime.kernel import Target
from cnnc.targets import parse_target
from cnnc.tuning import DeviceStopwatch, KernelStopwatch, Stopwatch, Tuning, known_machine, measure_graph

MeasuringProgress = Callable[[str, int, int], None]
"""Told of what is done: "kernels" or "layers", how many, of how many."""


def tune(
    model: Model,
    *,
    out: str | PathLike[str] | None = None,
    shapes: Mapping[str, Sequence[int | str]] | None = None,
    threads: int | None = None,
    seconds: float = 0.2,
    again: bool = False,
    target: str = "cpu",
    device: Device | None = None,
    progress: MeasuringProgress | None = None,
) -> Tuning:
    """Measure the kernels of a model's layers here, for ``compile(model, level=3, tuning=...)``.

    Layers are cached one by one, so a run that was stopped goes on where it was. In the end the whole model is timed:
    where the layers' winners do not make it faster than the cost model's choices, those are kept.

    Args:
        model, shapes: as for ``compile``. Open sizes are measured as typical ones: batches of 1, maps of 64 x 64.
        out: write the measurements to this JSON file.
        threads: most threads of a run; None for all that the process may use.
        seconds: time to spend on each layer, compiling apart.
        again: measure also what is cached.
        target: ``cpu`` or ``cuda``.
        device: the GPU to measure on; this machine's first one by default.
        progress: told of what is done: "kernels" or "layers", how many, of how many.

    Raises:
        ModelError, UnsupportedError: what is wrong with the model, naming nodes.
        OptionError: there are not so many threads, or there is no GPU.
        OSError: the file cannot be written.
    """
    most = available_threads()
    if threads is not None and not 1 <= threads <= most:
        raise OptionError(f"{threads} is not between 1 and {most}, the CPUs of this process", where="threads")
    options = Options(2, dict(shapes or {}), target=target)
    graph, place = read_graph(model, options.shapes), _tuning_target(target, device)
    if isinstance(model, Graph):
        graph = clone_graph(graph)
    optimise_graph(graph, options, Notes(), target=place)
    tuning = measure_layers(
        graph, options, place, threads=threads, device=device, seconds=seconds, again=again, measuring=progress
    )
    if out is not None:
        Path(out).write_text(tuning.to_json(), encoding="utf-8")
    return tuning


def _tuning_target(name: str, device: Device | None) -> Target:
    """What measurements on this machine are for.

    Raises:
        OptionError: a GPU that need not be here is named.
    """
    if device is not None:
        return cuda_target(device.architecture)
    if name not in ("cpu", "cuda"):
        raise OptionError(f"{name} need not be this machine", where="target", hint="tune for cpu or cuda")
    return parse_target(name)


def measure_layers(
    graph: Graph,
    options: Options,
    target: Target,
    *,
    threads: int | None = None,
    device: Device | None = None,
    seconds: float = 0.2,
    again: bool = False,
    measuring: MeasuringProgress | None = None,
) -> Tuning:
    """Measurements of a placed graph's layers on this machine's CPU or GPU."""
    kernels, layers = _progress_of("kernels", measuring), _progress_of("layers", measuring)
    stopwatch: Stopwatch
    if is_cuda(target):
        device = device or open_device()
        stopwatch, machine = DeviceStopwatch(device, seconds=seconds, progress=kernels), COST_MODEL.machine
    else:
        stopwatch = KernelStopwatch(target, threads=threads, seconds=seconds, progress=kernels)
        machine = known_machine()
    return measure_graph(
        graph,
        target,
        stopwatch,
        threads=threads,
        device=device,
        again=again,
        numerics=options.numerics,
        machine=machine,
        progress=layers,
    )


def _progress_of(what: str, progress: MeasuringProgress | None) -> Callable[[int, int], None] | None:
    return None if progress is None else partial(progress, what)
