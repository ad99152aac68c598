"""Scales of weights below the largest weight: what is cut off is worth the finer steps of the rest.

For shares t of the range, the scale t * max |w| / 127 is tried, and the one taken with the least

    sum over o, k of m[k] * (clip(rint(w[o, k] / scale)) * scale - w[o, k])^2

where m[k] is the mean square of the input that the weight multiplies: the error of the layer's result if its inputs
were unrelated. Sums are over the weights that share a scale.

Source: Banner et al., Post Training 4-bit Quantization of Convolutional Networks for Rapid-Deployment, NeurIPS 2019
(the search for a clip by mean squared error); Choukroun et al., Low-bit Quantization of Neural Networks for Efficient
Inference, ICCVW 2019.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cnnc.ir import Array
from cnnc.observation.layer_rows import input_blocks
from cnnc.quantization.rounding import nearest

SHARES = np.linspace(1.0, 0.4, 13)
"""Of the range, that are tried."""

Float64 = NDArray[np.float64]


def best_scales(rows: Array, scales: Float64, squares: Float64, *, per_channel: bool) -> Float64:
    """Scales [G, O, 1] of the least error.

    Args:
        rows: weights [G, O, K].
        scales: [G, O, 1], of the whole range.
        squares: mean squares of the inputs, [G, K].
        per_channel: each row has a scale of its own; else all have one.
    """
    errors = np.zeros((len(SHARES), *rows.shape[:2]))
    for block in input_blocks(rows.shape[2]):
        weights = rows[:, :, block]
        for index, share in enumerate(SHARES):
            tried = (scales * share).astype(weights.dtype)
            error = nearest(weights, tried) * tried - weights
            errors[index] += np.einsum("gok,gk->go", np.square(error), squares[:, block])
    if not per_channel:
        errors = np.broadcast_to(errors.sum(axis=(1, 2), keepdims=True), errors.shape)
    # Of equal ones the first: the whole range.
    best: Float64 = scales * SHARES[errors.argmin(axis=0)][:, :, None]
    return best
