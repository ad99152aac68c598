"""The mean of a layer's result stays."""

from __future__ import annotations

import numpy as np

from cnnc.quantization.bias_correction import bias_correction
from tests.observation.layers import random


def test_the_mean_of_each_channel_stays() -> None:
    rows, inputs = random(2, 3, 5).astype(np.float64), np.abs(random(2, 40, 5, seed=1)).astype(np.float64)
    steps = np.full((2, 3, 1), 0.25)
    stored = np.rint(rows / steps).astype(np.int8)
    shift = bias_correction(rows, stored, steps, inputs.mean(axis=1))
    wanted = (inputs @ rows.transpose(0, 2, 1)).mean(axis=1).reshape(-1)
    got = (inputs @ (stored * steps).transpose(0, 2, 1)).mean(axis=1).reshape(-1)
    assert np.allclose(got + shift, wanted)
    assert np.abs(shift).max() > 1e-3
