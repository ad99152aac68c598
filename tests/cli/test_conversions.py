"""explain names every conversion between integers and floats that stayed, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx

from tests.cli.command_line import answer, done
from tests.frontends.model_builder import build, tensor_input
from tests.passes.test_quantized_network import Network, residual_network


def explained(model: onnx.ModelProto, folder: Path) -> tuple[dict[str, tuple[str, str]], str]:
    """(op, reason) by node, and the whole text."""
    path = folder / "model.onnx"
    onnx.save(model, path)
    found = answer("explain", path, "--json")["conversions"]
    return {item["node"]: (item["op"], item["reason"]) for item in found}, done("explain", path)


def named(network: Network, result: str, shape: tuple[int, ...] = (1, 3, 8, 8)) -> onnx.ModelProto:
    """The network as a model whose nodes are called as their first result."""
    for node in network.nodes:
        node.name = node.output[0]
    return build(network.nodes, [tensor_input("x", shape)], [result], weights=network.weights)


def test_an_integer_network_meets_floats_at_its_ends(tmp_path: Path) -> None:
    conversions, text = explained(residual_network(), tmp_path)
    (first, last) = conversions.values()
    assert first == ("quantize_linear", "floats come in: %x is an input of the model")
    assert last[0] == "dequantize_linear" and last[1].startswith("floats go out: %")
    assert "integers and floats meet 2 times: 1 dequantize_linear, 1 quantize_linear" in text


def test_what_computes_with_floats_is_named(tmp_path: Path) -> None:
    n = Network()
    x = n.store("x", 0.02, 128)
    y = n.node("Softmax", [n.layer("Conv", x, 4, 3, 1, 1)], axis=1)
    z = n.store(y, 0.004, 0)
    conversions, text = explained(named(n, z), tmp_path)
    assert (
        conversions[f"{y}.stored"][1]
        == f"softmax '{y}' computes with floats: it has no form that computes with integers"
    )
    assert "conversions between integers and floats that stayed" in text


def test_why_a_layer_was_not_fused_is_said(tmp_path: Path) -> None:
    n = Network()
    x = n.store("x", 0.02, 128)
    n.weights["w"] = np.ones((4, 3, 1, 1), np.float32)
    y = n.node("Conv", [x, "w"])
    conversions, _ = explained(named(n, n.store(y, 0.03, 7)), tmp_path)
    reason = f"conv '{y}' computes with floats: %w is no dequantized tensor"
    assert conversions[x] == ("dequantize_linear", reason)
    assert conversions[f"{y}.stored"] == ("quantize_linear", reason)


def test_a_result_that_nothing_quantizes_is_named(tmp_path: Path) -> None:
    n = Network()
    x = n.store("x", 0.02, 128)
    y = n.node("Softmax", [x], axis=1)
    conversions, _ = explained(named(n, y), tmp_path)
    assert conversions[x][1] == f"softmax '{y}' computes with floats: nothing quantizes its result"


def test_ranges_of_each_run_are_named(tmp_path: Path) -> None:
    n = Network()
    nodes: list[Any] = [onnx.helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"], name="ranged")]
    nodes.append(onnx.helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"], name="back"))
    n.nodes = nodes
    conversions, _ = explained(build(nodes, [tensor_input("x", (3, 4))], ["y"]), tmp_path)
    assert conversions["ranged"] == ("dynamic_quantize_linear", "its scale follows from the data of each run")


def test_a_float_network_has_none(tmp_path: Path) -> None:
    n = Network()
    conversions, text = explained(named(n, n.node("Relu", ["x"])), tmp_path)
    assert not conversions and "integers and floats" not in text
