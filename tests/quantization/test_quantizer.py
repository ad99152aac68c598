"""Quantized networks: close to the float one, equal in onnxruntime, and all on integers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest

import cnnc
from cnnc import dsl, interp
from cnnc.errors import InputError, ModelError
from cnnc.ir import Graph, verify
from cnnc.quantization import Settings, quantize
from cnnc.types import DType


class Net(dsl.Module):
    """Convolutions with normalization, a residual, pools, a concat, a classifier."""

    def __init__(self) -> None:
        self.conv1 = dsl.Conv2d(3, 12, 3, padding=1, bias=False)
        self.bn1 = dsl.BatchNorm(12)
        self.conv2 = dsl.Conv2d(12, 12, 3, padding=1)
        self.depthwise = dsl.DepthwiseConv2d(12, 3, padding=1)
        self.side = dsl.Conv2d(12, 5, 1)
        self.fc = dsl.Linear(17, 4)

    def forward(self, x: dsl.Tensor) -> dsl.Tensor:
        """x [N, 3, H, W] -> [N, 4]."""
        x = dsl.max_pool(dsl.relu(self.bn1(self.conv1(x))), 2)
        x = dsl.relu6(x + self.conv2(x))
        x = dsl.concat([self.depthwise(x), self.side(x)])
        return self.fc(dsl.flatten(dsl.global_avg_pool(x)))


MODEL = dsl.model(Net(), ("N", 3, 10, 10))


def batches(count: int = 3) -> list[Mapping[str, np.ndarray]]:
    generator = np.random.default_rng(0)
    return [{"x": generator.standard_normal((4, 3, 10, 10), np.float32)} for _ in range(count)]


def ops(graph: Graph) -> list[str]:
    return [node.op for node in graph.nodes]


@pytest.mark.parametrize("method", ["minmax", "average", "percentile", "entropy", "mse"])
@pytest.mark.parametrize("per_channel", [True, False])
def test_results_are_close_to_the_float_model(method: str, per_channel: bool) -> None:
    made = quantize(MODEL, batches(), Settings(method=method, per_channel=per_channel))
    verify(made.graph)
    feeds = batches()[0]
    wanted = interp.run(MODEL.graph(), feeds)["output"]
    got = interp.run(made.graph, feeds)["output"]
    assert np.abs(got - wanted).max() < 0.25 * np.ptp(wanted)
    assert made.layers == 5
    assert "batch_normalization" not in ops(made.graph)


@pytest.mark.jit
def test_every_layer_runs_on_integers_and_onnxruntime_agrees() -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    made = quantize(MODEL, batches())
    proto = cnnc.export_onnx(made.graph)
    compiled = cnnc.compile(proto)
    layers = {"conv", "gemm", "add", "concat", "global_average_pool"}
    left = [node for node in compiled.graph.nodes if node.op in layers and node.output.type.dtype is DType.F32]
    assert left == []
    feeds = batches()[1]
    got = compiled.run(feeds)["output"]
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    [wanted] = session.run(None, dict(feeds))
    step = made.affines["output"].scale if "output" in made.affines else made.affines["fc"].scale
    assert np.abs(got - wanted).max() <= 1.01 * step


def test_samples_may_be_a_function() -> None:
    calls = []

    def samples() -> Iterator[Mapping[str, np.ndarray]]:
        calls.append(1)
        yield from batches(2)

    made = quantize(MODEL, samples, Settings(method="mse"))
    assert len(calls) == 3  # extremes, histograms, moments
    assert made.ranges == quantize(MODEL, batches(2), Settings(method="mse")).ranges


def test_excluded_layers_stay_in_float() -> None:
    made = quantize(MODEL, batches(), Settings(exclude=("conv1",)))
    assert made.layers == 4
    assert any("excluded by 'conv1'" in reason for reason in made.excluded.values())


def test_ends_stay_in_float() -> None:
    made = quantize(MODEL, batches(), Settings(keep_first=True, keep_last=True))
    assert made.layers == 3
    assert set(made.excluded.values()) == {
        "it reads the model's input",
        "it gives the model's result",
    }


STEPS = [
    {"rounding": "nearest"},
    {"correct_bias": False},
    {"reestimate_batch_norm": True},
    {"rounding": "nearest", "clip_weights": False, "correct_bias": False},
]


@pytest.mark.parametrize("step", STEPS, ids=[", ".join(step) for step in STEPS])
def test_every_step_can_be_chosen(step: dict[str, Any]) -> None:
    made = quantize(MODEL, batches(), Settings(**step))
    feeds = batches()[0]
    wanted = interp.run(MODEL.graph(), feeds)["output"]
    got = interp.run(made.graph, feeds)["output"]
    assert np.abs(got - wanted).max() < 0.25 * np.ptp(wanted)
    other = quantize(MODEL, batches())
    one, another = (
        np.concatenate(
            [value.array.reshape(-1) for value in graph.constants if value.array.dtype in (np.int8, np.float32)]
        )
        for graph in (made.graph, other.graph)
    )
    assert (one != another).any()


@pytest.mark.jit
def test_a_layer_without_bias_gets_one_and_stays_on_integers() -> None:
    class Plain(dsl.Module):
        def __init__(self) -> None:
            self.conv = dsl.Conv2d(3, 4, 3, bias=False)

        def forward(self, x: dsl.Tensor) -> dsl.Tensor:
            return dsl.relu(self.conv(x))

    model = dsl.model(Plain(), (4, 3, 10, 10))
    made = quantize(model, batches())
    [layer] = [node for node in made.graph.nodes if node.op == "conv"]
    assert layer.optional(2) is not None
    verify(made.graph)
    compiled = cnnc.compile(made.graph)
    assert "q_linear_conv" in ops(compiled.graph)
    one = quantize(model, batches(), Settings(correct_bias=False))
    [layer] = [node for node in one.graph.nodes if node.op == "conv"]
    assert layer.optional(2) is None


def test_a_graph_that_is_given_stays_as_it_is() -> None:
    graph = MODEL.graph()
    before = ops(graph)
    quantize(graph, batches(1))
    assert ops(graph) == before


def test_a_model_of_zeros_is_quantized() -> None:
    zeros = [{"x": np.zeros((2, 3, 10, 10), np.float32)}]
    made = quantize(MODEL, zeros)
    got = interp.run(made.graph, zeros[0])["output"]
    assert np.isfinite(got).all()


def test_no_samples_are_refused() -> None:
    with pytest.raises(InputError, match="no samples"):
        quantize(MODEL, [])


@pytest.mark.parametrize("feeds", [{"y": np.zeros((1, 3, 10, 10), np.float32)}, {"x": np.zeros((1, 4, 10, 10))}])
def test_samples_that_do_not_fit_are_refused(feeds: dict) -> None:
    with pytest.raises(InputError):
        quantize(MODEL, [feeds])


def test_nan_samples_are_refused() -> None:
    with pytest.raises(ModelError, match="infinite or NaN"):
        quantize(MODEL, [{"x": np.full((1, 3, 10, 10), np.nan, np.float32)}])


class Gated(dsl.Module):
    """A squeeze-and-excite gate between convolutions, and a sigmoid at the end."""

    def __init__(self) -> None:
        self.expand = dsl.Conv2d(3, 16, 3, padding=1)
        self.squeeze = dsl.Conv2d(16, 4, 1)
        self.excite = dsl.Conv2d(4, 16, 1)
        self.project = dsl.Conv2d(16, 5, 1)

    def forward(self, x: dsl.Tensor) -> dsl.Tensor:
        """x [N, 3, H, W] -> [N, 5, H, W]."""
        x = dsl.hard_swish(self.expand(x))
        gate = self.excite(dsl.relu(self.squeeze(dsl.global_avg_pool(x))))
        return dsl.sigmoid(self.project(x * dsl.hard_sigmoid(gate)))


def test_gates_and_functions_between_layers_are_integers_and_the_last_function_is_not() -> None:
    model = dsl.model(Gated(), ("N", 3, 10, 10))
    made = quantize(model, batches())
    feeds = batches()[0]
    wanted = interp.run(model.graph(), feeds)["output"]
    got = interp.run(made.graph, feeds)["output"]
    assert np.abs(got - wanted).max() < 0.05
    compiled = cnnc.compile(made.graph)
    kinds = ops(compiled.graph)
    assert kinds.count("quantize_linear") == kinds.count("dequantize_linear") == 1
    assert "sigmoid" in kinds
    assert {"lookup", "q_linear_mul"} <= set(kinds)
