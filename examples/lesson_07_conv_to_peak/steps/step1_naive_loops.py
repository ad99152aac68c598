"""Step 1: the definition of a convolution, as seven loops over NCHW arrays.

    y[n, o, r, c] = sum over i, ky, kx of x[n, i, r + ky, c + kx] * w[o, i, ky, kx]

The sum is one chain: every addition waits for the one before, 3 or 4 cycles each, and LLVM may not reorder a float sum.
So there is one product in flight, where the CPU could have a vector of them in each of several registers.
"""

from __future__ import annotations

import numpy as np
from lesson_07_conv_to_peak.layer import Built, Layer, Operands
from numba import njit

from cnnc.ir import Array


@njit
def seven_loops(x: Array, w: Array, y: Array) -> None:
    """x [N, IC, H + 2, W + 2] with its border, w [OC, IC, KH, KW], y [N, OC, H, W]."""
    for n in range(y.shape[0]):
        for o in range(y.shape[1]):
            for r in range(y.shape[2]):
                for c in range(y.shape[3]):
                    total = np.float32(0)
                    for i in range(w.shape[1]):
                        for ky in range(w.shape[2]):
                            for kx in range(w.shape[3]):
                                total += x[n, i, r + ky, c + kx] * w[o, i, ky, kx]
                    y[n, o, r, c] = total


def build(layer: Layer, operands: Operands, lanes: int) -> Built:
    """The step for a layer; vectors play no part."""
    bordered = np.zeros((1, layer.inputs, layer.size + 2, layer.size + 2), np.float32)
    y = np.empty((1, layer.outputs, layer.size, layer.size), np.float32)

    def run() -> None:
        bordered[0, :, 1:-1, 1:-1] = operands.x
        seven_loops(bordered, operands.w, y)

    return Built(run, lambda: y[0], seven_loops)
