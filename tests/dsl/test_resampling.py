"""Upsampling and resizing against interpolation written out."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from cnnc import dsl
from cnnc.ir import Array
from tests.dsl.evaluation import close, evaluate, random


def positions(size: int, output: int, scale: float, align_corners: bool) -> Array:
    """Where along the input each output pixel lies."""
    places = np.arange(output, dtype=np.float64)
    if align_corners:
        return places * (size - 1) / (output - 1) if output > 1 else np.zeros(1)
    return (places + 0.5) / scale - 0.5


def linear(x: Array, axis: int, at: Array) -> Array:
    at = np.clip(at, 0, x.shape[axis] - 1)
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, x.shape[axis] - 1)
    shape = [1] * x.ndim
    shape[axis] = -1
    weight = (at - low).reshape(shape)
    return np.take(x, low, axis) * (1 - weight) + np.take(x, high, axis) * weight


@pytest.mark.parametrize("spatial", [(5,), (3, 4), (2, 3, 2)])
def test_nearest_repeats_pixels(spatial: tuple[int, ...]) -> None:
    x = random(2, 3, *spatial)
    wanted = x
    for axis in range(2, x.ndim):
        wanted = np.repeat(wanted, 3, axis)
    np.testing.assert_array_equal(evaluate(lambda x: dsl.upsample(x, 3), x, open_batch=True), wanted)
    np.testing.assert_array_equal(evaluate(dsl.Upsample(3), x), wanted)
    sizes = [3 * size for size in spatial]
    np.testing.assert_array_equal(evaluate(lambda x: dsl.resize(x, sizes), x, open_batch=True), wanted)


@pytest.mark.parametrize(("output", "align"), [*itertools.product([(7, 4), (3, 9), (5, 6), (1, 2)], [False, True])])
def test_linear_weighs_two_neighbours_an_axis(output: tuple[int, int], align: bool) -> None:
    x = random(2, 2, 5, 6)
    wanted = x.astype(np.float64)
    for axis, size in enumerate(output, start=2):
        scale = size / x.shape[axis]
        wanted = linear(wanted, axis, positions(x.shape[axis], size, scale, align))
    close(evaluate(lambda x: dsl.resize(x, output, mode="linear", align_corners=align), x), wanted)
    close(evaluate(dsl.Resize(output, mode="linear", align_corners=align), x), wanted)


@pytest.mark.parametrize("align", [False, True])
def test_scales_of_each_axis(align: bool) -> None:
    x = random(1, 1, 4, 5)
    wanted = linear(x.astype(np.float64), 2, positions(4, 6, 1.5, align))
    wanted = linear(wanted, 3, positions(5, 10, 2.0, align))
    close(evaluate(lambda x: dsl.upsample(x, (1.5, 2), mode="linear", align_corners=align), x), wanted)


@pytest.mark.parametrize("output", [(10, 7), (3, 12)])
def test_cubic_weighs_four_neighbours_an_axis(output: tuple[int, int]) -> None:
    x = random(1, 2, 5, 6)
    wanted = x.astype(np.float64)
    for axis, size in enumerate(output, start=2):
        at = positions(x.shape[axis], size, size / x.shape[axis], align_corners=False)
        first = np.floor(at).astype(int) - 1
        shape = [1] * x.ndim
        shape[axis] = -1
        taps = [np.clip(first + tap, 0, x.shape[axis] - 1) for tap in range(4)]
        weights = [keys(at - (first + tap)).reshape(shape) for tap in range(4)]
        wanted = sum(np.take(wanted, tap, axis) * weight for tap, weight in zip(taps, weights))
    close(evaluate(lambda x: dsl.resize(x, output, mode="cubic"), x), wanted)


def keys(distance: Array, a: float = -0.75) -> Array:
    """Source: Keys, Cubic Convolution Interpolation for Digital Image Processing, IEEE TASSP 29, 1981."""
    d = np.abs(distance)
    near = (a + 2) * d**3 - (a + 3) * d**2 + 1
    far = a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0))
