"""Step 3: a register tile in scalar Python: 4 pixels times 4 input channels share what they load.

For a vector of outputs the loop loads 4 vectors of weights and 4 of y, does 16 multiply-adds, and stores the 4 of y:
each weight is used for 4 pixels, each output is loaded and stored once for 4 products. The 16 inputs stay in registers
over the whole loop. All of this is still LLVM's work on scalar code, and so is what goes wrong: it does not know our
registers, and 16 inputs, 4 sums and 4 weights are a tight fit in 32 (see the moves to the stack in its assembly).
"""

from __future__ import annotations

import numpy as np
from lesson_07_conv_to_peak.layer import Built, Layer, Operands, channels_last, with_border
from numba import njit

from cnnc.ir import Array

PIXELS = CHANNELS = 4


@njit(fastmath={"contract"})
def scalar_tile(x: Array, w: Array, y: Array) -> None:
    """As in step 2; W and IC are multiples of 4."""
    y[:] = 0
    for r in range(y.shape[0]):
        for c in range(0, y.shape[1], PIXELS):
            for ky in range(w.shape[0]):
                for kx in range(w.shape[1]):
                    for i in range(0, w.shape[2], CHANNELS):
                        add_tile(x[r + ky, c + kx :, i:], w[ky, kx, i:], y[r, c:])


@njit(fastmath={"contract"}, inline="always")
def add_tile(x: Array, w: Array, y: Array) -> None:
    """Products of 4 pixels x 4 channels with 4 rows of weights: x [4, 4], w [4, OC], y [4, OC]."""
    a0, a1, a2, a3 = x[0, 0], x[0, 1], x[0, 2], x[0, 3]
    b0, b1, b2, b3 = x[1, 0], x[1, 1], x[1, 2], x[1, 3]
    c0, c1, c2, c3 = x[2, 0], x[2, 1], x[2, 2], x[2, 3]
    d0, d1, d2, d3 = x[3, 0], x[3, 1], x[3, 2], x[3, 3]
    for o in range(y.shape[1]):
        w0, w1, w2, w3 = w[0, o], w[1, o], w[2, o], w[3, o]
        y[0, o] = y[0, o] + a0 * w0 + a1 * w1 + a2 * w2 + a3 * w3
        y[1, o] = y[1, o] + b0 * w0 + b1 * w1 + b2 * w2 + b3 * w3
        y[2, o] = y[2, o] + c0 * w0 + c1 * w1 + c2 * w2 + c3 * w3
        y[3, o] = y[3, o] + d0 * w0 + d1 * w1 + d2 * w2 + d3 * w3


def build(layer: Layer, operands: Operands, lanes: int) -> Built:
    """The step for a layer."""
    x, w = channels_last(operands.x), np.ascontiguousarray(operands.w.transpose(2, 3, 1, 0))
    bordered = with_border(np.zeros_like(x))
    y = np.empty((layer.size, layer.size, layer.outputs), np.float32)

    def run() -> None:
        bordered[1:-1, 1:-1] = x
        scalar_tile(bordered, w, y)

    return Built(run, lambda: y.transpose(2, 0, 1), scalar_tile)
