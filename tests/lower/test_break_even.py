"""The break-even of a layer is where selection changes between hypothetical densities of its weight."""

from __future__ import annotations

import numpy as np
import pytest

import cnnc
from cnnc.ir import Graph
from cnnc.lower import ProgramBuilder
from cnnc.lower.break_even import STEPS, BreakEven, break_evens
from cnnc.lower.cpu_rules import RULES
from cnnc.lower.density import weight_density
from cnnc.lower.rules import offers_for
from cnnc.ops import OPS
from cnnc.types import DType, TensorType

pytestmark = pytest.mark.jit


def compiled(density: float, share: int = 1, groups: int = 1) -> cnnc.CompiledModel:
    """A 1x1 convolution of 128 to 128 channels at 28x28 whose rows of ``share`` outputs have their zeros in common."""
    graph, rng = Graph(OPS), np.random.default_rng(0)
    x = graph.add_input("x", TensorType((1, 128, 28, 28), DType.F32))
    kept = np.repeat(rng.random((128 // share, 128 // groups)) < density, share, axis=0)
    weight = np.where(kept, rng.standard_normal(kept.shape), 0).astype(np.float32).reshape(*kept.shape, 1, 1)
    attrs = OPS["conv"].attrs(group=groups)
    graph.set_outputs([graph.add_node("conv", [x, graph.add_constant(weight, "w")], attrs, names=["y"]).output], ["y"])
    return cnnc.compile(graph)


def found(model: cnnc.CompiledModel) -> BreakEven:
    [node] = [node for node in model.graph.nodes if node.op == "conv"]
    return break_evens(model.graph, [node.output.name], model.target, model.lowered.numerics)[node.output.name]


def kernel(density: float, share: int = 1) -> str:
    model = compiled(density, share)
    [node] = [node for node in model.graph.nodes if node.op == "conv"]
    builder = ProgramBuilder(model.graph, model.target, model.lowered.numerics)
    return offers_for(node, RULES["conv"], builder).best.rule.name


@pytest.mark.parametrize("share", [1, 4])
def test_selection_changes_at_the_break_even(share: int) -> None:
    even = found(compiled(0.1, share))
    assert even.dense_kernel == kernel(1.0)
    assert 0.1 < even.density < 1
    assert kernel(even.density - 0.06, share) != even.dense_kernel
    assert kernel(even.density + 0.06, share) == even.dense_kernel
    assert even.density * STEPS == int(even.density * STEPS)


def test_a_layer_whose_kernels_cannot_leave_zeros_out() -> None:
    assert found(compiled(0.1, groups=2)).density == 0


def test_the_model_keeps_its_weights() -> None:
    model = compiled(0.1)
    before = [value.array for value in model.graph.constants]
    found(model)
    assert all(value.array is array for value, array in zip(model.graph.constants, before, strict=True))


def test_only_nodes_that_are_asked_for() -> None:
    model = compiled(0.1)
    assert break_evens(model.graph, [], model.target) == {}


@pytest.mark.parametrize("op", ["gemm", "matmul"])
def test_matrix_products(op: str) -> None:
    graph, rng = Graph(OPS), np.random.default_rng(0)
    x = graph.add_input("x", TensorType((1, 1024), DType.F32))
    weight = np.where(rng.random((1024, 1000)) < 0.1, rng.standard_normal((1024, 1000)), 0).astype(np.float32)
    node = graph.add_node(op, [x, graph.add_constant(weight, "w")], OPS[op].attrs(), names=["y"])
    graph.set_outputs([node.output], ["y"])
    model = cnnc.compile(graph)
    [lowered] = [node for node in model.graph.nodes if node.op in ("gemm", "matmul")]
    even = break_evens(model.graph, [lowered.output.name], model.target)[lowered.output.name]
    assert 0.1 < even.density < 1
    assert even.dense_kernel == "gemm.f32"


def test_hypothetical_weights_have_the_density_and_the_pattern() -> None:
    from cnnc.lower.break_even import _Hypothesis
    from cnnc.lower.density import layer_weight

    for share, pattern in ((1, "unstructured"), (4, "block4")):
        model = compiled(0.1, share)
        [node] = [node for node in model.graph.nodes if node.op == "conv"]
        weight = layer_weight(node)
        assert weight is not None
        made = weight_density(_Hypothesis(node, weight, pattern).stored(0.4))
        assert made.pattern == pattern
        assert made.density == pytest.approx(0.4, abs=0.03)
