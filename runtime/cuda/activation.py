"""Activations of one float32 for Numba CUDA code.

Formulas are ONNX's, parameters those of ``cnnc.runtime.cpu.activation``; NaN stays NaN. Imported only while a kernel is
compiled.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from cnnc.runtime.cuda.intrinsics import FLOAT, inlined

_F = np.float32
_ZERO, _ONE, _TWO, _HALF = _F(0), _F(1), _F(2), _F(0.5)
_SIXTH, _ROOT_HALF = _F(1 / 6), _F(math.sqrt(0.5))
_CUBIC, _GELU_SCALE, _FLAT = _F(0.044715), _F(math.sqrt(2 / math.pi)), _F(20)


def _none(x: Any, alpha: Any, beta: Any) -> Any:
    return x


def _relu(x: Any, alpha: Any, beta: Any) -> Any:
    return _ZERO if x < _ZERO else x


def _clip(x: Any, alpha: Any, beta: Any) -> Any:
    bounded = alpha if x < alpha else x
    return beta if bounded > beta else bounded


def _leaky_relu(x: Any, alpha: Any, beta: Any) -> Any:
    return x * alpha if x < _ZERO else x


def _thresholded_relu(x: Any, alpha: Any, beta: Any) -> Any:
    return _ZERO if x <= alpha else x


def _sigmoid(x: Any, alpha: Any, beta: Any) -> Any:
    return _ONE / (_ONE + math.exp(-x))


def _tanh(x: Any, alpha: Any, beta: Any) -> Any:
    return math.tanh(x)


def _within_one(x: Any) -> Any:
    return _ZERO if x < _ZERO else _ONE if x > _ONE else x


def _hard_sigmoid(x: Any, alpha: Any, beta: Any) -> Any:
    return _unit(x * alpha + beta)


def _hard_swish(x: Any, alpha: Any, beta: Any) -> Any:
    return x * _unit(x * _SIXTH + _HALF)


def _silu(x: Any, alpha: Any, beta: Any) -> Any:
    return x / (_ONE + math.exp(-x))


def _mish(x: Any, alpha: Any, beta: Any) -> Any:
    # tanh(log(1 + e^x)) = n / (n + 2) with n = e^x * (e^x + 2); it is 1 from x = 20 on.
    e = math.exp(_FLAT if x > _FLAT else x)
    n = e * (e + _TWO)
    return x * (n / (n + _TWO))


def _gelu(x: Any, alpha: Any, beta: Any) -> Any:
    return x * _HALF * (_ONE + math.erf(x * _ROOT_HALF))


def _gelu_tanh(x: Any, alpha: Any, beta: Any) -> Any:
    return x * _HALF * (_ONE + math.tanh(x * (x * x * _CUBIC + _ONE) * _GELU_SCALE))


def _softplus(x: Any, alpha: Any, beta: Any) -> Any:
    # log(1 + e^x) = max(x, 0) + log(1 + e^-|x|) does not overflow.
    return (_ZERO if x < _ZERO else x) + math.log1p(math.exp(-abs(x)))


def _softsign(x: Any, alpha: Any, beta: Any) -> Any:
    return x / (_ONE + abs(x))


def _elu(x: Any, alpha: Any, beta: Any) -> Any:
    return alpha * math.expm1(x) if x < _ZERO else x


def _selu(x: Any, alpha: Any, beta: Any) -> Any:
    return beta * (alpha * math.expm1(x) if x < _ZERO else x)


def _celu(x: Any, alpha: Any, beta: Any) -> Any:
    return alpha * math.expm1(x / alpha) if x < _ZERO else x


_unit = inlined(FLOAT, [FLOAT], _within_one)

_FUNCTIONS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "none": _none,
    "relu": _relu,
    "clip": _clip,
    "leaky_relu": _leaky_relu,
    "prelu": _leaky_relu,
    "thresholded_relu": _thresholded_relu,
    "sigmoid": _sigmoid,
    "tanh": _tanh,
    "hard_sigmoid": _hard_sigmoid,
    "hard_swish": _hard_swish,
    "silu": _silu,
    "mish": _mish,
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "softplus": _softplus,
    "softsign": _softsign,
    "elu": _elu,
    "selu": _selu,
    "celu": _celu,
}


def activation_function(kind: str) -> Callable[[Any, Any, Any], Any]:
    """The code of ``scalar_activation``, to be compiled into other code."""
    return _FUNCTIONS[kind]


def scalar_activation(kind: str) -> Any:
    """``activation(x, alpha, beta)`` of a kind in ``cnnc.runtime.cpu.activation.ACTIVATIONS``."""
    return inlined(FLOAT, [FLOAT] * 3, _FUNCTIONS[kind])
