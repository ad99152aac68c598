"""Pruned weights stay pruned, whatever is done to the others on their way to integers."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper, numpy_helper

from cnnc.frontends import import_onnx
from cnnc.ir import Graph
from cnnc.quantization import Settings, quantize
from tests.quantization.float_networks import classifier

SETTINGS = {
    "per channel": Settings(),
    "one scale a tensor": Settings(per_channel=False),
    "equalised": Settings(equalise=True, reestimate_batch_norm=True),
    "nearest": Settings(rounding="nearest", clip_weights=False),
}


def pruned_classifier(sparsity: float) -> Graph:
    """A network whose convolutions have that share of zeros, of either sign."""
    model = classifier(18)
    random = np.random.default_rng(7)
    for initializer in model.graph.initializer:
        weights = numpy_helper.to_array(initializer).copy()
        if weights.ndim == 4:
            weights[random.random(weights.shape) < sparsity] = random.choice([0.0, -0.0])
            initializer.CopyFrom(numpy_helper.from_array(weights, initializer.name))
    return import_onnx(helper.make_model(model.graph, opset_imports=model.opset_import))


def convolution_weights(graph: Graph) -> list[np.ndarray]:
    """In order; of a quantized network as they are stored."""
    found = []
    for node in graph.nodes:
        if node.op == "conv":
            weight = node.input(1)
            stored = weight.producer.input(0) if weight.producer is not None else weight
            assert stored.array is not None
            found.append(stored.array)
    return found


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("sparsity", [0.5, 0.9])
def test_zeros_stay_zero(sparsity: float, settings: Settings) -> None:
    random = np.random.default_rng(0)
    samples = [{"x": random.standard_normal((2, 3, 26, 22)).astype(np.float32)} for _ in range(2)]
    graph = pruned_classifier(sparsity)
    before = [weights == 0 for weights in convolution_weights(graph)]
    after = convolution_weights(quantize(graph, samples, settings).graph)
    assert len(before) == len(after) == 4
    for zeros, stored in zip(before, after, strict=True):
        assert stored.dtype == np.int8
        assert zeros.any() and not stored[zeros].any()
        assert stored.any()
