"""Explanations of networks that cnnc brings along: complete, and each fact with the node that it is about."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

import cnnc
from cnnc import models
from cnnc.compiler import CompiledModel
from cnnc.explanation import Explanation
from cnnc.ir import ANY, Bind, Const, Graph, Miss, Op, match
from cnnc.ops import OPS
from cnnc.types import DType, TensorType

RESNET = Path(__file__).resolve().parents[2] / "examples" / "models" / "resnet14_fashion-bn.onnx"
NAMES = ("lenet5", "resnet18", "mobilenet_v3_small", "shufflenet_v2_x0_5", "radar1d")


@pytest.fixture(scope="module", params=NAMES)
def compiled(request: pytest.FixtureRequest) -> CompiledModel:
    return cnnc.compile(models.model(request.param))


@pytest.fixture(scope="module")
def explanation(compiled: CompiledModel) -> Explanation:
    return cnnc.explain(compiled)


def test_every_node_is_explained_once(compiled: CompiledModel, explanation: Explanation) -> None:
    nodes = {node.output.name: node for node in compiled.graph.nodes if node.op != "dims"}
    assert [each.value for each in explanation.nodes] == list(nodes)
    for each in explanation.nodes:
        node = nodes[each.value]
        assert (each.op, each.type) == (node.op, str(node.output.type))
        assert tuple(origin.name for origin in each.origins) == node.loc


def test_origins_are_nodes_of_the_model(compiled: CompiledModel, explanation: Explanation) -> None:
    ops = compiled.history.source_ops
    assert all(ops[origin.name] == origin.op for node in explanation.nodes for origin in node.origins)
    assert {origin.op for node in explanation.nodes for origin in node.origins} >= {"conv", "relu"} & set(ops.values())


def test_every_step_belongs_to_one_node(compiled: CompiledModel, explanation: Explanation) -> None:
    steps = [step for node in explanation.nodes for step in node.steps]
    assert steps == list(range(len(compiled.lowered.program.steps)))
    for node in explanation.nodes:
        assert all(compiled.lowered.program.steps[step].op in (node.op, "dims") for step in node.steps)
        if node.kernel == "view":
            assert not node.steps


def test_rivals_have_times_and_reasons(explanation: Explanation) -> None:
    assert any(len(node.candidates) > 1 for node in explanation.nodes)
    for node in explanation.nodes:
        reasons = {refusal.kernel: refusal.reason for refusal in node.refused}
        assert all(reasons.values())
        assert node.kernel not in reasons
        for candidate in node.candidates:
            assert candidate.predicted_seconds > 0
            assert candidate.measured_seconds is None
            assert candidate.is_chosen == (candidate.kernel == node.kernel)
            assert candidate.is_chosen or candidate.kernel in reasons
        assert (node.chosen is not None) == bool(node.candidates)


def test_rewrites_stand_with_their_nodes(explanation: Explanation) -> None:
    for node in explanation.nodes:
        names = {origin.name for origin in node.origins}
        assert all(names & set(rewrite.origins) for rewrite in node.rewrites)
        if len(node.origins) > 1:
            assert names <= {name for rewrite in node.rewrites for name in rewrite.origins}
    told = [refusal for node in explanation.nodes for refusal in node.refused_rewrites]
    assert len(told) == len(set(told))
    assert set(told) <= set(explanation.refused_rewrites)
    assert sum(explanation.rewrite_counts().values()) == sum(report.rewrites for report in explanation.passes)


def test_it_is_json(explanation: Explanation) -> None:
    data = json.loads(json.dumps(dataclasses.asdict(explanation)))
    assert [node["value"] for node in data["nodes"]] == [node.value for node in explanation.nodes]
    assert data["plan"]["instructions"] > 0


def test_a_conversion_with_the_name_of_its_layer_is_a_node_of_its_own() -> None:
    graph, rng = Graph(OPS), np.random.default_rng(0)
    x = graph.add_input("x", TensorType((1, 16, 8, 8), DType.F32))
    weight = graph.add_constant(rng.standard_normal((16, 16, 3, 3)).astype(np.float32), "w")
    graph.set_outputs(
        [graph.add_node("conv", [x, weight], OPS["conv"].attrs(), names=["y"], loc=("layer",)).output], ["y"]
    )
    explanation = cnnc.explain(cnnc.compile(graph), "layer")
    layer, conversion = explanation.nodes
    assert (layer.node, conversion.node) == ("layer", "layer")
    assert (layer.op, conversion.op) == ("conv", "convert_layout")
    assert layer.value != conversion.value
    assert layer.candidates and not conversion.candidates


def test_a_kernel_that_saves_too_little_is_refused_for_that() -> None:
    """Winograd's method is estimated to be faster in small layers, by less than a kernel is worth."""
    explanation = cnnc.explain(cnnc.compile(RESNET))
    faster = [
        (node, candidate)
        for node in explanation.nodes
        for candidate in node.candidates
        if node.chosen is not None and candidate.predicted_seconds < node.chosen.predicted_seconds
    ]
    assert faster
    for node, candidate in faster:
        [reason] = [refusal.reason for refusal in node.refused if refusal.kernel == candidate.kernel]
        assert "too small a gain" in reason


def test_patterns_that_begin_and_do_not_go_on() -> None:
    explanation = cnnc.explain(cnnc.compile(RESNET), "l.0/b/")
    [node] = explanation.nodes
    misses = {miss.rule: miss.reason for miss in node.misses}
    assert misses["fold-pad"] == "%/l/l.0/Relu_output_0 is made by relu, not by pad"
    assert "fuse-matmul-add" in misses
    # What happened to one of its nodes did not fail to happen there.
    assert not misses.keys() & {rewrite.rule for rewrite in node.rewrites}


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        (Op("relu", Op("conv|gemm", ANY, rest=True)), "%s is made by add, not by conv or gemm"),
        (Op("relu", Op("add", ANY, Const())), "%s is made by add in another form"),
        (Op("relu", Const()), "%s is not constant"),
        (Op("relu", Bind("x", where=lambda value: False)), "the condition on %s does not hold"),
        (Op("relu", ANY, where=lambda attrs: False), "the condition on the attributes of relu does not hold"),
        (Op("relu", ANY, ANY), "relu has other operands"),
        (Op("add", Op("sigmoid", ANY), ANY, commutative=True), "no operand is made by sigmoid"),
        (Op("add", Bind("x"), Bind("x"), commutative=True), "add has other operands"),
        (Op("add", ANY, Op("relu", ANY)), "%x is an input or constant, and not made by relu"),
    ],
)
def test_reasons_of_patterns(pattern: Op, reason: str) -> None:
    graph = Graph(OPS)
    x, z = (graph.add_input(name, TensorType((1, 3), DType.F32)) for name in "xz")
    total = graph.add_node("add", [z, x], names=["s"])
    relu = graph.add_node("relu", [total.output], names=["y"])
    graph.set_outputs([relu.output], ["y"])
    found = match(graph, pattern, relu if pattern.ops == "relu" else total)
    assert found == Miss(reason)
    other = match(graph, pattern, total if pattern.ops == "relu" else relu)
    assert isinstance(other, Miss) and not other.begins
