"""Networks with precision bf16 err as a float64 evaluation does that rounds the same factors."""

from __future__ import annotations

import numpy as np
import pytest

from cnnc import interp
from cnnc.compiler import compile
from cnnc.ir.clone import clone_graph
from cnnc.runtime.cuda.tensor_precision import rounded
from tests.kernels.bfloat import needs_bfloat_products
from tests.numeric.network import Network

pytestmark = pytest.mark.jit


def network() -> Network:
    """1x1 and strided convolutions with a residual, and a matrix product."""
    net = Network()
    x = net.blocked(net.input(1, 3, 28, 28), 128)
    x = net.conv(x, 128, (1, 1), residual=x, activation="relu")
    x = net.conv(x, 256, (3, 3), strides=(2, 2), pads=(1, 1, 1, 1), activation="relu")
    pooled = net.op("flatten", net.op("global_average_pool", net.conv(x, 512, (1, 1), activation="silu")))
    net.returns(net.op("gemm", pooled, net.normal(512, 100)))
    return net


@needs_bfloat_products
def test_errs_no_more_than_the_precision_does():
    graph = network().graph
    feeds = {value.name: np.random.default_rng(0).standard_normal((1, 3, 28, 28), np.float32) for value in graph.inputs}
    [truth] = interp.run(graph, feeds, float64=True).values()
    [emulated] = interp.run(graph, feeds, float64=True, precision="bf16").values()
    model = compile(clone_graph(graph), precision="bf16")
    chosen = [item.chosen for item in model.lowered.decisions]
    assert {"conv.bf16.blocked.pointwise", "conv.bf16.blocked.direct", "gemm.bf16"} <= set(chosen)
    [got] = model.run(feeds).values()
    inherent, error = (np.abs(result - truth).max() / truth.std() for result in (emulated, got))
    assert 1e-4 < error <= 4 * inherent < 0.1


@pytest.mark.parametrize("precision", ["tf32", "f16", "bf16"])
def test_the_interpreter_rounds_the_factors_of_products(precision):
    net = Network()
    net.returns(net.op("matmul", net.input(3, 5), net.normal(5, 7)))
    x = np.random.default_rng(0).standard_normal((3, 5), np.float32)
    [weights] = [value.array for value in net.graph.constants]
    [got] = interp.run(net.graph, {net.graph.inputs[0].name: x}, float64=True, precision=precision).values()
    expected = rounded(x, precision).astype(np.float64) @ rounded(weights, precision)
    np.testing.assert_allclose(got, expected, rtol=1e-12)
