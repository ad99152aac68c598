"""Times graphs as programs, for a search of channels to remove."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Protocol

from cnnc.ir import Graph
from cnnc.ir.clone import clone_graph
from cnnc.observation.observed import compiled
from cnnc.pruning.weights import LAYERS
from cnnc.runtime.input_check import bind_shapes
from cnnc.runtime.jit.target import host_target
from cnnc.sample_inputs import sample_arrays
from cnnc.tuning import KernelStopwatch
from cnnc.tuning.step_times import step_times


class Meter(Protocol):
    """What a search measures with."""

    def nodes(self, graphs: Sequence[Graph]) -> list[Mapping[str, float]]:
        """Seconds of the nodes of each graph, by the names of their first results. Graphs differ in sizes only."""

    def runs(self, graphs: Sequence[Graph]) -> list[float]:
        """Median seconds of a whole run of each graph, in turns."""


class ProgramMeter:
    """Compiles graphs and runs them on random inputs, with a batch of one where it is open.

    Args:
        threads: most threads of a run; None for all that the process may use.
    """

    def __init__(self, threads: int | None = None) -> None:
        self._threads = threads

    def nodes(self, graphs: Sequence[Graph]) -> list[Mapping[str, float]]:
        """See ``Meter``. A step of several nodes counts for the one with weights, or else for the first."""
        models = [compiled(_numbered(graph)) for graph in graphs]
        inputs = list(sample_arrays({value.name: value.type for value in graphs[0].inputs}, batch=1).values())
        sizes = bind_shapes(models[0].lowered.program.inputs, inputs)
        profiles = step_times([model.executable for model in models], inputs, sizes, threads=self._threads)
        return [
            _by_node(graph, [(step.label, seconds) for step, seconds in profile])
            for graph, profile in zip(graphs, profiles, strict=True)
        ]

    def runs(self, graphs: Sequence[Graph]) -> list[float]:
        """See ``Meter``."""
        programs = [compiled(graph).lowered for graph in graphs]
        stopwatch = KernelStopwatch(host_target(), threads=self._threads)
        stopwatch.compile(variant for program in programs for variant in program.program.variants())
        return [statistics.median(times) for times in zip(*stopwatch.model_rounds(programs), strict=True)]


def _numbered(graph: Graph) -> Graph:
    """The same with nodes named by their place, which steps of the program are labelled with."""
    graph = clone_graph(graph)
    for index, node in enumerate(graph.nodes):
        node.loc = (f"node {index}",)
    return graph


def _by_node(graph: Graph, steps: list[tuple[str, float]]) -> Mapping[str, float]:
    nodes = list(graph.nodes)
    found = dict.fromkeys((node.output.name for node in nodes), 0.0)
    for label, seconds in steps:
        merged = [nodes[int(part.split()[1])] for part in label.split(", ") if part.startswith("node ")]
        if merged:
            found[next((node for node in merged if node.op in LAYERS), merged[0]).output.name] += seconds
    return found
