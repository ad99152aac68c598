"""Activation functions as ops of their own. Half floats are computed in float32.

A negative side is chosen by ``x < 0``, so NaN goes through the other side unchanged.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.runtime.host import activation
from cnnc.runtime.host.elementary import erf
from cnnc.runtime.host.precision import halves_in_float32

Array = NDArray[Any]

_SELU_ALPHA = 1.67326319217681884765625
_SELU_GAMMA = 1.05070102214813232421875


def relu(x: Array) -> Array:
    """max(x, 0); NaN stays NaN."""
    return np.maximum(x, np.zeros((), x.dtype))


def clip(x: Array, low: Array | None = None, high: Array | None = None) -> Array:
    """min(max(x, low), high): a low above high gives high. An absent limit does not limit."""
    if low is not None:
        x = np.maximum(x, low.reshape(()))
    return x if high is None else np.minimum(x, high.reshape(()))


@halves_in_float32
def prelu(x: Array, slope: Array) -> Array:
    """x, multiplied by the (broadcast) slope where x < 0."""
    return np.where(x < 0, x * slope, x)


@halves_in_float32
def leaky_relu(x: Array, *, alpha: float = 0.009999999776482582) -> Array:
    """x, multiplied by alpha where x < 0."""
    return np.where(x < 0, x * alpha, x)


@halves_in_float32
def thresholded_relu(x: Array, *, alpha: float = 1.0) -> Array:
    """x where x > alpha, else 0."""
    return np.where(x > alpha, x, np.zeros((), x.dtype))


@halves_in_float32
def elu(x: Array, *, alpha: float = 1.0) -> Array:
    """alpha * (exp(x) - 1) where x < 0, else x."""
    return np.where(x < 0, alpha * np.expm1(np.minimum(x, 0)), x)


@halves_in_float32
def celu(x: Array, *, alpha: float = 1.0) -> Array:
    """max(0, x) + min(0, alpha * (exp(x / alpha) - 1))."""
    return np.maximum(x, 0) + np.minimum(0, alpha * np.expm1(np.divide(x, np.asarray(alpha, x.dtype))))


@halves_in_float32
def selu(x: Array, *, alpha: float = _SELU_ALPHA, gamma: float = _SELU_GAMMA) -> Array:
    """gamma * (alpha * exp(x) - alpha where x <= 0, else x)."""
    return gamma * np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


@halves_in_float32
def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x))."""
    return activation.sigmoid(x)


@halves_in_float32
def hard_sigmoid(x: Array, *, alpha: float = 0.20000000298023224, beta: float = 0.5) -> Array:
    """alpha * x + beta, limited to 0..1."""
    return np.maximum(0, np.minimum(1, alpha * x + beta)).astype(x.dtype)


@halves_in_float32
def hard_swish(x: Array) -> Array:
    """x * hard_sigmoid(x) with alpha 1/6 and beta 1/2."""
    return x * np.maximum(0, np.minimum(1, np.asarray(1 / 6, x.dtype) * x + 0.5)).astype(x.dtype)


@halves_in_float32
def swish(x: Array, *, alpha: float = 1.0) -> Array:
    """x * sigmoid(alpha * x)."""
    return x * activation.sigmoid(alpha * x)


@halves_in_float32
def swi_glu(gate: Array, x: Array, *, alpha: float = 1.0) -> Array:
    """swish(gate) * x."""
    return swish(gate, alpha=alpha) * x


@halves_in_float32
def softplus(x: Array) -> Array:
    """log(1 + exp(x))."""
    return activation.softplus(x)


@halves_in_float32
def softsign(x: Array) -> Array:
    """x / (1 + |x|)."""
    return np.divide(x, 1 + np.abs(x))


@halves_in_float32
def mish(x: Array) -> Array:
    """x * tanh(softplus(x))."""
    return x * np.tanh(activation.softplus(x))


@halves_in_float32
def gelu(x: Array, *, approximate: str = "none") -> Array:
    """x times the normal distribution function of x, exact by erf or approximated by tanh."""
    if approximate == "tanh":
        inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)
        return 0.5 * x * (1 + np.tanh(inner))
    return 0.5 * x * (1 + erf(x * math.sqrt(0.5)))


@halves_in_float32
def shrink(x: Array, *, bias: float = 0.0, lambd: float = 0.5) -> Array:
    """x + bias below -lambd, x - bias above lambd, else 0; integers are truncated."""
    zero = np.zeros((), x.dtype)
    shrunk = np.where(x < -lambd, x + bias, np.where(x > lambd, x - bias, zero))
    return shrunk.astype(x.dtype)
