"""Normalizations: batch, instance, group, layer, RMS, Lp, mean-variance and local response."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.runtime.host.activation import apply_activation
from cnnc.runtime.host.precision import widen

Array = NDArray[Any]

_MVN_EPSILON = 1e-9
"""Added to the standard deviation by the function body of ONNX MeanVarianceNormalization."""


def batch_normalization(
    x: Array,
    scale: Array,
    bias: Array,
    input_mean: Array,
    input_var: Array,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    training_mode: int = 0,
) -> Array | tuple[Array, Array, Array]:
    """(x - mean) / sqrt(var + epsilon) * scale + bias per channel of x [N, C, ...].

    In training mode mean and variance are those of this batch, and the running ones are returned as well:
    running * momentum + batch * (1 - momentum).
    """
    wide = widen(x)
    if not training_mode:
        return _scale_shift(wide, input_mean, input_var, scale, bias, epsilon).astype(x.dtype, copy=False)
    axes = (0, *range(2, x.ndim))
    mean, var = wide.mean(axis=axes), wide.var(axis=axes)
    y = _scale_shift(wide, mean, var, scale, bias, epsilon).astype(x.dtype, copy=False)
    running_mean = widen(input_mean) * momentum + mean * (1 - momentum)
    running_var = widen(input_var) * momentum + var * (1 - momentum)
    return y, running_mean.astype(input_mean.dtype), running_var.astype(input_var.dtype)


def _scale_shift(x: Array, mean: Array, var: Array, scale: Array, bias: Array, epsilon: float) -> Array:
    shape = (1, -1) + (1,) * (x.ndim - 2)
    mean, var, scale, bias = (values.astype(x.dtype).reshape(shape) for values in (mean, var, scale, bias))
    return (x - mean) * (scale / np.sqrt(var + x.dtype.type(epsilon))) + bias


def scale_shift(
    x: Array, scale: Array, shift: Array, *, activation: tuple[str, float, float] = ("none", 0.0, 0.0)
) -> Array:
    """act(x * scale + shift) per channel of x [N, C, ...]; scale and shift are [C]."""
    wide = widen(x)
    shape = (1, -1) + (1,) * (x.ndim - 2)
    y = wide * scale.astype(wide.dtype).reshape(shape) + shift.astype(wide.dtype).reshape(shape)
    return apply_activation(y, activation).astype(x.dtype, copy=False)


def instance_normalization(x: Array, scale: Array, bias: Array, *, epsilon: float = 1e-5) -> Array:
    """Normalizes each channel of each image of x [N, C, spatial...], then scales and shifts by [C]."""
    return group_normalization(x, scale, bias, num_groups=x.shape[1], epsilon=epsilon)


def group_normalization(
    x: Array, scale: Array, bias: Array, *, num_groups: int, epsilon: float = 1e-5, stash_type: int = 1
) -> Array:
    """Normalizes each group of channels of each image of x [N, C, spatial...], then scales and shifts by [C]."""
    wide = widen(x)
    if not x.size:
        return x
    groups = wide.reshape(x.shape[0], num_groups, -1)
    normal = _normalize(groups, (2,), epsilon)[0].reshape(x.shape)
    shape = (1, -1) + (1,) * (x.ndim - 2)
    y = normal * scale.astype(wide.dtype).reshape(shape) + bias.astype(wide.dtype).reshape(shape)
    return y.astype(x.dtype, copy=False)


def layer_normalization(
    x: Array, scale: Array, bias: Array | None = None, *, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1
) -> tuple[Array, Array, Array]:
    """Normalizes over the axes from ``axis`` on, then scales and shifts; also the mean and 1/std that it used."""
    wide = widen(x)
    axes = tuple(range(axis % x.ndim, x.ndim))
    normal, mean, inverse = _normalize(wide, axes, epsilon)
    y = normal * widen(scale)
    if bias is not None:
        y = y + widen(bias)
    stash = np.dtype(np.float32) if stash_type == 1 else _bfloat16()
    return y.astype(x.dtype, copy=False), mean.astype(stash), inverse.astype(stash)


def rms_normalization(x: Array, scale: Array, *, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1) -> Array:
    """x / sqrt(mean(x^2) + epsilon) * scale, the mean over the axes from ``axis`` on."""
    wide = widen(x)
    axes = tuple(range(axis % x.ndim, x.ndim))
    normal = wide / np.sqrt(np.mean(wide * wide, axis=axes, keepdims=True) + wide.dtype.type(epsilon))
    return (normal * widen(scale)).astype(x.dtype, copy=False)


def lp_normalization(x: Array, *, axis: int = -1, p: int = 2) -> Array:
    """x divided by its p-norm (1 or 2) along ``axis``; a zero norm gives zeros."""
    wide = widen(x)
    norm = (
        np.sum(np.abs(wide), axis=axis, keepdims=True)
        if p == 1
        else np.sqrt(np.sum(wide * wide, axis=axis, keepdims=True))
    )
    return np.where(norm == 0, 0, wide / np.where(norm == 0, 1, norm)).astype(x.dtype)


def mean_variance_normalization(x: Array, *, axes: Sequence[int] = (0, 2, 3)) -> Array:
    """(x - mean) / (std + 1e-9) over ``axes``."""
    wide = widen(x)
    over = tuple(axes)
    mean = wide.mean(axis=over, keepdims=True)
    # Mean of squares minus square of mean, as the function body says, but computed without its cancellation.
    std = np.sqrt(np.mean(np.square(wide - mean), axis=over, keepdims=True))
    return ((wide - mean) / (std + wide.dtype.type(_MVN_EPSILON))).astype(x.dtype, copy=False)


def lrn(x: Array, *, size: int, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0) -> Array:
    """x / (bias + alpha/size * sum of squares over ``size`` neighbouring channels)^beta for x [N, C, spatial...]."""
    wide = widen(x)
    channels = x.shape[1]
    squares = wide * wide
    total = np.zeros_like(squares)
    for offset in range(-((size - 1) // 2), size // 2 + 1):
        low, high = max(0, -offset), min(channels, channels - offset)
        if low < high:
            total[:, low:high] += squares[:, low + offset : high + offset]
    power = (wide.dtype.type(bias) + wide.dtype.type(alpha / size) * total) ** wide.dtype.type(beta)
    return (wide / power).astype(x.dtype, copy=False)


def _normalize(x: Array, axes: tuple[int, ...], epsilon: float) -> tuple[Array, Array, Array]:
    """(x - mean) / sqrt(var + epsilon), the mean and the factor; sums keep their axes."""
    mean = x.mean(axis=axes, keepdims=True)
    centered = x - mean
    inverse = 1 / np.sqrt(np.mean(centered * centered, axis=axes, keepdims=True) + x.dtype.type(epsilon))
    return centered * inverse, mean, inverse


def _bfloat16() -> np.dtype[Any]:
    import ml_dtypes

    bfloat16: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
    return bfloat16
