"""Scales and zero points: what a byte can hold, and that zero is exact."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnc.quantization.affine import activation_affine, store_bias, store_weights, weight_scales

ENDS = st.floats(-1e6, 1e6, width=32)


@given(ENDS, ENDS, st.booleans())
def test_a_range_is_held_to_half_a_step(a: float, b: float, symmetric: bool) -> None:
    low, high = min(a, b), max(a, b)
    affine = activation_affine(low, high, symmetric=symmetric)
    assert 0 <= affine.zero_point <= 255
    for end in (min(low, 0.0), max(high, 0.0)):
        stored = np.clip(np.rint(end / affine.scale) + affine.zero_point, 0, 255)
        restored = affine.scale * (stored - affine.zero_point)
        # The scale is rounded to float32, which 255 steps add up to 2^-16 of a step.
        assert abs(restored - end) <= affine.scale * (0.5 + 2**-14)


def test_zero_is_exact_and_a_symmetric_range_has_it_in_the_middle() -> None:
    assert activation_affine(0.0, 6.0).zero_point == 0
    assert activation_affine(-6.0, -1.0).zero_point == 255
    assert activation_affine(-1.0, 3.0, symmetric=True).zero_point in (127, 128)
    assert activation_affine(0.0, 3.0, symmetric=True).zero_point == 0


@pytest.mark.parametrize("end", [0.0, 1e-45])
def test_a_range_of_no_width_has_scale_one(end: float) -> None:
    affine = activation_affine(-end, end)
    assert (affine.scale, affine.zero_point) == (1.0, 0)


@pytest.mark.parametrize("axis", [None, 0, 1])
def test_weights_are_held_to_half_a_step(axis: int | None) -> None:
    weights = np.random.default_rng(0).standard_normal((5, 7, 3), np.float32)
    weights[2] = 0
    scales = weight_scales(weights, axis)
    assert scales.shape == (() if axis is None else (weights.shape[axis],))
    stored = store_weights(weights, scales, axis)
    assert stored.min() >= -127
    shape = [1, 1, 1]
    if axis is not None:
        shape[axis] = -1
    step = scales.reshape(shape)
    assert (np.abs(stored * step - weights) <= step * 0.50001).all()
    assert not stored[2].any()


def test_weights_are_rounded_half_to_even() -> None:
    assert store_weights(np.array([0.5, 1.5, 2.5]), np.float32(1), None).tolist() == [0, 2, 2]


def test_a_bias_saturates() -> None:
    stored = store_bias(np.array([1e30, -1e30, 2.5]), np.ones(3, np.float32))
    assert stored.tolist() == [2**31 - 1, -(2**31), 2]
