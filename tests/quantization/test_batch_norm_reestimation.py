"""The deviation of a layer's results stays."""

from __future__ import annotations

import numpy as np

from cnnc.quantization.batch_norm_reestimation import MOST, deviation_ratio
from tests.observation.layers import moments_of, random


def test_the_deviation_of_each_channel_stays() -> None:
    rows, inputs = random(2, 3, 5).astype(np.float64), random(2, 400, 5, seed=1)
    steps = np.full((2, 3, 1), 0.25)
    stored = np.rint(rows / steps).astype(np.int8)
    ratio = deviation_ratio(rows, stored, steps, moments_of(inputs))
    wanted = (inputs @ rows.transpose(0, 2, 1)).std(axis=1)
    got = (inputs @ (stored * steps * ratio).transpose(0, 2, 1)).std(axis=1)
    assert np.allclose(got, wanted, rtol=1e-3)


def test_channels_without_variance_keep_their_scale_and_others_move_little() -> None:
    rows, inputs = np.zeros((1, 2, 3)), random(1, 100, 3)
    rows[0, 1] = 10
    stored = np.array([[[0, 0, 0], [1, 1, 1]]], np.int8)
    ratio = deviation_ratio(rows, stored, np.ones((1, 2, 1)), moments_of(inputs))
    assert ratio.reshape(-1).tolist() == [1.0, MOST]
