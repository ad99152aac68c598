"""Normalizations and gates on load, end to end: the kernel that convolutions with a prologue get, and their numbers."""

from __future__ import annotations

import numpy as np
import pytest

import cnnc
from cnnc import interp
from cnnc.dims import symbol
from cnnc.ir import Graph, Value
from cnnc.ir.clone import clone_graph
from cnnc.ops import OPS
from cnnc.ops.activation import Activation
from cnnc.types import DType, TensorType
from tests.lower.test_channel_ranges import concat, conv
from tests.numeric.tolerance import additions, assert_close

pytestmark = pytest.mark.jit


def _layer(graph: Graph, x: Value, rng: np.random.Generator) -> Value:
    """Norm, relu, 1x1, 3x3 and the concat of a dense block."""
    channels = int(x.type.shape[1])
    scale, shift = (graph.add_constant(rng.standard_normal(channels).astype(np.float32), "v") for _ in range(2))
    attrs = OPS["scale_shift"].attrs(activation=Activation("relu"))
    normal = graph.add_node("scale_shift", [x, scale, shift], attrs).output
    return concat(graph, [x, conv(graph, conv(graph, normal, 20, rng, kernel=1), 5, rng)])


@pytest.mark.parametrize("level", [1, 2, pytest.param(3, marks=pytest.mark.slow)])
def test_a_dense_block(level: int) -> None:
    graph, rng = Graph(OPS), np.random.default_rng(0)
    x = conv(graph, graph.add_input("x", TensorType((symbol("N"), 5, 7, 9), DType.F32)), 19, rng)
    graph.set_outputs([_layer(graph, _layer(graph, x, rng), rng)], ["y"])
    reference = clone_graph(graph)
    model = cnnc.compile(graph, level=level)
    chosen = [decision.chosen for decision in model.lowered.decisions]
    assert chosen.count("conv.f32.blocked.pointwise") == 2 and "elementwise.tape" not in chosen
    for batch in (1, 3):
        x = np.random.default_rng(batch).standard_normal((batch, 5, 7, 9)).astype(np.float32)
        truth = interp.run(reference, {"x": x}, float64=True)
        assert_close(model.run({"x": x}), truth, additions(reference, {"N": batch}))


@pytest.mark.parametrize("level", [1, 2])
def test_squeeze_and_excite(level: int) -> None:
    graph, rng = Graph(OPS), np.random.default_rng(1)
    x = conv(graph, graph.add_input("x", TensorType((symbol("N"), 5, 7, 9), DType.F32)), 37, rng)
    gate = graph.add_node("global_average_pool", [x], OPS["global_average_pool"].attrs()).output
    gate = graph.add_node("sigmoid", [conv(graph, gate, 37, rng, kernel=1)], OPS["sigmoid"].attrs()).output
    product = graph.add_node("mul", [x, gate], OPS["mul"].attrs()).output
    graph.set_outputs([conv(graph, product, 24, rng, kernel=1)], ["y"])
    reference = clone_graph(graph)
    model = cnnc.compile(graph, level=level)
    assert "elementwise.tape" not in [decision.chosen for decision in model.lowered.decisions]
    for batch in (1, 3):
        x = np.random.default_rng(batch).standard_normal((batch, 5, 7, 9)).astype(np.float32)
        truth = interp.run(reference, {"x": x}, float64=True)
        assert_close(model.run({"x": x}), truth, additions(reference, {"N": batch}))
