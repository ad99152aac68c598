"""Samples and models that quantization cannot make sense of are refused, and odd ones have a defined result."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pytest

from cnnc import dsl, interp
from cnnc.errors import InputError, ModelError
from cnnc.ir import Graph
from cnnc.quantization import METHODS, Settings, quantize
from tests.observation.layers import random


class Small(dsl.Module):
    """A conv, a ReLU and a conv."""

    def __init__(self) -> None:
        self.first = dsl.Conv2d(2, 4, 3)
        self.second = dsl.Conv2d(4, 3, 1)

    def forward(self, x: dsl.Tensor) -> dsl.Tensor:
        """x [N, 2, H, W] -> [N, 3, H - 2, W - 2]."""
        return self.second(dsl.relu(self.first(x)))


MODEL = dsl.model(Small(), ("N", 2, 6, 6))
DATA = random(4, 2, 6, 6)


def with_biases() -> Graph:
    """The model, whose biases are zeros, with others."""
    graph = MODEL.graph()
    for node in [node for node in graph.nodes if node.op == "conv"]:
        size = node.input(2).type.shape[0]
        assert isinstance(size, int)
        graph.set_input(node, 2, graph.add_constant(random(size, seed=2)))
    return graph


def with_constant(layer: int, position: int, change: Any) -> Graph:
    """The model with other weights (position 1) or another bias (2) in one of its layers."""
    graph = with_biases()
    node = [node for node in graph.nodes if node.op == "conv"][layer]
    array = node.input(position).array
    assert array is not None
    graph.set_input(node, position, graph.add_constant(np.asarray(change(array.copy()), np.float32)))
    return graph


def off_by(graph: Graph, data: np.ndarray, settings: Settings | None = None) -> float:
    """Largest error of the quantized model, as a share of the largest result."""
    made = quantize(graph, [{"x": data}], settings)
    [wanted], [got] = (interp.run(each, {"x": data}).values() for each in (graph, made.graph))
    return float(np.abs(got - wanted).max() / np.abs(wanted).max())


@pytest.mark.parametrize(
    ("samples", "parts"),
    [
        ([], ["no samples", "at least one"]),
        ([{"x": np.zeros((0, 2, 6, 6), np.float32)}], ["no samples"]),
        ([{"x": DATA[:, :1]}], ["x", "2"]),
        ([{"x": DATA[0]}], ["x"]),
        ([{"x": DATA.astype(np.complex64)}], ["x"]),
        ([{"picture": DATA}], ["picture"]),
        ([{}], ["x"]),
        ([DATA], ["ndarray", "mapping", '{"input": array}']),
    ],
)
def test_samples_that_do_not_fit_are_refused(samples: list[Any], parts: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        quantize(MODEL, samples)
    assert all(part in str(caught.value) for part in parts), str(caught.value)


@pytest.mark.parametrize("settings", [Settings(), Settings(method="mse"), Settings(per_channel=False)])
def test_samples_that_can_be_read_only_once_are_refused(settings: Settings) -> None:
    once = iter([{"x": DATA}])

    def samples() -> Iterable[Mapping[str, np.ndarray]]:
        return once

    with pytest.raises(InputError, match="anew each time"):
        quantize(MODEL, samples, settings)


def test_a_batch_of_no_samples_among_others_does_not_count() -> None:
    made = quantize(MODEL, [{"x": DATA[:0]}, {"x": DATA}])
    assert made.ranges == quantize(MODEL, [{"x": DATA}]).ranges


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite_are_refused(value: float) -> None:
    data = DATA.copy()
    data[1, 0, 2, 3] = value
    with pytest.raises(ModelError, match="infinite or NaN on the calibration data"):
        quantize(MODEL, [{"x": data}])


def test_activations_that_overflow_are_refused() -> None:
    graph = with_constant(0, 1, lambda weights: weights * np.float32(1e38))
    with pytest.raises(ModelError, match="infinite or NaN on the calibration data"):
        quantize(graph, [{"x": 100 * DATA}])


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [0.0, 2.5, -1.0])
def test_constant_samples_are_quantized(method: str, value: float, per_channel: bool) -> None:
    settings = Settings(method=method, per_channel=per_channel)
    assert off_by(with_biases(), np.full((2, 2, 6, 6), value, np.float32), settings) < 0.05


@pytest.mark.parametrize("per_channel", [True, False])
def test_a_layer_that_gives_zeros_is_quantized(per_channel: bool) -> None:
    graph = with_constant(0, 2, lambda bias: bias - 1e3)
    assert off_by(graph, DATA, Settings(per_channel=per_channel)) < 0.02


@pytest.mark.parametrize("per_channel", [True, False])
def test_weights_of_zeros_are_quantized(per_channel: bool) -> None:
    assert off_by(with_constant(0, 1, lambda weights: 0 * weights), DATA, Settings(per_channel=per_channel)) < 0.02


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("factor", [1e-9, 1e-30, 1e-37])
def test_a_bias_of_many_steps_is_stored_whole(factor: float, per_channel: bool) -> None:
    """The steps of tiny weights would be so small that the bias did not fit 32 bits."""
    graph = with_constant(1, 1, lambda weights: weights * np.float32(factor))
    assert off_by(graph, DATA, Settings(per_channel=per_channel)) < 0.02


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("position", [1, 2])
def test_weights_that_are_not_finite_are_refused(value: float, position: int) -> None:
    def poison(array: np.ndarray) -> np.ndarray:
        array.flat[1] = value
        return array

    # The sample does not reach the layer's result, which would be refused itself.
    graph = with_constant(0, position, poison)
    with pytest.raises(ModelError, match="infinit"):
        quantize(graph, [{"x": DATA}])


def test_layers_of_other_types_stay_in_float_and_say_why() -> None:
    graph = dsl.model(Small(), ("N", 2, 6, 6)).graph()
    made = quantize(graph, [{"x": DATA}], Settings(exclude=("first", "second")))
    assert made.layers == 0
    assert len(made.excluded) == 2
