"""Normalizations between sums and convolutions become layers, and run on integers."""

from __future__ import annotations

import numpy as np
import pytest

import cnnc
from cnnc import dsl, interp
from cnnc.ir import Graph
from cnnc.ir.clone import clone_graph
from cnnc.quantization import Settings, quantize
from cnnc.quantization.batch_norm_layers import normalizations_as_layers


class Preactivated(dsl.Module):
    """Two units that normalize what the skip connection gives them."""

    def __init__(self) -> None:
        self.stem = dsl.Conv2d(3, 8, 3, padding=1)
        self.norms = [dsl.BatchNorm(8), dsl.BatchNorm(8)]
        self.convs = [dsl.Conv2d(8, 8, 3, padding=1), dsl.Conv2d(8, 8, 3, padding=1)]

    def forward(self, x: dsl.Tensor) -> dsl.Tensor:
        """x [N, 3, H, W] -> [N, 8, H, W]."""
        x = self.stem(x)
        for norm, conv in zip(self.norms, self.convs, strict=True):
            x = x + conv(dsl.relu(norm(x)))
        return x


def network() -> Graph:
    graph = dsl.model(Preactivated(), ("N", 3, 9, 9)).graph()
    random = np.random.default_rng(1)
    for node in graph.nodes:
        if node.op == "batch_normalization":
            for position, (low, high) in enumerate([(0.5, 2), (-1, 1), (-1, 1), (0.5, 2)], start=1):
                given = node.input(position)
                drawn = random.uniform(low, high, given.type.shape).astype(np.float32)
                graph.set_input(node, position, graph.add_constant(drawn, f"{given.name}.drawn"))
    return graph


SAMPLE = {"x": np.random.default_rng(0).standard_normal((4, 3, 9, 9)).astype(np.float32)}


def test_a_normalization_equals_its_layer() -> None:
    graph = network()
    wanted = interp.run(graph, SAMPLE)["output"]
    rewritten = clone_graph(graph)
    normalizations_as_layers(rewritten)
    kinds = [node.op for node in rewritten.nodes]
    assert "batch_normalization" not in kinds
    assert kinds.count("conv") == 5
    assert [output.name for output in rewritten.outputs] == [output.name for output in graph.outputs]
    np.testing.assert_allclose(interp.run(rewritten, SAMPLE)["output"], wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.jit
def test_such_a_network_is_all_on_integers() -> None:
    made = quantize(network(), [SAMPLE])
    kinds = [node.op for node in cnnc.compile(made.graph).graph.nodes]
    assert kinds.count("quantize_linear") == kinds.count("dequantize_linear") == 1
    wanted = interp.run(network(), SAMPLE)["output"]
    got = interp.run(made.graph, SAMPLE)["output"]
    noise = np.mean(np.square(got - wanted)) / np.mean(np.square(wanted))
    assert noise < 1e-3


def test_normalizations_stay_where_the_user_wants_them() -> None:
    made = quantize(network(), [SAMPLE], Settings(fold_batch_norm=False))
    assert sum(node.op == "batch_normalization" for node in made.graph.nodes) == 2
