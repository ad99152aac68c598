"""Which steps the lowering declares as in place, and that networks with such steps keep their numbers."""

from __future__ import annotations

import numpy as np
import pytest

import cnnc
from cnnc import interp
from cnnc.dims import symbol
from cnnc.ir import Graph, Value
from cnnc.ir.clone import clone_graph
from cnnc.ops import OPS
from cnnc.runtime.program import KernelStep, Program
from cnnc.types import DType, TensorType
from tests.lower.test_channel_ranges import concat, conv

pytestmark = pytest.mark.jit


def node(graph: Graph, op: str, *values: Value) -> Value:
    return graph.add_node(op, list(values), OPS[op].attrs()).output


def compiled(graph: Graph, *outputs: Value) -> Program:
    """The program, once its results are those of the interpreter for batches of 1 and 3, whatever the threads."""
    graph.set_outputs(list(outputs), [f"y{i}" for i in range(len(outputs))])
    reference = clone_graph(graph)
    model = cnnc.compile(graph)
    for batch in (1, 3):
        x = np.random.default_rng(batch).standard_normal((batch, 5, 6, 7)).astype(np.float32)
        truth = interp.run(reference, {"x": x}, float64=True)
        for name, got in model.run({"x": x}).items():
            np.testing.assert_allclose(got, truth[name], rtol=0, atol=1e-5 * float(truth[name].std()))
    return model.lowered.program


def inplace_ops(program: Program) -> list[str]:
    return [step.op for step in program.steps if isinstance(step, KernelStep) and step.inplace]


@pytest.fixture
def graph() -> Graph:
    graph = Graph(OPS)
    graph.add_input("x", TensorType((symbol("N"), 5, 6, 7), DType.F32))
    return graph


@pytest.mark.parametrize("kernel", [1, 3])
def test_convolution_writes_over_its_residual(graph: Graph, kernel: int) -> None:
    rng = np.random.default_rng(0)
    skip = conv(graph, graph.inputs[0], 20, rng)
    branch = conv(graph, conv(graph, skip, 8, rng), 20, rng, kernel)
    program = compiled(graph, conv(graph, node(graph, "relu", node(graph, "add", branch, skip)), 3, rng))
    assert inplace_ops(program) == ["conv"]


def test_convolution_of_its_own_residual_is_not_in_place(graph: Graph) -> None:
    """The window reads neighbours of the element that the result would overwrite."""
    rng = np.random.default_rng(1)
    x = conv(graph, graph.inputs[0], 16, rng)
    program = compiled(graph, conv(graph, node(graph, "add", conv(graph, x, 16, rng), x), 3, rng))
    assert inplace_ops(program) == []


def test_a_residual_that_lies_in_a_range_is_not_overwritten(graph: Graph) -> None:
    rng = np.random.default_rng(2)
    skip = conv(graph, graph.inputs[0], 16, rng)
    total = node(graph, "add", conv(graph, conv(graph, skip, 8, rng), 16, rng), skip)
    program = compiled(graph, conv(graph, concat(graph, [skip, total]), 3, rng))
    assert inplace_ops(program) == []


def test_softmax_writes_over_its_operand(graph: Graph) -> None:
    program = compiled(graph, node(graph, "softmax", node(graph, "exp", graph.inputs[0])))
    assert inplace_ops(program) == ["softmax"]


def test_a_chain_writes_over_an_operand_that_lies_alike(graph: Graph) -> None:
    rng = np.random.default_rng(3)
    a, b = conv(graph, graph.inputs[0], 20, rng), conv(graph, graph.inputs[0], 20, rng)
    total = node(graph, "mul", node(graph, "sigmoid", a), b)
    assert inplace_ops(compiled(graph, conv(graph, total, 3, rng))) != []


def test_an_operand_that_is_broadcast_is_not_overwritten(graph: Graph) -> None:
    mean = graph.add_node("global_average_pool", [graph.inputs[0]], OPS["global_average_pool"].attrs()).output
    gate = node(graph, "sigmoid", mean)
    program = compiled(graph, node(graph, "transpose", node(graph, "mul", gate, graph.inputs[0])))
    pairs = [step.inplace for step in program.steps if isinstance(step, KernelStep) and step.op == "mul"]
    assert pairs in ([], [()])
