"""At levels 0 and 1 sums are exact up to one rounding; at level 2 they are sums of float32."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from cnnc import interp
from cnnc.compiler import compile
from cnnc.ir import Value
from tests.numeric.network import Network

pytestmark = pytest.mark.jit

SAME = {"pads": (1, 1, 1, 1)}
LAYERS: dict[str, Callable[[Network], Value]] = {
    "conv.f32.blocked.direct": lambda net: net.conv(net.input(2, 37, 6, 7), 21, (3, 3), **SAME),
    "conv.f32.blocked.pointwise": lambda net: net.conv(net.input(2, 300, 5, 7), 21),
    "conv.f32.blocked.grouped": lambda net: net.conv(net.input(2, 32, 5, 7), 32, (3, 3), group=8, **SAME),
    "conv_transpose.f32.blocked": lambda net: net.conv_transpose(net.input(2, 80, 5, 7), 21, (3, 3), strides=(2, 2)),
    "gemm.f32": lambda net: net.op("gemm", net.input(5, 300), net.scaled(300, 21, fan_in=300), net.normal(21)),
    "matmul.f32": lambda net: net.op("matmul", net.input(2, 5, 300), net.input(2, 300, 9, name="z")),
}

AT_LEVEL_2 = {
    "conv.f32.blocked.direct": "conv.f32.blocked.window",
    "conv.f32.blocked.grouped": "conv.f32.blocked.window",
}
"""Kernels that take the same layers where sums may be float32."""


def error_in_roundings(kernel: str, level: int) -> float:
    """The largest error of a layer's results, in half units in the last place of the exact ones."""
    net = Network(seed=11)
    net.returns(LAYERS[kernel](net))
    rng = np.random.default_rng(2)
    feeds = {value.name: rng.standard_normal(value.type.shape).astype(np.float32) for value in net.graph.inputs}
    exact = interp.run(net.graph, feeds, float64=True)["y0"]
    model = compile(net.graph, level=level, winograd="off")
    expected = AT_LEVEL_2.get(kernel, kernel) if level == 2 else kernel
    assert expected in [decision.chosen for decision in model.lowered.decisions]
    error = np.abs(model.run(feeds)["y0"] - exact)
    return float(np.max(error / (np.spacing(np.abs(exact).astype(np.float32)) / 2.0)))


@pytest.mark.parametrize("kernel", list(LAYERS))
@pytest.mark.parametrize("level", [0, 1])
def test_one_rounding(kernel: str, level: int) -> None:
    # Rounding float64 sums once more may add their own error, 2^-29 of it.
    assert error_in_roundings(kernel, level) <= 1 + 1e-6


@pytest.mark.parametrize("kernel", list(LAYERS))
def test_level_2_rounds_more_often(kernel: str) -> None:
    assert error_in_roundings(kernel, 2) > 2
