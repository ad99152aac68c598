"""Integers of weights: each at most a step away or better in sum."""

from __future__ import annotations

import numpy as np
import pytest

from cnnc.errors import OptionError
from cnnc.quantization import Settings, rounding
from cnnc.quantization.rounding import gptq, nearest
from tests.observation.layers import moments_of, random


def error(rows: np.ndarray, stored: np.ndarray, scales: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """Mean square of what the layer's result is off by, [G, O]."""
    difference = rows - stored * scales
    return np.einsum("gok,gkl,gol->go", difference, moments, difference)


def related_rows(groups: int, count: int, size: int) -> np.ndarray:
    """Inputs that are correlated, as neighbouring pixels are."""
    mix = random(groups, size, size, seed=1) + 3
    return np.maximum(random(groups, count, size) @ mix, 0)


@pytest.mark.parametrize(("groups", "outputs", "size"), [(1, 7, 40), (5, 1, 9), (2, 3, 1)])
def test_gptq_makes_less_error_than_the_nearest(groups: int, outputs: int, size: int) -> None:
    rows = random(groups, outputs, size).astype(np.float64)
    scales = np.abs(rows).max(axis=2, keepdims=True) / 15
    [moments] = moments_of(related_rows(groups, 200, size)).second
    one = error(rows, nearest(rows, scales), scales, moments).sum()
    other = error(rows, gptq(rows.copy(), scales, moments), scales, moments).sum()
    assert other < 0.5 * one or (size == 1 and other <= one * (1 + 1e-9))


def test_gptq_of_unrelated_inputs_is_the_nearest() -> None:
    rows = random(1, 4, 12).astype(np.float64)
    scales = np.full((1, 4, 1), 0.01)
    moments = np.diag(np.arange(1.0, 13))[None]
    assert (gptq(rows.copy(), scales, moments) == nearest(rows, scales)).all()


def test_panels_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = random(2, 3, 20).astype(np.float64)
    scales = np.abs(rows).max(axis=2, keepdims=True) / 127
    [moments] = moments_of(related_rows(2, 100, 20)).second
    wanted = gptq(rows.copy(), scales, moments)
    monkeypatch.setattr(rounding, "_PANEL", 7)
    assert (gptq(rows.copy(), scales, moments) == wanted).all()


def test_inputs_of_zeros_take_the_nearest() -> None:
    rows = random(1, 4, 6).astype(np.float64)
    scales = np.full((1, 4, 1), 0.02)
    assert (gptq(rows.copy(), scales, np.zeros((1, 6, 6))) == nearest(rows, scales)).all()


@pytest.mark.parametrize("density", [0.0, 0.1, 0.6])
def test_zeros_stay_and_the_others_make_up_for_them(density: float) -> None:
    rows = random(2, 8, 40).astype(np.float64)
    rows *= random(2, 8, 40, seed=5) < np.quantile(random(2, 8, 40, seed=5), density)
    scales = np.full((2, 8, 1), 0.15)
    [moments] = moments_of(related_rows(2, 200, 40)).second
    stored = gptq(rows.copy(), scales, moments)
    assert not stored[rows == 0].any()
    one = error(rows, nearest(rows, scales), scales, moments).sum()
    assert error(rows, stored, scales, moments).sum() <= (0.7 if density else 1.0) * one


def test_integers_stay_in_their_range() -> None:
    rows = 100 * random(1, 3, 10).astype(np.float64)
    stored = gptq(rows.copy(), np.full((1, 3, 1), 0.1), np.eye(10)[None])
    assert np.abs(stored).max() == 127


def test_a_rounding_that_does_not_exist_is_refused() -> None:
    with pytest.raises(OptionError, match="no rounding 'up'"):
        Settings(rounding="up")
