"""Measures the candidates of every layer of a graph and keeps the fastest."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from cnnc.errors import ModelError
from cnnc.ir import Graph
from cnnc.lower import Lowered, ProgramBuilder, lower
from cnnc.lower.candidates import candidates, tunable_ops
from cnnc.lower.layer import layer_key, single_layer
from cnnc.lower.numerics import DEFAULT_NUMERICS, Numerics
from cnnc.lower.selection import Candidate, LayerTiming, Selection
from cnnc.runtime.cpu.machine import USUAL_MACHINE, Machine
from cnnc.runtime.kernel import Target
from cnnc.tuning.stopwatch import Stopwatch

CANDIDATES = 4
"""Tilings of a kernel that are measured: estimates are good enough that the best is among the first few."""

MARGIN = 0.03
"""A candidate must be faster than the cost model's choice by this share; timings of one program differ by as much."""

MAJORITY = 0.75
"""A candidate must be faster in this share of the rounds, so that a few lucky ones are not enough."""

LayerProgress = Callable[[int, int], None]
KeepLayer = Callable[[str, LayerTiming], None]


def layers_of(graph: Graph, target: Target) -> dict[str, Graph]:
    """Every layer of a placed graph whose kernel has tilings, by key; equal layers once.

    Left out is what cannot be run at typical sizes: maps that would be smaller than their windows, sizes that only
    values decide.
    """
    builder = ProgramBuilder(graph, target)
    layers: dict[str, Graph] = {}
    tunable = tunable_ops(target)
    for node in graph.nodes:
        if node.op not in tunable or builder.unknown_sizes(node):
            continue
        key = layer_key(node, target)
        if key not in layers:
            with suppress(ModelError):
                layers[key] = single_layer(node)
    return layers


def measure_layers(
    layers: Mapping[str, Graph],
    target: Target,
    stopwatch: Stopwatch,
    *,
    count: int = CANDIDATES,
    numerics: Numerics = DEFAULT_NUMERICS,
    machine: Machine = USUAL_MACHINE,
    keep: KeepLayer | None = None,
    progress: LayerProgress | None = None,
) -> dict[str, LayerTiming]:
    """Measure each layer; layers with one candidate only are left out.

    Args:
        layers: graphs of one node by key, see ``layers_of``.
        count: most tilings of a kernel to measure.
        numerics, machine: what the candidates depend on.
        keep: given each layer as soon as it is measured, so that a run that is stopped loses one layer.
        progress: told how many layers are measured, of how many.
    """
    tried = {key: candidates(layer, target, count, numerics, machine) for key, layer in layers.items()}
    tried = {key: ways for key, ways in tried.items() if len(ways) > 1}
    # Programs hold packed weights: they are made twice, so that only one layer's are in memory at a time.
    stopwatch.compile(
        variant
        for key, ways in tried.items()
        for way in ways
        for variant in _program(key, layers[key], way, target, numerics).program.variants()
    )
    measured: dict[str, LayerTiming] = {}
    for done, (key, ways) in enumerate(tried.items(), 1):
        rounds = stopwatch.rounds([_program(key, layers[key], way, target, numerics) for way in ways])
        medians = tuple(statistics.median(times) for times in zip(*rounds, strict=True))
        measured[key] = LayerTiming(ways, medians, fastest(rounds))
        if keep:
            keep(key, measured[key])
        if progress:
            progress(done, len(tried))
    return measured


def fastest(rounds: Sequence[Sequence[float]], margin: float = MARGIN) -> int:
    """Index of the fastest program, if it is faster than program 0 by ``margin``, and most of the time; else 0.

    Programs are compared within rounds, so that drifts of the clock do not count.
    """
    count = len(rounds[0])
    ratios = [statistics.median(times[index] / times[0] for times in rounds) for index in range(count)]
    best = min(range(count), key=ratios.__getitem__)
    wins = sum(times[best] < times[0] for times in rounds)
    return best if ratios[best] < 1 - margin and wins >= MAJORITY * len(rounds) else 0


def _program(key: str, layer: Graph, way: Candidate, target: Target, numerics: Numerics) -> Lowered:
    return lower(layer, target, Selection({key: LayerTiming((way,), (0.0,), 0)}), numerics)
