"""Dead channels leave the graph, and nothing else does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cnnc.channels.dead_channels import may_have_dead_channels
from cnnc.ir import Graph, Notes, Value
from cnnc.ir.text import print_graph
from cnnc.passes import PassManager, make_pass
from tests.ir.random_graphs import random_graphs
from tests.passes.sketch import Sketch, run_pass

PASS = "remove-dead-channels"


def with_zeros(sketch: Sketch, name: str, *shape: int, rows: Any = (), columns: Any = ()) -> Value:
    array = np.random.default_rng(1).uniform(0.5, 2, shape).astype(np.float32)
    array[list(rows)] = 0
    array[:, list(columns)] = 0
    return sketch.const(array, name)


def channels(graph: Graph, name: str) -> object:
    return graph.value(name).type.shape[1]


def chain(*between: str, bias: float = 0.0, **attrs: Any) -> Sketch:
    """Filters 1 and 4 of the first layer are zeros; element-wise ops stand behind it."""
    sketch = Sketch()
    x = sketch.input("N", 3, 6, 6)
    made = sketch.op("conv", x, with_zeros(sketch, "w", 6, 3, 3, 3, rows=(1, 4)), sketch.const([bias] * 6), name="a")
    for op in between:
        made = sketch.op(op, made)
    y = sketch.op("conv", made, sketch.normal(2, 6, 3, 3), name="y", **attrs)
    return sketch.returns(y)


@pytest.mark.parametrize(
    ("between", "bias", "left"),
    [
        ((), 0.0, 4),
        (("relu",), -1.0, 4),
        (("relu",), 1.0, 6),
        (("hard_swish",), -4.0, 4),
        (("sigmoid",), 0.0, 6),
        (("tanh", "leaky_relu"), 0.0, 4),
        (("neg", "relu", "sqrt"), 1.0, 4),
    ],
)
def test_filters_of_zeros(between: tuple[str, ...], bias: float, left: int) -> None:
    done = run_pass(chain(*between, bias=bias), PASS)
    assert channels(done.graph, "a") == left
    assert done.changed == (left == 4)


def test_a_channel_that_is_a_number_stays_behind_a_border() -> None:
    assert not run_pass(chain("relu", bias=1.0, pads=(1, 1, 1, 1)), PASS).changed


def test_channels_that_nobody_reads() -> None:
    sketch = Sketch()
    x = sketch.input("N", 3, 6, 6)
    a = sketch.op("relu", sketch.op("conv", x, sketch.normal(5, 3, 1, 1), sketch.normal(5), name="a"))
    y = sketch.op("conv", a, with_zeros(sketch, "v", 2, 5, 1, 1, columns=(0, 3)), name="y")
    z = sketch.op("conv", a, with_zeros(sketch, "u", 2, 5, 1, 1, columns=(0, 2)), name="z")
    done = run_pass(sketch.returns(y, z), PASS)
    assert channels(done.graph, "a") == 4


def test_what_becomes_dead_goes_too() -> None:
    """Filter 1 of "b" is zeros; it was the only one to read channel 2 of "a"."""
    sketch = Sketch()
    x = sketch.input("N", 3, 6, 6)
    a = sketch.op("conv", x, sketch.normal(4, 3, 1, 1), name="a")
    weights = np.ones((3, 4, 1, 1), np.float32)
    weights[:, 2] = 0
    weights[1] = [[[0]], [[0]], [[1]], [[0]]]
    b = sketch.op("conv", a, sketch.const(weights), name="b")
    y = sketch.op("conv", b, with_zeros(sketch, "v", 2, 3, 1, 1, columns=(1,)), name="y")
    done = run_pass(sketch.returns(y), PASS)
    assert (channels(done.graph, "a"), channels(done.graph, "b")) == (3, 2)


def test_a_gate_a_depthwise_filter_and_a_sum() -> None:
    """Zeros stay zeros through a product with an unknown gate, a depthwise layer without bias, and a concat."""
    sketch = Sketch()
    x = sketch.input("N", 3, 6, 6)
    a = sketch.op("conv", x, with_zeros(sketch, "w", 6, 3, 1, 1, rows=(2,)), name="a")
    d = sketch.op("relu", sketch.op("conv", a, sketch.positive(6, 1, 3, 3), name="d", group=6))
    gate = sketch.op("sigmoid", sketch.op("conv", sketch.op("global_average_pool", d), sketch.normal(6, 6, 1, 1)))
    gated = sketch.op("mul", d, gate)
    joined = sketch.op("concat", sketch.op("max_pool", gated, kernel_shape=(1, 2)), sketch.op("relu", gated), axis=3)
    y = sketch.op("gemm", sketch.op("flatten", joined), sketch.normal(6 * 4 * 7, 3), name="y")
    z = sketch.op("conv", gated, sketch.normal(2, 6, 1, 1), name="z")
    done = run_pass(sketch.returns(y, z), PASS)
    assert channels(done.graph, "a") == channels(done.graph, "d") == 5


def test_a_residual_keeps_what_one_side_makes() -> None:
    sketch = Sketch()
    x = sketch.input("N", 3, 6, 6)
    a = sketch.op("conv", x, with_zeros(sketch, "w", 4, 3, 1, 1, rows=(1, 2)), name="a")
    b = sketch.op("conv", x, with_zeros(sketch, "v", 4, 3, 1, 1, rows=(2, 3)), name="b")
    y = sketch.op("conv", sketch.op("add", a, b), sketch.normal(2, 4, 1, 1), name="y")
    assert channels(run_pass(sketch.returns(y), PASS).graph, "a") == 3


def test_a_layer_of_zeros_keeps_one_channel() -> None:
    sketch = Sketch()
    x = sketch.input("N", 3, 6, 6)
    a = sketch.op("conv", x, sketch.const(np.zeros((4, 3, 1, 1))), name="a")
    y = sketch.op("conv", a, sketch.normal(2, 4, 1, 1), name="y")
    assert channels(run_pass(sketch.returns(y), PASS).graph, "a") == 1


@pytest.mark.parametrize("op", ["softmax", "lrn"])
def test_channels_that_are_mixed_stay(op: str) -> None:
    attrs = {"axis": 1} if op == "softmax" else {"size": 3}
    sketch = Sketch()
    x = sketch.input("N", 3, 6, 6)
    a = sketch.op("conv", x, with_zeros(sketch, "w", 4, 3, 1, 1, rows=(1,)), name="a")
    y = sketch.op("conv", sketch.op(op, a, **attrs), sketch.normal(2, 4, 1, 1), name="y")
    assert not run_pass(sketch.returns(y), PASS).changed


def test_matrix_products() -> None:
    sketch = Sketch()
    x = sketch.input("N", 8)
    a = sketch.op("gemm", x, with_zeros(sketch, "w", 6, 8, rows=(0, 5)), sketch.const([-1.0] * 6), transB=1, name="a")
    y = sketch.op("gemm", sketch.op("relu", a), with_zeros(sketch, "v", 6, 3, rows=(1,)), sketch.normal(3), name="y")
    assert channels(run_pass(sketch.returns(y), PASS).graph, "a") == 3


def test_dense_weights_are_not_followed() -> None:
    sketch = Sketch()
    x = sketch.input("N", 3, 6, 6)
    weights = np.random.default_rng(0).standard_normal((8, 3, 3, 3))
    weights[:, :, 0, 0] = 0
    graph = sketch.returns(sketch.op("conv", x, sketch.const(weights))).graph
    assert not may_have_dead_channels(graph)
    assert may_have_dead_channels(chain().graph)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(random_graphs(), st.integers(0, 2**16), st.sampled_from([0.3, 0.7]))
def test_random_graphs_with_zeros(graph: Graph, seed: int, share: float) -> None:
    random = np.random.default_rng(seed)
    for value in graph.constants:
        if value.array is None or value.array.ndim < 2:
            continue
        zeros = [random.random(size) < share for size in value.array.shape[:2]]
        array = np.array(value.array)
        array[zeros[0]] = 0
        array[:, zeros[1]] = 0
        graph.set_constant(value, array)
    manager = PassManager([make_pass(PASS)], verify_level=2, check=True)
    manager.run(graph, Notes())
    once = print_graph(graph)
    (report,) = manager.run(graph, Notes())
    assert not report.changed, once
