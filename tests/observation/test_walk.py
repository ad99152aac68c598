"""A walk gives the values of the graph as it is now, wherever its place is and whatever it may keep."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pytest

from cnnc import interp
from cnnc.dims import symbol
from cnnc.errors import InputError
from cnnc.ir import Graph
from cnnc.observation.walk import Walk, segment
from tests.pruning.graphs import Array, Network, random


def branches() -> Graph:
    """A residual block between convs, then a flatten that asks for the shape."""
    network = Network(symbol("N"), 2, 6, 6).conv("a", random(4, 2, 3, 3, seed=1), pads=(1, 1, 1, 1)).relu()
    shortcut = network.last
    network.conv("b", random(4, 4, 3, 3, seed=2), pads=(1, 1, 1, 1))
    network.op("add", shortcut).conv("c", random(3, 4, 1, 1, seed=3))
    return network.pooled().gemm("d", random(3, 5, seed=4)).done()


BATCHES = [{"x": random(2, 2, 6, 6, seed=seed)} for seed in range(5, 8)]


class Counted:
    """Samples that know how often they were asked for."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> Iterable[Mapping[str, Array]]:
        self.times += 1
        return BATCHES


def check(graph: Graph, walk: Walk, name: str) -> None:
    for batch, found in zip(BATCHES, walk.values([name]), strict=True):
        wanted = interp.run(graph, batch, capture=[name])[name]
        np.testing.assert_allclose(found[name], wanted, atol=1e-5 * np.abs(wanted).max())


@pytest.mark.jit
@pytest.mark.parametrize("memory", [1 << 30, 2000, 0])
def test_values_are_those_of_the_graph(memory: int) -> None:
    graph, samples = branches(), Counted()
    walk = Walk(graph, samples, memory)
    nodes = list(graph.nodes)
    for node in nodes:
        for later in nodes[nodes.index(node) :]:
            check(graph, walk, later.output.name)
        walk.pass_by(node)
    if memory == 1 << 30:
        # The first place, and what was asked for before it.
        assert samples.times == 1 + len(nodes)
    if memory == 0:
        assert samples.times > 2 * len(nodes)


@pytest.mark.jit
def test_changed_weights_count_from_then_on() -> None:
    graph = branches()
    walk = Walk(graph, lambda: BATCHES)
    for name in ("a", "b", "c", "d"):
        graph.set_constant(graph.value(name), -2 * graph.value(name).array)
        layer = graph.value(name).users[0]
        check(graph, walk, layer.output.name)
        walk.pass_by(layer)


@pytest.mark.jit
def test_inputs_and_kept_values_are_given_as_they_are() -> None:
    graph = branches()
    walk = Walk(graph, lambda: BATCHES)
    assert [found["x"] is batch["x"] for found, batch in zip(walk.values(["x"]), BATCHES)] == [True] * 3
    layer = graph.value("b").users[0]
    walk.pass_by(layer)
    first, second = next(walk.values([layer.output.name])), next(walk.values([layer.output.name]))
    assert first[layer.output.name] is second[layer.output.name]


def test_a_segment_holds_what_lies_between() -> None:
    graph = branches()
    a, b = (graph.value(name).users[0].output.name for name in ("a", "b"))
    part = segment(graph, frozenset([a]), [b])
    assert [value.name for value in part.inputs] == [a]
    assert [node.op for node in part.nodes] == ["relu", "conv"]
    assert part.output_names == (b,)


@pytest.mark.jit
@pytest.mark.parametrize("batches", [[], [[1]], [{"y": random(2, 2, 6, 6)}], [{"x": random(2, 3, 6, 6)}]])
def test_bad_samples_are_refused(batches: list[object]) -> None:
    graph = branches()
    walk = Walk(graph, lambda: batches)  # type: ignore[return-value]
    with pytest.raises(InputError):
        list(walk.values([graph.outputs[0].name]))
