"""The bundled models that were pruned and trained: how sparse and how good they are, and that every runtime agrees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import cnnc
from cnnc import interp
from cnnc.compiler import read_graph
from cnnc.ir import Graph
from cnnc.pruning.weights import all_weights
from tests.numeric.tolerance import additions, assert_close

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
MODELS = EXAMPLES / "models"
RIGHT = {
    ("resnet14_fashion-bn", "resnet14_fashion-bn-pruned90"): (461, 466),
    ("lenet5_fashion", "lenet5_fashion-pruned90"): (460, 456),
}
"""Of the 500 bundled images, how many the dense and the pruned model classify rightly."""
PRUNED = [pruned for _, pruned in RIGHT]


def graph_of(name: str) -> Graph:
    return read_graph(MODELS / f"{name}.onnx")


def images() -> tuple[np.ndarray, np.ndarray]:
    """Bundled images as the models take them, float32 [500, 1, 28, 28], and their classes."""
    with np.load(EXAMPLES / "images" / "fashion_quantization.npz") as arrays:
        pixels = (arrays["images"][:, None].astype(np.float32) / 255 - np.float32(0.2860)) / np.float32(0.3530)
        return pixels, arrays["labels"]


@pytest.mark.parametrize("name", PRUNED)
def test_nine_of_ten_weights_are_zero(name: str) -> None:
    arrays = [weight.array.reshape(-1) for weight in all_weights(graph_of(name))]
    assert np.mean(np.concatenate(arrays) == 0) >= 0.9
    assert (MODELS / f"{name}.onnx").stat().st_size < 4.5 * sum(map(len, arrays)) / 3


@pytest.mark.parametrize(("dense", "pruned"), RIGHT)
def test_nodes_and_names_are_those_of_the_dense_model(dense: str, pruned: str) -> None:
    before, after = graph_of(dense), graph_of(pruned)
    assert [(node.op, node.attrs, node.loc) for node in before.nodes] == [
        (node.op, node.attrs, node.loc) for node in after.nodes
    ]
    assert {value.name: value.type for value in before.values} == {value.name: value.type for value in after.values}


@pytest.mark.jit
@pytest.mark.parametrize(("dense", "pruned"), RIGHT)
def test_training_made_up_for_pruning(dense: str, pruned: str) -> None:
    pixels, labels = images()
    right = tuple(
        int(np.sum(cnnc.compile(MODELS / f"{name}.onnx").run({"input": pixels})["logits"].argmax(1) == labels))
        for name in (dense, pruned)
    )
    assert right == RIGHT[dense, pruned]


@pytest.mark.jit
@pytest.mark.parametrize("name", PRUNED)
def test_results_are_those_of_the_reference_and_of_onnxruntime(name: str) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pixels = images()[0][:7]
    graph = graph_of(name)
    truth = interp.run(graph, {"input": pixels}, float64=True)
    count = additions(graph, {"N": len(pixels)})
    session = onnxruntime.InferenceSession(MODELS / f"{name}.onnx", providers=["CPUExecutionProvider"])
    assert_close({"logits": session.run(None, {"input": pixels})[0]}, truth, count)
    for level in (0, 1, 2):
        assert_close(cnnc.compile(MODELS / f"{name}.onnx", level=level).run({"input": pixels}), truth, count)
