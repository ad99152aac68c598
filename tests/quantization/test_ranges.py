"""Ranges from samples: each method on distributions whose range is known."""

from __future__ import annotations

import numpy as np
import pytest

from cnnc.errors import ModelError, OptionError
from cnnc.quantization.ranges import Extremes, Histogram, Range, chosen_range
from cnnc.quantization.settings import METHODS, Settings


def taken(arrays: list[np.ndarray], settings: Settings) -> Range:
    extremes = Extremes()
    for array in arrays:
        extremes.see(array, "x")
    histogram = Histogram(extremes.range)
    for array in arrays:
        histogram.see(array)
    return chosen_range(extremes, histogram, settings)


def test_minmax_is_of_all_samples() -> None:
    assert taken([np.array([[1.0, -2.0], [3.0, 0.5]])], Settings()) == (-2.0, 3.0)


def test_average_is_of_the_samples() -> None:
    assert taken([np.array([[1.0, -2.0], [3.0, 0.0]])], Settings(method="average")) == (-1.0, 2.0)


def test_percentile_cuts_outliers_off() -> None:
    values = np.append(np.linspace(0, 1, 100_000), 1000.0)
    low, high = taken([values[None]], Settings(method="percentile", percentile=99.9))
    assert low == 0.0
    assert 0.9 < high < 2.0


@pytest.mark.parametrize("method", ["entropy", "mse"])
def test_a_long_tail_is_cut_off(method: str) -> None:
    generator = np.random.default_rng(0)
    values = np.append(np.abs(generator.standard_normal(200_000)), [40.0])
    low, high = taken([values[None]], Settings(method=method))
    assert low == 0.0
    assert 2.5 < high < 35.0


@pytest.mark.parametrize("method", ["entropy", "mse"])
def test_an_even_distribution_is_kept_whole(method: str) -> None:
    low, high = taken([np.linspace(-1, 1, 50_000)[None]], Settings(method=method))
    assert low < -0.95
    assert high > 0.95


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [0.0, 2.5])
def test_constant_activations_have_a_range(method: str, value: float) -> None:
    low, high = taken([np.full((3, 4), value)], Settings(method=method))
    assert low <= value <= high


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_has_no_range_is_refused(value: float) -> None:
    with pytest.raises(ModelError, match=r"tensor 'y': it is infinite or NaN"):
        Extremes().see(np.array([[1.0, value]]), "y")


@pytest.mark.parametrize(
    ("options", "part"),
    [({"method": "magic"}, "no calibration method 'magic'"), ({"percentile": 40.0}, "percentile=40.0")],
)
def test_settings_that_make_no_sense(options: dict, part: str) -> None:
    with pytest.raises(OptionError, match=part):
        Settings(**options)
