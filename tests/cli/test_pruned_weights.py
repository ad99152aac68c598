"""What inspect says of weights with zeros, in models and in saved programs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cnnc.ir import Graph
from cnnc.ir.text_file import save_graph
from cnnc.ops import OPS
from cnnc.types import DType, TensorType
from tests.cli.command_line import LENET, answer, done


def pruned_network() -> Graph:
    """Three 1x1 convolutions of 128 channels at 14x14: dense, 90 % unstructured, 75 % in blocks of four."""
    graph, rng = Graph(OPS, "net"), np.random.default_rng(0)
    value = graph.add_input("x", TensorType((1, 128, 14, 14), DType.F32))
    for name, rows, density in (("dense", 128, 1.0), ("anywhere", 128, 0.1), ("blocks", 32, 0.25)):
        kept = np.repeat(rng.random((rows, 128)) < density, 128 // rows, axis=0)
        weight: NDArray[np.float32] = (rng.standard_normal((128, 128)) * kept).astype(np.float32)
        operands = [value, graph.add_constant(weight.reshape(128, 128, 1, 1), f"{name}.weight")]
        value = graph.add_node("conv", operands, OPS["conv"].attrs(), names=[name], loc=(name,)).output
    graph.set_outputs([value], ["y"])
    return graph


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save_graph(pruned_network(), tmp_path / "net.ir")
    return tmp_path / "net.ir"


def test_inspect_tells_density_pattern_and_sizes(path: Path) -> None:
    weights = answer("inspect", path, "--json")["weights"]
    layers = {layer["layer"]: layer for layer in weights["layers"]}
    assert {name: layer["pattern"] for name, layer in layers.items()} == {
        "dense": "dense",
        "anywhere": "unstructured",
        "blocks": "block4",
    }
    assert layers["anywhere"]["density"] == pytest.approx(0.1, abs=0.02)
    assert layers["anywhere"]["compressed_bytes"] < 0.2 * layers["anywhere"]["bytes"] == 0.2 * 4 * 128 * 128
    assert layers["dense"]["compressed_bytes"] == layers["dense"]["bytes"]
    assert weights["elements"] == 3 * 128 * 128
    assert weights["non_zeros"] == sum(layer["non_zeros"] for layer in layers.values())
    assert weights["compressed_bytes"] == sum(layer["compressed_bytes"] for layer in layers.values())


def test_inspect_shows_pruned_layers_only(path: Path) -> None:
    text = done("inspect", path)
    pruned = text[text.index("pruned weights") :]
    assert "unstructured" in pruned
    assert "block4" in pruned
    assert "dense.weight" not in pruned
    assert "3 layers" in pruned
    assert "without zeros" in pruned


def test_inspect_of_a_dense_model_says_so() -> None:
    text = done("inspect", LENET)
    assert "none of them is pruned" in text
    assert "pruned weights" not in text


@pytest.mark.jit
def test_inspect_shows_the_sizes_that_a_file_stores(path: Path, tmp_path: Path) -> None:
    made = tmp_path / "net.cnnc"
    done("compile", path, "-o", made)
    report = answer("inspect", made, "--json")
    stored, content = report["file"]["section_bytes"], report["file"]["content_bytes"]
    assert content["weight"] == 3 * 4 * 128 * 128
    assert stored["weight"] < 0.5 * content["weight"]
    assert [layer["pattern"] for layer in report["weights"]["layers"]] == ["dense", "unstructured", "block4"]
    assert "with zeros)" in done("inspect", made)


@pytest.mark.jit
def test_explain_tells_break_even_and_choice(path: Path) -> None:
    nodes = {node["node"]: node for node in answer("explain", path, "--json")["nodes"] if node["op"] == "conv"}
    assert nodes["dense"]["pruned"] is None
    for name, pattern in (("anywhere", "unstructured"), ("blocks", "block4")):
        facts = nodes[name]["pruned"]
        assert facts["pattern"] == pattern
        assert 0 <= facts["break_even"] < 1
        is_sparse = nodes[name]["kernel"] != facts["dense_kernel"]
        assert is_sparse == (facts["density"] <= facts["break_even"])
    text = done("explain", path)
    assert "layers with pruned weights" in text
    assert "pays below" in text
    assert "pays below" not in done("explain", path, "--node", "dense")
