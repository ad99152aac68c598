"""Weights and bias of one layer as integers: clipping, rounding, statistics and the bias, in this order."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cnnc.errors import ModelError
from cnnc.ir import Array, Node
from cnnc.observation.input_moments import Moments
from cnnc.observation.layer_rows import channel_axis, has_rows, input_blocks, layer_weights, weight_rows
from cnnc.quantization.affine import along, store_weights, weight_scales
from cnnc.quantization.batch_norm_reestimation import deviation_ratio
from cnnc.quantization.bias_correction import bias_correction
from cnnc.quantization.rounding import gptq, nearest
from cnnc.quantization.settings import Settings
from cnnc.quantization.weight_clipping import best_scales

_BIAS_LIMIT = 2**30
"""Largest bias in steps, so that sums of products and corrections for zero points find room in 32 bits beside it."""

Float64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class StoredWeights:
    """A layer's weights as they are stored.

    Attributes:
        weights: signed bytes in the layer's shape.
        scales: float32, one for each output channel, or one in all.
        channel_axis: of the weights.
        bias: of the stored layer, real numbers [OC]; None where it has none.
    """

    weights: Array
    scales: Array
    channel_axis: int
    bias: Float64 | None

    def for_input(self, input_scale: float) -> StoredWeights:
        """Scales so large that the bias fits: it is stored in steps of input scale * weight scale.

        Only weights that are next to nothing beside their bias are stored more coarsely.
        """
        if self.bias is None:
            return self
        step = np.maximum(np.abs(self.bias) / _BIAS_LIMIT, np.finfo(np.float32).tiny)
        least = (step / input_scale).astype(np.float32)
        scales = np.maximum(self.scales, least if self.scales.ndim else least.max(initial=0.0))
        if (scales == self.scales).all():
            return self
        axis = self.channel_axis if scales.ndim else None
        restored = self.weights.astype(np.float64) * along(self.scales.astype(np.float64), axis, self.weights.ndim)
        return replace(self, weights=store_weights(restored, scales, axis), scales=scales)


def stored_weights(layer: Node, moments: Moments | None, settings: Settings) -> StoredWeights:
    """The constant weights of a layer as integers.

    Args:
        moments: of the layer's input on samples; without them every input counts alike.

    Raises:
        ModelError: a weight is infinite or NaN.
    """
    weights, bias = _constants(layer)
    axis = channel_axis(layer) if settings.per_channel else None
    scales = weight_scales(weights, axis)
    if not has_rows(layer):
        return StoredWeights(store_weights(weights, scales, axis), scales, channel_axis(layer), bias)
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
    return StoredWeights(layer_weights(layer, stored), np.asarray(final, np.float32), channel_axis(layer), bias)


def _constants(layer: Node) -> tuple[Array, Float64 | None]:
    """Weights and bias, all of them finite."""
    for operand in (layer.input(1), layer.optional(2)):
        if operand is not None and operand.array is not None and not np.isfinite(operand.array).all():
            hint = "no integer stands for it: repair the model, or leave the layer in float with exclude"
            raise ModelError(f"%{operand.name} holds infinity or NaN", where=f"layer {layer.name!r}", hint=hint)
    weights, bias = layer.input(1).array, layer.optional(2)
    assert weights is not None
    return weights, None if bias is None or bias.array is None else bias.array.astype(np.float64)


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
