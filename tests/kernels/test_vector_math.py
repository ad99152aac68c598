"""Vector functions against the C library in float64: error in units in the last place, and special values."""

import math

import numpy as np
import pytest

from cnnc.runtime.cpu import vector_math
from cnnc.runtime.cpu.activation import ACTIVATIONS
from cnnc.runtime.cpu.epilogue import emit_activation
from tests.kernels.vector_functions import apply

pytestmark = pytest.mark.jit

SPECIAL = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-30, -1e-30, 3e38, -3e38, 1.0, -1.0], np.float32)
ERF = np.vectorize(math.erf, otypes=[np.float64])


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


FUNCTIONS = {
    "exp": (np.exp, -87, 88.7, 2),
    "expm1": (np.expm1, -30, 88.7, 2),
    "log": (np.log, 1e-38, 1e38, 2),
    "log1p": (np.log1p, -0.9999, 1e6, 4),
    "tanh": (np.tanh, -12, 12, 4),
    "sigmoid": (sigmoid, -87, 40, 4),
    "softplus": (softplus, -80, 80, 4),
    "erf": (ERF, -5, 5, 3),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_few_ulp(name):
    reference, low, high, ulps = FUNCTIONS[name]
    rng = np.random.default_rng(1)
    x = rng.uniform(low, high, 20001).astype(np.float32)
    x[: len(x) // 3] *= np.float32(2.0) ** rng.integers(-20, 0, len(x) // 3)
    x = x[(x >= np.float32(low)) & (x <= np.float32(high))]
    got = apply(getattr(vector_math, name), x)
    expected = reference(x.astype(np.float64))
    spacing = np.spacing(np.maximum(np.abs(expected), 1.2e-38).astype(np.float32)).astype(np.float64)
    error = np.abs(got - expected) / spacing
    assert error.max() <= ulps, f"{name}: {error.max():.2f} ulp at {x[error.argmax()]!r}"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_special_values(name):
    with np.errstate(all="ignore"):
        expected = FUNCTIONS[name][0](SPECIAL.astype(np.float64)).astype(np.float32)
    got = apply(getattr(vector_math, name), SPECIAL)
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-38)
    if name in ("tanh", "erf", "expm1", "log1p"):
        assert np.signbit(got[1])
        assert not np.signbit(got[0])


ALPHA, BETA = 0.3125, 1.75


@np.errstate(over="ignore")
def _activation_reference(name, x):
    return {
        "none": lambda: x,
        "relu": lambda: np.maximum(x, 0),
        "clip": lambda: np.clip(x, ALPHA, BETA),
        "leaky_relu": lambda: np.where(x < 0, ALPHA * x, x),
        "prelu": lambda: np.where(x < 0, ALPHA * x, x),
        "thresholded_relu": lambda: np.where(x <= ALPHA, 0, x),
        "sigmoid": lambda: sigmoid(x),
        "tanh": lambda: np.tanh(x),
        "hard_sigmoid": lambda: np.clip(ALPHA * x + BETA, 0, 1),
        "hard_swish": lambda: x * np.clip(x / 6 + 0.5, 0, 1),
        "silu": lambda: x * sigmoid(x),
        "mish": lambda: x * np.tanh(softplus(x)),
        "gelu": lambda: 0.5 * x * (1 + ERF(x / math.sqrt(2))),
        "gelu_tanh": lambda: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
        "softplus": lambda: softplus(x),
        "softsign": lambda: x / (1 + np.abs(x)),
        "elu": lambda: np.where(x < 0, ALPHA * np.expm1(x), x),
        "selu": lambda: BETA * np.where(x < 0, ALPHA * np.expm1(x), x),
        "celu": lambda: np.where(x < 0, ALPHA * np.expm1(x / ALPHA), x),
    }[name]()


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(name):
    x = np.concatenate([np.linspace(-12, 12, 2001), [0.0, 1e-6, -1e-6, 80.0, -80.0, 1e4, np.nan]]).astype(np.float32)

    def emit(b, value):
        return emit_activation(b, name, value, b.const(ALPHA), b.const(BETA), b.const(ALPHA))

    got = apply(emit, x)
    expected = _activation_reference(name, x.astype(np.float64))
    np.testing.assert_allclose(got, expected, rtol=2e-6, atol=1e-6)
