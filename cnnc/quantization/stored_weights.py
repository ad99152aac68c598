"""Weights and bias of one layer as integers: clipping, rounding, statistics and the bias, in this order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cnnc.ir import Array, Node
from cnnc.quantization.affine import store_weights, weight_scales
from cnnc.quantization.batch_norm_reestimation import deviation_ratio
from cnnc.quantization.bias_correction import bias_correction
from cnnc.quantization.input_moments import Moments
from cnnc.quantization.layer_rows import channel_axis, has_rows, input_blocks, layer_weights, weight_rows
from cnnc.quantization.rounding import gptq, nearest
from cnnc.quantization.settings import Settings
from cnnc.quantization.weight_clipping import best_scales

Float64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class StoredWeights:
    """A layer's weights as they are stored.

    Attributes:
        weights: signed bytes in the layer's shape.
        scales: float32, one for each output channel, or one in all.
        bias: of the stored layer, real numbers [OC]; None where it has none.
    """

    weights: Array
    scales: Array
    bias: Float64 | None


def stored_weights(layer: Node, moments: Moments | None, settings: Settings) -> StoredWeights:
    """The constant weights of a layer as integers.

    Args:
        moments: of the layer's input on samples; without them every input counts alike.
    """
    weights = layer.input(1).array
    assert weights is not None
    axis = channel_axis(layer) if settings.per_channel else None
    scales = weight_scales(weights, axis)
    bias = _bias(layer)
    if not has_rows(layer):
        return StoredWeights(store_weights(weights, scales, axis), scales, bias)
    rows = weight_rows(layer, weights)
    steps = np.broadcast_to(scales.astype(np.float64).reshape(-1), rows[:, :, 0].size).reshape(*rows.shape[:2], 1)
    if settings.clip_weights:
        squares = np.ones((len(rows), rows.shape[2])) if moments is None else moments.squares
        steps = best_scales(rows, steps, squares, per_channel=settings.per_channel)
    # A matmul has no bias that could take up the mean of an error.
    corrects = settings.correct_bias and moments is not None and layer.op != "matmul"
    stored = _rounded(rows, _storable(steps), moments, centred=corrects, method=settings.rounding)
    if settings.reestimate_batch_norm and settings.per_channel and moments is not None:
        steps = steps * deviation_ratio(rows, stored, _storable(steps), moments)
    if corrects:
        assert moments is not None
        correction = bias_correction(rows, stored, _storable(steps), moments.mean)
        bias = correction if bias is None else bias + correction
    final = steps.reshape(-1) if settings.per_channel else steps.reshape(-1)[0]
    return StoredWeights(layer_weights(layer, stored), np.asarray(final, np.float32), bias)


def _bias(layer: Node) -> Float64 | None:
    bias = layer.optional(2)
    return None if bias is None or bias.array is None else bias.array.astype(np.float64)


def _storable(steps: Float64) -> Float64:
    """Scales as float32 holds them, which integers and bias are chosen for."""
    return steps.astype(np.float32).astype(np.float64)


def _rounded(rows: Array, steps: Float64, moments: Moments | None, *, centred: bool, method: str) -> Array:
    """Signed bytes [G, O, K]. ``centred``: the bias takes up what the error is on average."""
    stored = np.empty(rows.shape, np.int8)
    for index, block in enumerate(input_blocks(rows.shape[2])):
        part = rows[:, :, block].astype(np.float64)
        if method == "nearest" or moments is None:
            stored[:, :, block] = nearest(part, steps)
        else:
            matters = moments.covariance(index) if centred else moments.second[index]
            stored[:, :, block] = gptq(part, steps, matters)
    return stored
