"""Which integer a weight becomes: the nearest one, or the one with which the layer's result is nearest (GPTQ).

Rounding a weight up or down changes the result of its layer, and other weights of the same row can make up for most of
that where their inputs are correlated. The error to be made small is D C D^T for the error D of a row and the moments C
of its inputs. ``gptq`` rounds inputs one after the other and each time moves the weights that are still to come to
where they balance the error best:

    e = (w[k] - q[k]) / U[k, k]        w[j] -= e * U[k, j]  for j > k        U^T U = C^-1, U upper triangular

Weights that are 0 stay 0, whatever they could make up for: pruned ones must not come back. What that costs is left to
the others as any error is.

Source: Frantar et al., GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers, ICLR 2023,
after Hassibi and Stork, Optimal Brain Surgeon, 1993. The aim, a layer's result instead of its weights, is that of Nagel
et al., Up or Down? Adaptive Rounding for Post-Training Quantization, ICML 2020. Rounding past zeros is that of Frantar
and Alistarh, SparseGPT: Massive Language Models Can Be Accurately Pruned in One-Shot, ICML 2023.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.quantization.affine import WEIGHT_LIMIT

DAMPING = 0.01
"""Share of the inputs' mean moment that is added to each: weights move less for what few samples say."""

_PANEL = 32
"""Inputs that are rounded before their errors reach the ones behind, as one matrix product."""

Float64 = NDArray[np.float64]


def nearest(rows: NDArray[Any], scales: NDArray[Any]) -> NDArray[Any]:
    """Steps of the weights, rounded half to even; ``scales`` broadcast to them."""
    stored: NDArray[Any] = np.clip(np.rint(rows / scales), -WEIGHT_LIMIT, WEIGHT_LIMIT)
    return stored


def gptq(rows: Float64, scales: Float64, moments: Float64) -> Float64:
    """Steps of the weights [G, O, K] by the moments [G, K, K] of their inputs; ``scales`` [G, O, 1].

    Inputs of large power come first, while there are many weights left to balance their errors. Where no input has any
    power the weights do not matter, and become the nearest steps.
    """
    power = np.diagonal(moments, axis1=1, axis2=2)
    order = np.argsort(-power, axis=1, kind="stable")
    group = np.arange(len(rows))[:, None]
    damping = DAMPING * power.mean(axis=1)
    damping[damping <= 0] = 1.0
    damped = moments[group[:, :, None], order[:, :, None], order[:, None, :]]
    damped = damped + damping[:, None, None] * np.eye(rows.shape[2])
    # A column of weights lies together, as they are rounded together.
    columns = np.take_along_axis(rows.transpose(0, 2, 1), order[:, :, None], axis=1)
    stored = np.empty_like(columns)
    np.put_along_axis(stored, order[:, :, None], _in_order(columns, scales[:, :, 0], damped), axis=1)
    return stored.transpose(0, 2, 1)


def _in_order(columns: Float64, scales: Float64, moments: Float64) -> Float64:
    """Round columns [G, K, O] from the first to the last, ``scales`` [G, O]; ``columns`` is overwritten."""
    upper = np.linalg.cholesky(np.linalg.inv(moments)).transpose(0, 2, 1)
    stored = np.empty_like(columns)
    is_kept = columns != 0
    size = columns.shape[1]
    for begin in range(0, size, _PANEL):
        end = min(begin + _PANEL, size)
        errors = np.empty((len(columns), end - begin, columns.shape[2]))
        for k in range(begin, end):
            stored[:, k] = np.where(is_kept[:, k], nearest(columns[:, k], scales), 0)
            errors[:, k - begin] = (columns[:, k] - stored[:, k] * scales) / upper[:, k, k, None]
            columns[:, k + 1 : end] -= upper[:, k, k + 1 : end, None] * errors[:, k - begin, None]
        columns[:, end:] -= upper[:, begin:end, end:].transpose(0, 2, 1) @ errors
    return stored
