"""How results are judged."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cnnc.cli.accuracy import check_output, errors_of, limits_by_output


def test_error_is_in_standard_deviations() -> None:
    reference = np.array([0.0, 2.0, 0.0, 2.0])
    got = reference + np.array([0.0, 0.25, 0.0, 0.0])
    highest, mean, difference = errors_of(got, reference)
    assert (highest, mean, difference) == (0.25, 0.0625, 0.25)


def test_constant_outputs_are_judged_relatively() -> None:
    assert errors_of(np.array([101.0]), np.array([100.0]))[0] == pytest.approx(0.01)
    assert errors_of(np.array([0.5, 0.5]), np.array([0.25, 0.25]))[0] == 0.25


def test_nan_and_infinity_must_agree() -> None:
    special = np.array([np.nan, np.inf, -np.inf, 1.0, 2.0])
    assert errors_of(special, special)[0] == 0.0
    for index in range(3):
        other = special.copy()
        other[index] = 0.0
        assert math.isinf(errors_of(other, special)[0])
        assert math.isinf(errors_of(special, other)[0])


def test_verdicts() -> None:
    reference = np.linspace(-1, 1, 100).astype(np.float32)
    assert check_output("y", reference, reference, 1e-4).problem == ""
    off = reference.copy()
    off[7] += 0.01
    assert "above 1.0e-04" in check_output("y", off, reference, 1e-4).problem
    assert "expected (100,)" in check_output("y", off[:99], reference, 1e-4).problem
    assert check_output("y", np.full(100, np.nan, np.float32), reference, 1e-4).problem


def test_integers_are_exact_and_large_ones_too() -> None:
    reference = np.array([1, 2**62], np.int64)
    assert check_output("y", reference.copy(), reference, 1e-3).problem == ""
    assert "1 of 2 integers" in check_output("y", reference + np.array([0, 1]), reference, 1e-3).problem


def test_quantised_models_may_be_a_step_apart() -> None:
    reference = (np.arange(2000) % 17 * 0.5).astype(np.float32)
    near = reference.copy()
    near[::3] += 0.5
    assert check_output("y", near, reference, 1e-3, quantized=True).problem == ""
    far = reference.copy()
    far[:10] += 2.0
    assert "more than one quantisation step" in check_output("y", far, reference, 1e-3, quantized=True).problem


def test_limits_grow_with_the_peers_own_error() -> None:
    assert limits_by_output(0, {"y": 0.0}) == {"y": 1e-4}
    assert limits_by_output(1, {"y": 1e-3}) == {"y": 2e-3}
    assert limits_by_output(2, {"y": 1e-3}) == {"y": 4e-3}
    assert limits_by_output(3, {"y": 1e-6}) == {"y": 1e-3}
