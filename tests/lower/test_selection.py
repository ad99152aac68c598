"""Layers have stable keys and stand alone; a selection decides which rule and tiling a node gets."""

import numpy as np
import pytest

from cnnc.compiler import optimise_graph
from cnnc.dims import symbol
from cnnc.ir import Graph, Notes
from cnnc.lower import lower
from cnnc.lower.candidates import candidates, tiled_rules, tunable_ops
from cnnc.lower.layer import layer_key, single_layer
from cnnc.lower.selection import LayerTiming, Selection
from cnnc.ops import OPS
from cnnc.ops.conv import ConvAttrs, ConvTransposeAttrs
from cnnc.ops.linear import GemmAttrs
from cnnc.options import Options
from cnnc.runtime.jit.target import x86_target
from cnnc.types import DType, TensorType

TARGET = x86_target("avx512")
BATCH = symbol("N")


def placed(op, shape, weights, attrs, density=1.0, seed=0):
    """The placed node of a model that is one layer, and its graph."""
    graph = Graph(OPS)
    x = graph.add_input("x", TensorType(shape, DType.F32))
    rng = np.random.default_rng(seed)
    kept = rng.random(weights) <= density
    w = graph.add_constant(np.where(kept, rng.standard_normal(weights), 0).astype(np.float32), "w")
    graph.set_outputs([graph.add_node(op, [x, w], attrs, names=("y",)).output], ["y"])
    optimise_graph(graph, Options(), Notes(), target=TARGET)
    [node] = [node for node in graph.nodes if node.op == op]
    return node, graph


LAYERS = {
    "direct": ("conv", (BATCH, 32, 28, 28), (64, 32, 3, 3), ConvAttrs(pads=(1, 1, 1, 1))),
    "pointwise": ("conv", (2, 64, 14, 14), (96, 64, 1, 1), ConvAttrs()),
    "depthwise": ("conv", (1, 48, 21, 21), (48, 1, 3, 3), ConvAttrs(group=48)),
    "image": ("conv", (1, 3, 40, 40), (16, 3, 5, 5), ConvAttrs(strides=(2, 2))),
    "transposed": ("conv_transpose", (1, 32, 9, 9), (32, 16, 4, 4), ConvTransposeAttrs(strides=(2, 2))),
    "gemm": ("gemm", (BATCH, 300), (300, 100), GemmAttrs()),
    "sparse": ("conv", (1, 64, 14, 14), (96, 64, 3, 3), ConvAttrs(pads=(1, 1, 1, 1)), 0.1),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layer_stands_alone(name):
    node, _ = placed(*LAYERS[name])
    layer = single_layer(node)
    [alone] = layer.nodes
    assert layer_key(alone, TARGET) == layer_key(node, TARGET)
    assert all(value.type.is_static for value in layer.inputs)
    assert lower(layer, TARGET).decisions[0].chosen in tiled_rules(TARGET)


@pytest.mark.parametrize("name", LAYERS)
def test_first_candidate_is_what_the_cost_model_takes(name):
    node, _ = placed(*LAYERS[name])
    layer = single_layer(node)
    first, *others = candidates(layer, TARGET, 4)
    key = layer_key(node, TARGET)
    default = lower(layer, TARGET)
    assert lower(layer, TARGET, Selection({key: LayerTiming((first,), (1.0,), 0)})).program == default.program
    assert len(others) >= 2
    for other in others:
        chosen = lower(layer, TARGET, Selection({key: LayerTiming((first, other), (2.0, 1.0), 1)}))
        assert chosen.decisions[0].chosen == other.rule
        assert chosen.program != default.program


@pytest.mark.parametrize("name", LAYERS)
def test_candidates_are_distinct_and_of_their_rules_kind(name):
    found = candidates(single_layer(placed(*LAYERS[name])[0]), TARGET, 6)
    assert len({(item.rule, item.tiling) for item in found}) == len(found)
    assert all(isinstance(item.tiling, tiled_rules(TARGET)[item.rule].kind) for item in found)


def test_another_kernel_is_a_candidate_and_its_refusal_is_kept():
    node, graph = placed(*LAYERS["pointwise"])
    first, *others = candidates(single_layer(node), TARGET, 2)
    direct = next(item for item in others if item.rule == "conv.f32.blocked.direct")
    timing = LayerTiming((first, direct), (2e-3, 1e-3), 1)
    [decision] = [
        decision
        for decision in lower(graph, TARGET, Selection({layer_key(node, TARGET): timing})).decisions
        if decision.op == "conv"
    ]
    assert decision.chosen == direct.rule
    assert decision.timing == timing
    assert ("conv.f32.blocked.pointwise", f"{direct.rule} was measured to be faster") in decision.refused


def test_key_tells_speeds_apart_and_nothing_else():
    op, shape, weights, attrs = LAYERS["direct"]
    key = layer_key(placed(op, shape, weights, attrs)[0], TARGET)
    same = placed(op, (symbol("batch"), *shape[1:]), weights, attrs)[0]
    assert layer_key(same, TARGET) == key == layer_key(placed(op, (1, *shape[1:]), weights, attrs)[0], TARGET)
    for other in (
        (op, (4, *shape[1:]), weights, attrs),
        (op, (1, 32, 28, 30), weights, attrs),
        (op, shape, weights, ConvAttrs(pads=(2, 2, 2, 2), dilations=(2, 2))),
        (op, shape, (32, 32, 3, 3), attrs),
    ):
        assert layer_key(placed(*other)[0], TARGET) != key
    assert layer_key(same, x86_target("avx2")) != key


def test_key_tells_the_zeros_of_weights():
    dense = LAYERS["direct"]
    sparse = layer_key(placed(*dense, 0.1)[0], TARGET)
    assert "zeros=unstructured,10%" in sparse
    assert layer_key(placed(*dense, 0.1, seed=1)[0], TARGET) == sparse  # zeros elsewhere
    assert len({sparse, *(layer_key(placed(*dense, density)[0], TARGET) for density in (1.0, 0.3, 0.99))}) == 3


def test_ops_that_have_tilings():
    assert {"conv", "conv_transpose", "gemm", "matmul"} <= tunable_ops(TARGET)
