"""Which convolutions run by lists of their weights, why others do not, and what programs of them compute."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import cnnc
from cnnc import interp
from cnnc.compiler import compile_graph
from cnnc.dims import symbol
from cnnc.ir import Graph, Value
from cnnc.ir.clone import clone_graph
from cnnc.lower.builder import Decision
from cnnc.ops import OPS
from cnnc.ops.activation import Activation
from cnnc.options import Options
from cnnc.runtime.artifact import load_artifact
from cnnc.types import DType, TensorType
from tests.lower.test_channel_ranges import concat
from tests.numeric.tolerance import additions, assert_close

NAME = "conv.f32.blocked.sparse"


def pruned(shape: tuple[int, ...], density: float, block: int = 1) -> np.ndarray[Any, Any]:
    """Normal weights [OC, ...], a share of ``density`` of which are not zero; ``block`` filters are zero together."""
    rng = np.random.default_rng(sum(shape))
    kept = rng.random((-(-shape[0] // block), *shape[1:])) < density
    values = rng.standard_normal(shape) / np.sqrt(max(1.0, density * np.prod(shape[1:])))
    return np.where(np.repeat(kept, block, axis=0)[: shape[0]], values, 0).astype(np.float32)


def conv(graph: Graph, x: Value, filters: int, density: float, window: int = 1, block: int = 1, **attrs: Any) -> Value:
    """A convolution that keeps the size at stride 1."""
    shape = (filters, int(x.type.shape[1]) // attrs.get("group", 1), window, window)
    w = graph.add_constant(pruned(shape, density, block), "w")
    attrs = {"pads": (window // 2,) * 4} | attrs
    return graph.add_node("conv", [x, w], OPS["conv"].attrs(**attrs)).output


def graph_of(build: Any, shape: tuple[Any, ...] = (1, 16, 14, 14)) -> Graph:
    """A graph of one input; ``build(graph, x)`` adds its nodes and gives its result."""
    graph = Graph(OPS)
    graph.set_outputs([build(graph, graph.add_input("x", TensorType(shape, DType.F32)))], ["y"])
    return graph


def decision(
    density: float = 0.1, channels: int = 256, filters: int = 256, options: Options | None = None, **attrs: Any
) -> Decision:
    """How a convolution of a blocked map with ``channels`` is lowered."""
    size = attrs.pop("size", 14)
    graph = graph_of(lambda g, x: conv(g, conv(g, x, channels, 1.0), filters, density, **attrs), (1, 16, size, size))
    return [item for item in compile_graph(graph, options or Options()).lowered.decisions if item.op == "conv"][-1]


def reason(found: Decision) -> str:
    assert found.chosen != NAME
    [said] = [why for rule, why in found.refused if rule == NAME]
    return said


@pytest.mark.parametrize(
    "layer",
    [{}, {"window": 3}, {"window": 3, "strides": (2, 2)}, {"size": 7, "channels": 512}, {"block": 4, "density": 0.2}],
    ids=str,
)
def test_taken_where_weights_are_mostly_zero(layer):
    assert decision(**layer).chosen == NAME


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        ({"density": 1.0}, "100% of its weights are not zero"),
        ({"density": 0.4, "window": 3, "size": 28}, "is estimated to take"),
        ({"group": 2}, "groups"),
        ({"channels": 16, "filters": 16, "size": 4}, "is estimated to take"),
        ({"options": Options(level=1)}, "float64"),
    ],
    ids=str,
)
def test_refused_with_a_reason(layer, said):
    assert said in reason(decision(**layer))


def test_plain_inputs_are_refused():
    graph = graph_of(lambda g, x: conv(g, x, 256, 0.1, window=3), (1, 3, 28, 28))
    [found] = [item for item in compile_graph(graph, Options()).lowered.decisions if item.op == "conv"]
    assert "plain layout" in reason(found)


def check(graph: Graph, shapes: list[tuple[int, ...]], sparse: int, **named: int) -> None:
    """``sparse`` layers of the compiled graph are sparse, and its results those of the reference."""
    reference = clone_graph(graph)
    model = cnnc.compile(graph)
    assert [item.chosen for item in model.lowered.decisions].count(NAME) == sparse
    for shape in shapes:
        x = np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)
        truth = interp.run(reference, {"x": x}, float64=True)
        sizes = {name: shape[axis] for name, axis in named.items()}
        assert_close(model.run({"x": x}), truth, additions(reference, sizes))


@pytest.mark.jit
def test_symbolic_sizes():
    dims = (symbol("N"), 16, symbol("H"), symbol("W"))

    def build(graph: Graph, x: Value) -> Value:
        x = conv(graph, conv(graph, x, 128, 1.0), 128, 0.1, 3)
        return conv(graph, x, 128, 0.1, 3, strides=(2, 2))

    check(graph_of(build, dims), [(1, 16, 20, 30), (2, 16, 7, 9), (3, 16, 1, 1)], 2, N=0, H=2, W=3)


@pytest.mark.jit
def test_concats_of_odd_channels():
    def build(graph: Graph, x: Value) -> Value:
        pieces = [conv(graph, x, filters, 1.0) for filters in (37, 130, 21)]
        return conv(graph, concat(graph, pieces), 160, 0.1)

    check(graph_of(build), [(1, 16, 14, 14)], 1)


@pytest.mark.jit
def test_normalization_in_front():
    def build(graph: Graph, x: Value) -> Value:
        x = conv(graph, x, 200, 1.0)
        rng = np.random.default_rng(0)
        scale, shift = (graph.add_constant(rng.standard_normal(200).astype(np.float32), "v") for _ in range(2))
        attrs = OPS["scale_shift"].attrs(activation=Activation("relu"))
        normal = graph.add_node("scale_shift", [x, scale, shift], attrs).output
        return concat(graph, [x, conv(graph, normal, 128, 0.1)])

    check(graph_of(build), [(1, 16, 14, 14)], 1)


@pytest.mark.jit
def test_squeeze_and_excite():
    def build(graph: Graph, x: Value) -> Value:
        x = conv(graph, x, 200, 1.0)
        gate = graph.add_node("global_average_pool", [x], OPS["global_average_pool"].attrs()).output
        gate = graph.add_node("sigmoid", [conv(graph, gate, 200, 1.0)], OPS["sigmoid"].attrs()).output
        return conv(graph, graph.add_node("mul", [x, gate], OPS["mul"].attrs()).output, 96, 0.1)

    check(graph_of(build, (symbol("N"), 16, 28, 28)), [(1, 16, 28, 28), (2, 16, 28, 28)], 1, N=0)


@pytest.mark.jit
def test_artifacts_hold_the_lists(tmp_path):
    graph = graph_of(lambda g, x: conv(g, conv(g, x, 256, 1.0), 256, 0.1, 3))
    compiled = compile_graph(graph, Options())
    compiled.save(tmp_path / "model.cnnc")
    x = np.random.default_rng(0).standard_normal((1, 16, 14, 14)).astype(np.float32)
    loaded = cnnc.runtime.InferenceSession(tmp_path / "model.cnnc")
    before, [after] = compiled.run({"x": x}), loaded.run(None, {"x": x})
    assert np.array_equal(before["y"], after)
    assert NAME in {variant.kernel for variant in load_artifact(tmp_path / "model.cnnc").program.variants()}
