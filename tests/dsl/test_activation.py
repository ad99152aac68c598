"""Activations against their formulas, as functions and as layers."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from cnnc import dsl, interp
from cnnc.ir import Array
from tests.dsl.evaluation import close, evaluate, graph_of, random

X = np.linspace(-4, 4, 60, dtype=np.float32).reshape(3, 4, 5)


def _sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x.astype(np.float64)))


def _softmax(x: Array, axis: int) -> Array:
    powers = np.exp(x.astype(np.float64))
    return powers / powers.sum(axis, keepdims=True)


def _normal_cdf(x: Array) -> Array:
    return np.vectorize(lambda value: 0.5 * (1 + math.erf(value / math.sqrt(2))))(x)


SELU_ALPHA, SELU_GAMMA = 1.6732632423543772, 1.0507009873554805

FORMULAS: dict[str, tuple[dsl.Network, Callable[[Array], Array]]] = {
    "relu": (dsl.relu, lambda x: np.maximum(x, 0)),
    "relu6": (dsl.relu6, lambda x: np.clip(x, 0, 6)),
    "clip": (lambda x: dsl.clip(x, -1.0, 2), lambda x: np.clip(x, -1, 2)),
    "clip from below": (lambda x: dsl.clip(x, low=-1), lambda x: np.maximum(x, -1)),
    "clip from above": (lambda x: dsl.clip(x, high=1.5), lambda x: np.minimum(x, 1.5)),
    "leaky_relu": (lambda x: dsl.leaky_relu(x, 0.2), lambda x: np.where(x > 0, x, 0.2 * x)),
    "thresholded_relu": (lambda x: dsl.thresholded_relu(x, 0.5), lambda x: np.where(x > 0.5, x, 0)),
    "elu": (lambda x: dsl.elu(x, 0.7), lambda x: np.where(x > 0, x, 0.7 * np.expm1(x))),
    "celu": (lambda x: dsl.celu(x, 0.7), lambda x: np.maximum(x, 0) + np.minimum(0.7 * np.expm1(x / 0.7), 0)),
    "selu": (dsl.selu, lambda x: SELU_GAMMA * np.where(x > 0, x, SELU_ALPHA * np.expm1(x))),
    "gelu": (dsl.gelu, lambda x: x * _normal_cdf(x)),
    "gelu by tanh": (
        lambda x: dsl.gelu(x, "tanh"),
        lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    ),
    "sigmoid": (dsl.sigmoid, _sigmoid),
    "hard_sigmoid": (dsl.hard_sigmoid, lambda x: np.clip(x / 6 + 0.5, 0, 1)),
    "hard_swish": (dsl.hard_swish, lambda x: x * np.clip(x / 6 + 0.5, 0, 1)),
    "swish": (lambda x: dsl.swish(x, 1.7), lambda x: x * _sigmoid(1.7 * x)),
    "mish": (dsl.mish, lambda x: x * np.tanh(np.log1p(np.exp(x)))),
    "softplus": (dsl.softplus, lambda x: np.log1p(np.exp(x))),
    "softsign": (dsl.softsign, lambda x: x / (1 + np.abs(x))),
    "tanh": (dsl.tanh, np.tanh),
    "shrink": (
        lambda x: dsl.shrink(x, 1.0, 0.25),
        lambda x: np.where(x < -1, x + 0.25, np.where(x > 1, x - 0.25, 0)),
    ),
    "softmax": (lambda x: dsl.softmax(x, axis=1), lambda x: _softmax(x, 1)),
    "log_softmax": (dsl.log_softmax, lambda x: np.log(_softmax(x, -1))),
    "hardmax": (dsl.hardmax, lambda x: (np.arange(x.shape[-1]) == x.argmax(-1)[..., None]).astype(np.float32)),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_function(name: str) -> None:
    function, formula = FORMULAS[name]
    close(evaluate(function, X), formula(X))


LAYERS: dict[str, tuple[dsl.Module, dsl.Network]] = {
    "ReLU": (dsl.ReLU(), dsl.relu),
    "ReLU6": (dsl.ReLU6(), dsl.relu6),
    "Clip": (dsl.Clip(-1.0, 2.0), lambda x: dsl.clip(x, -1.0, 2.0)),
    "LeakyReLU": (dsl.LeakyReLU(0.2), lambda x: dsl.leaky_relu(x, 0.2)),
    "ThresholdedReLU": (dsl.ThresholdedReLU(0.5), lambda x: dsl.thresholded_relu(x, 0.5)),
    "ELU": (dsl.ELU(alpha=0.7), lambda x: dsl.elu(x, 0.7)),
    "CELU": (dsl.CELU(0.7), lambda x: dsl.celu(x, 0.7)),
    "SELU": (dsl.SELU(), dsl.selu),
    "GELU": (dsl.GELU(approximate="tanh"), lambda x: dsl.gelu(x, "tanh")),
    "Sigmoid": (dsl.Sigmoid(), dsl.sigmoid),
    "HardSigmoid": (dsl.HardSigmoid(), dsl.hard_sigmoid),
    "HardSwish": (dsl.HardSwish(), dsl.hard_swish),
    "Swish": (dsl.Swish(1.7), lambda x: dsl.swish(x, 1.7)),
    "SiLU": (dsl.SiLU(), dsl.swish),
    "Mish": (dsl.Mish(), dsl.mish),
    "Softplus": (dsl.Softplus(), dsl.softplus),
    "Softsign": (dsl.Softsign(), dsl.softsign),
    "Tanh": (dsl.Tanh(), dsl.tanh),
    "Shrink": (dsl.Shrink(1.0, bias=0.25), lambda x: dsl.shrink(x, 1.0, 0.25)),
    "Softmax": (dsl.Softmax(axis=1), lambda x: dsl.softmax(x, axis=1)),
    "LogSoftmax": (dsl.LogSoftmax(), dsl.log_softmax),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layer_is_its_function(name: str) -> None:
    layer, function = LAYERS[name]
    np.testing.assert_array_equal(evaluate(layer, X), evaluate(function, X))


def test_swi_glu_gates_one_tensor_by_another() -> None:
    gate, x = random(2, 6, seed=1), random(2, 6, seed=2)
    close(evaluate(lambda g, v: dsl.swi_glu(g, v, 1.3), gate, x), gate * _sigmoid(1.3 * gate) * x)


@pytest.mark.parametrize("shape", [(2, 4), (2, 4, 5), (2, 4, 3, 5), (1, 4, 2, 3, 2)])
def test_prelu_has_a_slope_for_each_channel(shape: tuple[int, ...]) -> None:
    x = random(*shape)
    slopes = np.array([0.1, 0.2, 0.3, 0.4], np.float32)
    layer = dsl.PReLU(4)
    model = dsl.model(layer, shape)
    model.set("weight", slopes)
    got = interp.run(model.graph(), {"x": x})["output"]
    by_channel = slopes.reshape(4, *[1] * (len(shape) - 2))
    close(got, np.where(x > 0, x, by_channel * x))


def test_prelu_with_one_slope_for_all() -> None:
    close(evaluate(dsl.PReLU(init=0.3), X), np.where(X > 0, X, 0.3 * X))


def test_prelu_takes_any_slope_that_broadcasts() -> None:
    slope = np.array([0.5, 0.25, 0, 1, 2], np.float32)
    close(evaluate(lambda x: dsl.prelu(x, slope), X), np.where(X > 0, X, slope * X))


def test_numbers_take_the_type_of_the_tensor() -> None:
    x = np.array([[-3, 0, 9]], np.int8)
    np.testing.assert_array_equal(evaluate(lambda x: dsl.clip(x, -1, 4), x), [[-1, 0, 4]])


def test_an_activation_is_one_node() -> None:
    assert [node.op for node in graph_of(dsl.hard_swish, X).nodes] == ["hard_swish"]
