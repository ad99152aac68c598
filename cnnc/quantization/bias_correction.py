"""The bias takes up the mean of the error that rounded weights make.

    b' = b - E[(Wq - W) x] = b + (W - Wq) E[x]

E[x] is the mean of the layer's input rows on samples. Rounding errors of a row do not cancel where inputs have means
(after ReLU they have), most of all in depthwise layers, whose rows are short: their results would shift, channel by
channel.

Source: Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction, ICCV 2019, section 4.2,
with means from samples in place of batch normalizations.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cnnc.ir import Array
from cnnc.observation.layer_rows import input_blocks

Float64 = NDArray[np.float64]


def bias_correction(rows: Array, stored: Array, steps: Float64, mean: Float64) -> Float64:
    """What is to be added to the bias, [G * O].

    Args:
        rows, stored: weights and their integers [G, O, K].
        steps: scales [G, O, 1].
        mean: of the inputs, [G, K].
    """
    shift = np.zeros(rows.shape[:2])
    for block in input_blocks(rows.shape[2]):
        error = rows[:, :, block].astype(np.float64) - stored[:, :, block].astype(np.float64) * steps
        shift += (error @ mean[:, block, None])[:, :, 0]
    return shift.reshape(-1)
