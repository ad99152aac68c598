"""Scales and zero points: real = scale * (stored - zero_point).

Source: Jacob et al., Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference,
CVPR 2018, section 2.1. Every range holds 0, so that 0 (padding, what ReLU cuts) is stored exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cnnc.ir import Array

LEVELS = 255
"""Steps between the smallest and the largest unsigned byte."""

WEIGHT_LIMIT = 127
"""Weights lie in -127..127: symmetric, so that their zero point is 0."""


@dataclass(frozen=True, slots=True)
class Affine:
    """Scale and zero point of an unsigned byte."""

    scale: float
    zero_point: int


def activation_affine(low: float, high: float, *, symmetric: bool = False) -> Affine:
    """Scale and zero point of a range.

    The zero point is rounded, so ends of the range move by half a step at most. A range of no width (a tensor of
    zeros) has scale 1.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    if symmetric and low < 0:
        high = max(high, -low)
        low = -high
    scale = float(np.float32((high - low) / LEVELS))
    # A range as small as float32's smallest numbers is as good as none.
    if not scale >= float(np.finfo(np.float32).tiny):
        return Affine(1.0, 0)
    return Affine(scale, int(np.clip(np.rint(-low / scale), 0, LEVELS)))


def weight_scales(weights: Array, axis: int | None) -> Array:
    """Scales of signed bytes, float32: one for each index of ``axis``, or one in all.

    A channel of zeros has scale 1.
    """
    magnitude = np.abs(weights.astype(np.float64))
    if axis is None:
        largest = np.asarray(magnitude.max(initial=0.0))
    else:
        largest = magnitude.max(axis=tuple(i for i in range(weights.ndim) if i != axis), initial=0.0)
    scales = (largest / WEIGHT_LIMIT).astype(np.float32)
    return np.where(scales >= np.finfo(np.float32).tiny, scales, np.float32(1)).astype(np.float32)


def store_weights(weights: Array, scales: Array, axis: int | None) -> Array:
    """Signed bytes of the weights, rounded half to even."""
    steps = weights.astype(np.float64) / along(scales.astype(np.float64), axis, weights.ndim)
    return np.clip(np.rint(steps), -WEIGHT_LIMIT, WEIGHT_LIMIT).astype(np.int8)


def along(scales: NDArray[np.float64], axis: int | None, rank: int) -> NDArray[np.float64]:
    """Scales in the shape in which they multiply weights: [1, ..., OC, ..., 1], or no axes for one in all."""
    return scales.reshape(() if axis is None else [-1 if index == axis else 1 for index in range(rank)])


def store_bias(bias: Array, scales: Array) -> Array:
    """The bias [OC] in steps of input scale * weight scale, as int32.

    Beyond int32 it saturates: such a bias is 2^31 times the step of its layer.
    """
    steps = np.rint(bias.astype(np.float64) / scales.astype(np.float64))
    limits = np.iinfo(np.int32)
    return np.clip(steps, limits.min, limits.max).astype(np.int32)
