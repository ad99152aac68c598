"""Equalised networks give the same results, and their channels the same ranges."""

from __future__ import annotations

import numpy as np
import pytest

from cnnc import dsl, interp
from cnnc.ir import Graph, Node
from cnnc.ir.clone import clone_graph
from cnnc.quantization.equalisation import equalise, find_pairs
from tests.observation.layers import random


class Chain(dsl.Module):
    """Expand, depthwise, project, and what must not move."""

    def __init__(self, clamp: str) -> None:
        self.clamp = clamp
        self.expand = dsl.Conv2d(3, 8, 1)
        self.depthwise = dsl.DepthwiseConv2d(8, 3, padding=1)
        self.project = dsl.Conv2d(8, 4, 1)
        self.after = dsl.Conv2d(4, 4, 1)

    def activated(self, x: dsl.Tensor) -> dsl.Tensor:
        """By the clamp of this network."""
        if self.clamp == "none":
            return x
        return dsl.relu(x) if self.clamp == "relu" else dsl.relu6(x)

    def forward(self, x: dsl.Tensor) -> dsl.Tensor:
        """x [N, 3, H, W] -> [N, 4, H, W]."""
        x = self.activated(self.expand(x))
        x = self.project(self.activated(self.depthwise(x)))
        return x + self.after(x)


def graph_of(clamp: str) -> Graph:
    """With channels of very different ranges."""
    graph = dsl.model(Chain(clamp), (2, 3, 6, 6)).graph()
    for node in graph.nodes:
        if node.op == "conv":
            weights = node.input(1).array
            assert weights is not None
            spread = np.exp(2 * random(weights.shape[0], seed=1)).reshape(-1, 1, 1, 1)
            graph.set_input(node, 1, graph.add_constant((weights * spread).astype(np.float32)))
    return graph


def convs(graph: Graph) -> list[Node]:
    return [node for node in graph.nodes if node.op == "conv"]


def ranges(graph: Graph) -> list[np.ndarray]:
    return [np.abs(node.input(1).array).reshape(node.input(1).array.shape[0], -1).max(axis=1) for node in convs(graph)]


SAMPLES = [{"x": 3 * random(2, 3, 6, 6, seed=seed)} for seed in range(2)]


@pytest.mark.jit
@pytest.mark.parametrize("clamp", ["none", "relu", "relu6"])
def test_results_stay(clamp: str) -> None:
    graph = graph_of(clamp)
    before = [interp.run(graph, batch)["output"] for batch in SAMPLES]
    assert equalise(graph, lambda: SAMPLES) == 2
    for batch, wanted in zip(SAMPLES, before):
        assert np.allclose(interp.run(graph, batch)["output"], wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())


@pytest.mark.parametrize("clamp", ["none", "relu"])
def test_ranges_of_channels_become_alike(clamp: str) -> None:
    graph = graph_of(clamp)
    equalise(graph, lambda: SAMPLES)
    expand, depthwise = ranges(graph)[:2]
    columns = np.abs(convs(graph)[2].input(1).array).max(axis=(0, 2, 3))
    # Equal but for one factor a tensor, which scales take up.
    assert np.ptp(np.log(expand / depthwise)) < 0.05
    assert np.ptp(np.log(depthwise / columns)) < 0.05


@pytest.mark.jit
def test_channels_grow_up_to_the_bound_of_a_clip() -> None:
    graph = graph_of("relu6")
    [expand, depthwise, *_] = convs(graph)
    equalise(graph, lambda: SAMPLES)
    watched = clone_graph(graph)
    watched.set_outputs([watched.value(node.output.name) for node in (expand, depthwise)], ["a", "b"])
    original = graph_of("relu6")
    original.set_outputs([node.output for node in convs(original)[:2]], ["a", "b"])
    for name in ("a", "b"):
        was, now = (
            np.max([interp.run(each, batch)[name].max(axis=(0, 2, 3)) for batch in SAMPLES], axis=0)
            for each in (original, watched)
        )
        assert (now[was < 6] <= 6 * (1 + 1e-4)).all()
        assert np.allclose(now[was >= 6], was[was >= 6], rtol=1e-3)


def test_it_is_idempotent() -> None:
    graph = graph_of("relu")
    equalise(graph, lambda: SAMPLES)
    before = ranges(graph)
    equalise(graph, lambda: SAMPLES)
    assert all(np.allclose(a, b, rtol=1e-2) for a, b in zip(ranges(graph), before))


def test_what_others_read_does_not_move() -> None:
    graph = graph_of("relu")
    names = [(pair.first.name, pair.second.name) for pair in find_pairs(graph)]
    assert [first.split()[0] for first, _ in names] == ["expand", "depthwise"]
    inner = convs(graph)[0].output
    graph.set_outputs([*graph.outputs, inner], ["output", "inner"])
    assert len(find_pairs(graph)) == 1


def test_dead_channels_keep_their_weights() -> None:
    graph = graph_of("relu")
    expand = convs(graph)[0]
    weights = expand.input(1).array.copy()
    weights[2] = 0
    weights[3] *= 1e-12
    graph.set_input(expand, 1, graph.add_constant(weights))
    equalise(graph, lambda: SAMPLES)
    after = convs(graph)[0].input(1).array
    assert (after[2:4] == weights[2:4]).all()
    assert np.isfinite(after).all()


def test_a_clip_from_below_zero_is_no_pair() -> None:
    graph = graph_of("relu6")
    clip = next(node for node in graph.nodes if node.op == "clip")
    graph.set_input(clip, 1, graph.add_constant(np.float32(-1)))
    assert len(find_pairs(graph)) == 1
