"""Scales below the largest weight, where that pays."""

from __future__ import annotations

import numpy as np
import pytest

from cnnc.quantization.rounding import nearest
from cnnc.quantization.weight_clipping import SHARES, best_scales
from tests.observation.layers import random


def loss(rows: np.ndarray, scales: np.ndarray, squares: np.ndarray) -> np.ndarray:
    return (np.square(nearest(rows, scales) * scales - rows) * squares[:, None, :]).sum(axis=2)


@pytest.mark.parametrize("per_channel", [True, False])
def test_the_scale_of_the_least_error_is_taken(per_channel: bool) -> None:
    rows = random(2, 3, 50).astype(np.float64)
    squares = np.square(random(2, 50, seed=1)).astype(np.float64)
    largest = np.abs(rows).max(axis=2, keepdims=True) if per_channel else np.full((2, 3, 1), np.abs(rows).max())
    found = best_scales(rows, largest / 127, squares, per_channel=per_channel)
    shares = found / (largest / 127)
    losses = np.stack([loss(rows, largest / 127 * share, squares) for share in SHARES])
    if per_channel:
        assert np.allclose(loss(rows, found, squares), losses.min(axis=0))
    else:
        assert np.unique(shares.round(9)).size == 1
        assert np.isclose(loss(rows, found, squares).sum(), losses.sum(axis=(1, 2)).min())


def test_a_weight_whose_input_is_small_is_cut_off() -> None:
    rows = np.concatenate([random(1, 1, 500).astype(np.float64), [[[40.0]]]], axis=2)
    squares = np.ones((1, 501))
    squares[0, -1] = 1e-6
    scales = np.full((1, 1, 1), 40 / 127)
    assert best_scales(rows, scales, squares, per_channel=True)[0, 0, 0] < scales[0, 0, 0]
    squares[0, -1] = 1e3
    assert best_scales(rows, scales, squares, per_channel=True)[0, 0, 0] == scales[0, 0, 0]
