"""Activations that a convolution, matrix product or scale-shift applies to its result (the epilogue)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.runtime.host.elementary import erf

Array = NDArray[Any]

_SELU_ALPHA = 1.67326319217681884765625
_SELU_GAMMA = 1.05070102214813232421875


def apply_activation(x: Array, activation: tuple[str, float, float], slopes: Array | None = None) -> Array:
    """The activation ``(kind, alpha, beta)`` of ``cnnc.ops.activation.Activation``, in the dtype of ``x``.

    Args:
        x: floats of any shape; [N, C, ...] for ``prelu``.
        activation: kind and its two parameters, see ``Activation``.
        slopes: of ``prelu``: one slope a channel (C elements in any shape with a single axis above 1), or one in all.
    """
    kind, alpha, beta = activation
    zero = np.zeros((), x.dtype)
    match kind:
        case "none":
            return x
        case "relu":
            return np.maximum(x, zero)
        case "clip":
            return np.minimum(np.maximum(x, np.asarray(alpha, x.dtype)), np.asarray(beta, x.dtype))
        case "leaky_relu":
            return np.where(x < 0, x * x.dtype.type(alpha), x)
        case "prelu":
            if slopes is None:
                raise ValueError("prelu needs slopes")
            per_channel = slopes.reshape((1, -1) + (1,) * (x.ndim - 2)) if slopes.size > 1 else slopes.reshape(())
            return np.where(x < 0, x * per_channel.astype(x.dtype), x)
        case "sigmoid":
            return sigmoid(x)
        case "tanh":
            return np.tanh(x)
        case "hard_sigmoid":
            return np.clip(x * x.dtype.type(alpha) + x.dtype.type(beta), 0, 1)
        case "hard_swish":
            return x * np.clip(x * x.dtype.type(1 / 6) + x.dtype.type(0.5), 0, 1)
        case "silu":
            return x * sigmoid(x)
        case "mish":
            return x * np.tanh(softplus(x))
        case "softplus":
            return softplus(x)
        case "gelu":
            half = x.dtype.type(0.5)
            return half * x * (1 + erf(x * x.dtype.type(math.sqrt(0.5))))
        case "gelu_tanh":
            inner = x.dtype.type(math.sqrt(2 / math.pi)) * (x + x.dtype.type(0.044715) * x * x * x)
            return x.dtype.type(0.5) * x * (1 + np.tanh(inner))
        case "elu":
            return np.where(x < 0, x.dtype.type(alpha) * np.expm1(np.minimum(x, zero)), x)
        case "selu":
            negative = x.dtype.type(_SELU_ALPHA) * np.expm1(np.minimum(x, zero))
            return x.dtype.type(_SELU_GAMMA) * np.where(x < 0, negative, x)
        case _:
            raise ValueError(f"there is no activation {kind!r}")


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)) without overflow."""
    small = np.exp(-np.abs(x))
    return np.where(x < 0, small, np.ones((), x.dtype)) / (1 + small)


def softplus(x: Array) -> Array:
    """log(1 + exp(x)) without overflow."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))
