"""Readers of removed channels are fitted on samples before the channels leave."""

from __future__ import annotations

import numpy as np

from cnnc import interp
from cnnc.channels import dependencies, shrink
from cnnc.ir import Graph, Value
from cnnc.pruning import ChannelSettings, prune_channels, prune_graph_channels
from cnnc.pruning.channel_recovery import reader_masks
from cnnc.pruning.masks import apply_masks
from tests.passes.sketch import Sketch


def network() -> Graph:
    """Layer "a" has twice as many filters as its results have dimensions: what half of them say, the others say too."""
    sketch = Sketch()
    x = sketch.input("N", 3, 8, 8)
    random = np.random.default_rng(2)
    rows = random.standard_normal((6, 3)) @ np.ones((3, 3)) / 3 + random.standard_normal((6, 3))
    a = sketch.op("conv", x, sketch.const(np.concatenate([rows, 0.5 * rows])[:, :, None, None], "wa"), name="a")
    b = sketch.op("conv", a, sketch.normal(4, 12, 1, 1, name="wb"), sketch.normal(4), name="b")
    return sketch.returns(b).graph


def samples() -> list[dict[str, np.ndarray]]:
    random = np.random.default_rng(5)
    return [{"x": random.standard_normal((8, 3, 8, 8)).astype(np.float32)} for _ in range(4)]


def error(graph: Graph, other: Graph) -> float:
    feeds = {"x": np.random.default_rng(9).standard_normal((4, 3, 8, 8)).astype(np.float32)}
    (wanted,), (got,) = (list(interp.run(each, feeds, float64=True).values()) for each in (graph, other))
    return float(np.abs(got - wanted).max() / wanted.std())


def test_masks_are_what_removal_means() -> None:
    def constant(graph: Graph, name: str) -> Value:
        return graph.value(name)

    graph = network()
    found = dependencies(graph)
    labels = found.axes(constant(graph, "wa"))[0]
    assert labels is not None
    removed = np.unique(found.couplings.roots(labels[[1, 7]]))
    masks = reader_masks(found, removed)
    assert list(masks) == ["wb"]
    assert np.flatnonzero(~masks["wb"].all(axis=(0, 2, 3))).tolist() == [1, 7]
    small = shrink(found, removed)
    apply_masks(graph, masks)
    assert error(graph, small) < 1e-9


def test_what_the_others_can_say_is_recovered() -> None:
    graph = network()
    settings = ChannelSettings(0.5, round_to=1)
    plain = prune_graph_channels(graph, settings)
    fitted = prune_graph_channels(graph, settings, samples=samples)
    assert plain.groups == fitted.groups
    assert error(graph, plain.graph) > 0.1
    assert error(graph, fitted.graph) < 1e-2


def test_in_one_call() -> None:
    graph = network()
    done = prune_channels(graph, sparsity=0.5, round_to=1, data=iter(samples()))
    assert done.sparsity == 0.5
    assert error(graph, done.graph) < 1e-2
