"""What a numeric test case is: a graph, and the sizes of its symbols to run it at."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from cnnc import interp
from cnnc.ir import Array, Graph, Value
from cnnc.sample_inputs import sample_inputs
from tests.numeric.network import Network
from tests.numeric.tolerance import additions

Build = Callable[[Network], Value | tuple[Value, ...]]


@dataclass(frozen=True, eq=False)
class Case:
    """One small graph.

    Attributes:
        name: family and what is special, "conv-stride2".
        build: makes the graph's nodes and returns its outputs.
        sizes: values of the graph's symbols, one mapping a run.
        seed: of weights and inputs.
    """

    name: str
    build: Build
    sizes: tuple[Mapping[str, int], ...] = ({},)
    seed: int = 0

    def graph(self) -> Graph:
        """A fresh graph; compilers rewrite graphs in place."""
        network = Network(self.seed)
        made = self.build(network)
        network.returns(*(made if isinstance(made, tuple) else (made,)))
        return network.graph


@dataclass(frozen=True)
class Run:
    """One set of inputs of a case, and what float64 says of it."""

    feeds: Mapping[str, Array]
    truth: Mapping[str, Array]
    additions: int


@functools.lru_cache(maxsize=64)
def runs_of(case: Case) -> tuple[Run, ...]:
    """Inputs and float64 results of a case, computed once for all runtimes."""
    return tuple(make_run(case.graph(), sizes, case.seed) for sizes in case.sizes)


def make_run(graph: Graph, sizes: Mapping[str, int], seed: int = 0) -> Run:
    """Seeded inputs of these sizes and float64 results."""
    feeds = sample_inputs(graph, seed, sizes)
    truth = interp.run(graph, feeds, float64=True)
    shapes = {name: array.shape for name, array in feeds.items()}
    return Run(feeds, truth, additions(graph, interp.bind_sizes(graph, shapes)))


def is_integer(array: Array) -> bool:
    """Whether results of this element type must agree exactly."""
    return not np.issubdtype(array.dtype, np.floating)
