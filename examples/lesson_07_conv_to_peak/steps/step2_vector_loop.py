"""Step 2: loops in an order in which the innermost one runs over neighbouring outputs, so that LLVM makes vectors.

Channels lie last: x [H, W, IC], w [KH, KW, IC, OC], y [H, W, OC]. One input is multiplied by a row of weights, and
added to a row of outputs. These additions are independent: one vector instruction does 16 (AVX-512), and the CPU
overlaps them. But for each multiply-add a vector of y is loaded and stored again, beside the weights: Zen 4 loads one
vector of 64 bytes in a cycle and stores one in two, so that the multiply-add unit waits for most of the time.
"""

from __future__ import annotations

import numpy as np
from lesson_07_conv_to_peak.layer import Built, Layer, Operands, channels_last, with_border
from numba import njit

from cnnc.ir import Array


# "contract" lets LLVM join a product and a sum to one instruction, rounded once. Sums keep their order.
@njit(fastmath={"contract"})
def vector_loop(x: Array, w: Array, y: Array) -> None:
    """x [H + 2, W + 2, IC] with its border, w [KH, KW, IC, OC], y [H, W, OC]."""
    y[:] = 0
    for r in range(y.shape[0]):
        for c in range(y.shape[1]):
            for ky in range(w.shape[0]):
                for kx in range(w.shape[1]):
                    for i in range(w.shape[2]):
                        factor = x[r + ky, c + kx, i]
                        for o in range(y.shape[2]):
                            y[r, c, o] += factor * w[ky, kx, i, o]


def build(layer: Layer, operands: Operands, lanes: int) -> Built:
    """The step for a layer; LLVM chooses the vectors."""
    x, w = channels_last(operands.x), np.ascontiguousarray(operands.w.transpose(2, 3, 1, 0))
    bordered = with_border(np.zeros_like(x))
    y = np.empty((layer.size, layer.size, layer.outputs), np.float32)

    def run() -> None:
        bordered[1:-1, 1:-1] = x
        vector_loop(bordered, w, y)

    return Built(run, lambda: y.transpose(2, 0, 1), vector_loop)
