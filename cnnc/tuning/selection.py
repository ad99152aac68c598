"""The selection of a graph: from a given tuning, or from the cache and new measurements."""

from __future__ import annotations

from collections.abc import Mapping

from cnnc.errors import OptionError
from cnnc.ir import Graph
from cnnc.lower.candidates import candidates
from cnnc.lower.numerics import DEFAULT_NUMERICS, Numerics
from cnnc.lower.selection import LayerTiming, Selection
from cnnc.runtime.cpu.machine import USUAL_MACHINE, Machine
from cnnc.runtime.cuda.device import Device
from cnnc.runtime.jit import cache
from cnnc.runtime.kernel import Target
from cnnc.tuning.environment import Environment
from cnnc.tuning.search import LayerProgress, layers_of, measure_layers
from cnnc.tuning.stopwatch import Stopwatch
from cnnc.tuning.tuning_file import Tuning, parse_tuning
from cnnc.tuning.verdict import settle

_EVERY_TILING = 1 << 20


def tuned_selection(graph: Graph, target: Target, tuning: Tuning, where: str = "tuning") -> Selection:
    """The selection that ``tuning`` holds for a placed graph; nothing is measured.

    Layers that it does not have are left to the cost model. It may come from another CPU of the same family.

    Raises:
        OptionError: it was measured with other kernels or for another target, or names a tiling that a layer's kernel
            does not offer.
    """
    here = Environment.here(target)
    for name, theirs, own in (
        ("target", tuning.environment.target, here.target),
        ("version of the kernels", tuning.environment.kernels[:12], here.kernels[:12]),
    ):
        if theirs != own:
            raise OptionError(f"it was measured for {name} {theirs}, this is {own}", where=where, hint="run cnnc tune")
    for key, layer in layers_of(graph, target).items():
        timing = tuning.layers.get(key)
        if timing is not None and not _is_offered(layer, timing, target, tuning.machine):
            raise OptionError(
                f"{timing.best.rule} has no {timing.best.tiling} for {key}", where=where, hint="run cnnc tune"
            )
    return Selection(tuning.layers, tuning.machine)


def measure_graph(
    graph: Graph,
    target: Target,
    stopwatch: Stopwatch,
    *,
    threads: int | None = None,
    device: Device | None = None,
    again: bool = False,
    numerics: Numerics = DEFAULT_NUMERICS,
    machine: Machine = USUAL_MACHINE,
    progress: LayerProgress | None = None,
) -> Tuning:
    """Measured layers of a placed graph, from the cache as far as it has them; it then has all.

    Each layer is cached as soon as it is measured: a run that is stopped goes on from there. In the end the whole model
    is timed, see ``settle``: choices that do not make it faster are taken back.

    Args:
        threads, device: what the stopwatch measures with.
        again: measure also what the cache has.
        progress: told how many layers are measured, of how many.
    """
    environment = Environment.here(target, threads, device)
    layers = layers_of(graph, target)
    cached = _load(environment)
    known = {
        key: cached[key]
        for key, layer in layers.items()
        if not again and key in cached and _is_offered(layer, cached[key], target, machine)
    }
    missing = {key: layer for key, layer in layers.items() if key not in known}

    def keep(key: str, timing: LayerTiming) -> None:
        _store(Tuning(environment, {**_load(environment), key: timing}))

    measured = measure_layers(
        missing, target, stopwatch, numerics=numerics, machine=machine, keep=keep, progress=progress
    )
    tuning = Tuning(environment, {**known, **measured}, machine)
    return settle(graph, target, stopwatch, tuning, numerics, again=again)


def _is_offered(layer: Graph, timing: LayerTiming, target: Target, machine: Machine) -> bool:
    wanted = (timing.best.rule, timing.best.tiling)
    ways = candidates(layer, target, _EVERY_TILING, machine=machine)
    return any((item.rule, item.tiling) == wanted for item in ways)


def _file_name(environment: Environment) -> str:
    return f"tuning-{environment.digest}.json"


def _load(environment: Environment) -> Mapping[str, LayerTiming]:
    """Cached layers of this environment; none if the file is absent or damaged."""
    data = cache.load_file(_file_name(environment))
    try:
        tuning = None if data is None else parse_tuning(data)
    except ValueError:
        return {}
    return tuning.layers if tuning is not None and tuning.environment == environment else {}


def _store(tuning: Tuning) -> None:
    cache.store_file(_file_name(tuning.environment), tuning.to_json().encode())
