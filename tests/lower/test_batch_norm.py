"""Batch normalization with constant statistics runs on the tape when no pass has folded it."""

from __future__ import annotations

import numpy as np
import pytest

import cnnc
from cnnc import interp
from cnnc.dims import symbol
from cnnc.ir import Graph
from cnnc.ir.clone import clone_graph
from cnnc.ops import OPS
from cnnc.types import DType, TensorType

pytestmark = pytest.mark.jit


def normalized(shape: tuple[int, ...], constant: bool = True) -> Graph:
    rng = np.random.default_rng(0)
    graph = Graph(OPS)
    x = graph.add_input("x", TensorType((symbol("N"), *shape), DType.F32))
    gamma, beta, mean = (graph.add_constant(rng.standard_normal(shape[0], np.float32), name) for name in "gbm")
    variance = graph.add_constant(rng.random(shape[0], np.float32), "v")
    if not constant:
        mean = graph.add_input("mean", TensorType(shape[:1], DType.F32))
    attrs = OPS["batch_normalization"].attrs(epsilon=1e-3)
    graph.set_outputs([graph.add_node("batch_normalization", [x, gamma, beta, mean, variance], attrs).output], ["y"])
    return graph


def chosen(model: cnnc.CompiledModel) -> str:
    [decision] = [found for found in model.lowered.decisions if found.op == "batch_normalization"]
    return decision.chosen


@pytest.mark.parametrize("shape", [(5,), (19, 7), (3, 6, 5), (16, 4, 5, 3)], ids=str)
def test_constant_statistics(shape: tuple[int, ...]) -> None:
    graph = normalized(shape)
    reference = clone_graph(graph)
    model = cnnc.compile(graph, level=0)
    assert chosen(model) == "elementwise.tape"
    x = np.random.default_rng(1).standard_normal((2, *shape), np.float32)
    truth = interp.run(reference, {"x": x}, float64=True)["y"]
    np.testing.assert_allclose(model.run({"x": x})["y"], truth, rtol=0, atol=1e-6 * float(np.abs(truth).max()))


def test_other_statistics_run_on_the_host() -> None:
    graph = normalized((3, 6, 5), constant=False)
    reference = clone_graph(graph)
    model = cnnc.compile(graph, level=0)
    assert chosen(model) == "host"
    rng = np.random.default_rng(1)
    feeds = {"x": rng.standard_normal((2, 3, 6, 5), np.float32), "mean": rng.standard_normal(3, np.float32)}
    truth = interp.run(reference, feeds, float64=True)["y"]
    np.testing.assert_allclose(model.run(feeds)["y"], truth, rtol=0, atol=1e-5)
