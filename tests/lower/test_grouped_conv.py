"""Grouped convolutions end to end: which kernel they get, their numbers, and that groups stay apart."""

from __future__ import annotations

import numpy as np
import pytest

import cnnc
from cnnc import interp
from cnnc.ir import Graph
from cnnc.ir.clone import clone_graph
from cnnc.ops import OPS
from cnnc.types import DType, TensorType

pytestmark = pytest.mark.jit


def grouped(channels: int, out_channels: int, groups: int, stride: int = 1, kernel: int = 3) -> Graph:
    rng = np.random.default_rng(channels)
    graph = Graph(OPS)
    x = graph.add_input("x", TensorType((2, channels, 9, 10), DType.F32))
    weights = rng.standard_normal((out_channels, channels // groups, kernel, kernel), np.float32)
    attrs = OPS["conv"].attrs(pads=(kernel // 2,) * 4, strides=(stride, stride), group=groups)
    graph.set_outputs([graph.add_node("conv", [x, graph.add_constant(weights, "w")], attrs).output], ["y"])
    return graph


CASES = [
    ("window", (32, 32, 8), {}),
    ("window", (32, 32, 8), {"stride": 2}),
    ("grouped", (24, 48, 24), {"kernel": 1}),
    ("window", (26, 26, 13), {"stride": 2}),
    ("window", (96, 96, 2), {}),
    ("window", (48, 48, 6), {}),
    ("window", (24, 24, 3), {"stride": 2}),
    ("window", (72, 72, 3), {"kernel": 1}),
    ("pointwise", (96, 96, 3), {"kernel": 1}),
]


@pytest.mark.parametrize(("kernel", "shape", "options"), CASES, ids=str)
def test_kernel_and_numbers(kernel: str, shape: tuple[int, int, int], options: dict[str, int]) -> None:
    graph = grouped(*shape, **options)
    reference = clone_graph(graph)
    model = cnnc.compile(graph, winograd="off")
    [decision] = [decision for decision in model.lowered.decisions if decision.op == "conv"]
    assert decision.chosen == f"conv.f32.blocked.{kernel}"
    x = np.random.default_rng(0).standard_normal((2, shape[0], 9, 10), np.float32)
    truth = interp.run(reference, {"x": x}, float64=True)["y"]
    np.testing.assert_allclose(model.run({"x": x})["y"], truth, rtol=0, atol=1e-5 * float(truth.std()))


def test_groups_that_do_not_begin_at_the_first_lane_keep_their_kernel() -> None:
    model = cnnc.compile(grouped(16, 32, 16))
    [decision] = [decision for decision in model.lowered.decisions if decision.op == "conv"]
    assert decision.chosen == "conv.f32.blocked.grouped"
    assert any("first lane" in reason for _, reason in decision.refused)


def test_nan_stays_in_its_group() -> None:
    model = cnnc.compile(grouped(32, 32, 8))
    x = np.random.default_rng(0).standard_normal((2, 32, 9, 10), np.float32)
    clean = model.run({"x": x})["y"]
    x[:, 8:12] = np.nan
    spoilt = model.run({"x": x})["y"]
    apart = np.r_[0:8, 12:32]
    assert np.array_equal(spoilt[:, apart], clean[:, apart])
    assert np.isnan(spoilt[:, 8:12]).all()
