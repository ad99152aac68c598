"""Statistics of batch normalizations, taken anew from the layers with rounded weights.

A batch normalization divides by the standard deviation of its layer's result. That of the rounded weights is another
one, and with it in place of the first, results have the deviation again that the next layers were trained on. For a
normalization that is folded already, this multiplies the weights of a channel:

    w' = Wq * sqrt(w C w^T / wq C wq^T)         C: covariance of the layer's input on samples

which changes the channel's scale and no integer. (The mean, its other statistic, is what ``bias_correction`` restores.)

Source: Sun et al., Hybrid 8-bit Floating Point (HFP8) Training and Inference for Deep Neural Networks, NeurIPS 2019,
section 3.2; Nagel et al., A White Paper on Neural Network Quantization, 2021, section 5.2.1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cnnc.ir import Array
from cnnc.observation.input_moments import Moments
from cnnc.observation.layer_rows import input_blocks

MOST = 2.0
"""Largest factor, and the inverse of the smallest: beyond it, samples say little about the channel."""

Float64 = NDArray[np.float64]


def deviation_ratio(rows: Array, stored: Array, steps: Float64, moments: Moments) -> Float64:
    """Factors of the scales [G, O, 1] that keep each channel's deviation; 1 where the result does not vary.

    Args:
        rows, stored: weights and their integers [G, O, K].
        steps: scales [G, O, 1].
    """
    wanted, found = np.zeros(rows.shape[:2]), np.zeros(rows.shape[:2])
    for index, block in enumerate(input_blocks(rows.shape[2])):
        covariance = moments.covariance(index)
        wanted += _variance(rows[:, :, block].astype(np.float64), covariance)
        found += _variance(stored[:, :, block].astype(np.float64) * steps, covariance)
    varies = (wanted > 0) & (found > 0)
    ratio = np.sqrt(np.divide(wanted, found, out=np.ones_like(wanted), where=varies))
    return np.clip(ratio, 1 / MOST, MOST)[:, :, None]


def _variance(rows: Float64, covariance: Float64) -> Float64:
    """Of each row's result, [G, O]."""
    variance: Float64 = np.einsum("gok,gok->go", rows @ covariance, rows)
    return variance
