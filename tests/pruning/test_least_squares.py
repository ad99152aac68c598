"""Fitted weights are the best of their mask: no gradient on what is kept, and never worse than zeros alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnc.ir import Node
from cnnc.observation import layer_rows
from cnnc.observation.layer_rows import weight_rows
from cnnc.pruning import least_squares
from cnnc.pruning.least_squares import DAMPINGS, best_damping, problems
from cnnc.pruning.paired_moments import PairedMoments
from cnnc.pruning.paired_moments import paired_moments as split_moments
from tests.observation.layers import conv, gemm
from tests.pruning.graphs import Array, random

LAYERS = [
    (conv, (4, 5, 7, 6), (6, 5, 3, 2), {"pads": (1, 0, 1, 1)}),
    (conv, (3, 6, 9, 9), (6, 1, 3, 3), {"group": 6, "strides": (2, 2), "pads": (0, 0, 1, 1)}),
    (conv, (3, 4, 8, 9), (6, 2, 2, 3), {"group": 2, "dilations": (3, 2)}),
    (conv, (6, 2, 11), (5, 2, 4), {"strides": (3,)}),
    (gemm, (40, 7), (3, 7), {"transB": 1}),
    (gemm, (40, 7), (7, 3), {}),
]

ROUNDING = 5e-3
"""What rounding of sums to float32, 1e-7 of their power, does where nothing but the damping of 1e-4 holds weights."""


def rows_of(layer: Node) -> Array:
    array = layer.input(1).array
    assert array is not None
    return weight_rows(layer, array).astype(np.float64)


def paired_moments(layer: Node, inputs: list[tuple[Array, Array]]) -> PairedMoments:
    most, held_out = split_moments(layer, inputs)
    return most.joined(held_out)


def related(x: Array) -> Array:
    """What a pruned network may make of x."""
    return np.maximum(0.8 * x + 0.3 * np.roll(x, 1, axis=1), 0)


def mask_of(rows: Array, density: float) -> Array:
    return np.random.default_rng(3).random(rows.shape) < density


@pytest.mark.parametrize(("make", "x", "w", "attrs"), LAYERS)
@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("density", [0.0, 0.3, 1.0])
def test_there_is_no_gradient_on_kept_weights(
    make: Any, x: tuple[int, ...], w: tuple[int, ...], attrs: dict[str, Any], centred: bool, density: float
) -> None:
    layer = make(x, random(*w), **attrs)
    rows = rows_of(layer)
    moments = paired_moments(layer, [(data := np.maximum(random(*x, seed=seed), 0), related(data)) for seed in (1, 2)])
    [problem] = problems(moments, rows, centred=centred)
    mask = mask_of(rows, density)
    found = problem.solution(rows, mask, 0.01)
    assert not found[~mask].any()
    r = 0.01 * problem.unit + problem.least
    gradient = found @ problem.second - problem.cross.swapaxes(1, 2) + r * (found - rows * mask)
    assert np.abs(gradient[mask]).max(initial=0) < 1e-9 * np.abs(problem.cross).max()
    assert (problem.error(found) <= problem.error(rows * mask) * (1 + 1e-9) + 1e-12).all()


@pytest.mark.parametrize(("make", "x", "w", "attrs"), LAYERS)
def test_the_error_is_that_of_the_layer(
    make: Any, x: tuple[int, ...], w: tuple[int, ...], attrs: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cnnc.pruning.paired_moments.ROWS", 10**6)
    layer = make(x, random(*w), **attrs)
    rows, data = rows_of(layer), np.maximum(random(*x, seed=1), 0)
    other = rows * mask_of(rows, 0.5)
    generator = np.random.default_rng(0)
    reads = [layer_rows.input_rows(layer, value, 10**6, generator) for value in (data, related(data))]
    wrong = reads[0] @ rows.swapaxes(1, 2) - reads[1] @ other.swapaxes(1, 2)
    moments = paired_moments(layer, [(data, related(data))])
    [raw] = problems(moments, rows, centred=False)
    [centred] = problems(moments, rows, centred=True)
    np.testing.assert_allclose(raw.error(other), np.square(wrong).mean(axis=1), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(centred.error(other), wrong.var(axis=1), rtol=1e-4, atol=1e-6)
    assert moments.differs and moments.count == reads[0].shape[1]


def test_weights_that_suffice_are_found() -> None:
    """Where two inputs are the same, the weight of one is moved to the other."""
    x = random(50, 3)
    x[:, 1] = x[:, 0]
    layer = gemm(x.shape, np.array([[1.0, 2.0, 4.0]], np.float32), transB=1)
    [problem] = problems(paired_moments(layer, [(x, x)]), rows_of(layer), centred=False)
    found = problem.solution(rows_of(layer), np.array([[[False, True, True]]]), 1e-3)
    np.testing.assert_allclose(found, [[[0, 3, 4]]], rtol=5e-3)
    assert problem.error(found) < 1e-4 * problem.power


@pytest.mark.parametrize("centred", [True, False])
def test_unpruned_layers_that_read_the_same_stay(centred: bool) -> None:
    x = random(5, 4)  # fewer samples than would settle all weights
    layer = gemm(x.shape, random(4, 6))
    rows = rows_of(layer)
    moments = paired_moments(layer, [(x[:2], x[:2].copy()), (x[2:], x[2:])])
    [problem] = problems(moments, rows, centred=centred)
    np.testing.assert_allclose(problem.solution(rows, np.ones(rows.shape, bool), 1e-3), rows, atol=ROUNDING)
    assert not moments.differs


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_inputs_that_say_nothing_leave_weights_as_they_are(value: float) -> None:
    x = np.full((20, 4), value, np.float32)
    layer = gemm(x.shape, random(4, 6))
    rows = rows_of(layer)
    [problem] = problems(paired_moments(layer, [(x, x)]), rows, centred=True)
    mask = mask_of(rows, 0.5)
    np.testing.assert_allclose(problem.solution(rows, mask, 1e-3), rows * mask, atol=ROUNDING)


def test_blocks_of_inputs_are_solved_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer_rows, "BLOCK", 4)
    x = random(60, 10)
    layer = gemm(x.shape, random(10, 3))
    rows = rows_of(layer)
    made = problems(paired_moments(layer, [(x, related(x))]), rows, centred=True)
    assert [problem.second.shape[1] for problem in made] == [3, 3, 4]
    part = rows[:, :, 3:6]
    mask = mask_of(part, 0.6)
    assert (made[1].error(made[1].solution(part, mask, 0.1)) <= made[1].error(part * mask) + 1e-12).all()


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 9), st.integers(1, 6), st.integers(1, 30), st.floats(0, 1), st.booleans(), st.sampled_from(DAMPINGS)
)
def test_any_size_is_solved(
    inputs: int, outputs: int, samples: int, density: float, centred: bool, damping: float
) -> None:
    x = np.maximum(random(samples, inputs), 0)
    layer = gemm(x.shape, random(inputs, outputs))
    rows = rows_of(layer)
    [problem] = problems(paired_moments(layer, [(x, related(x))]), rows, centred=centred)
    mask = mask_of(rows, density)
    found = problem.solution(rows, mask, damping)
    assert np.isfinite(found).all() and not found[~mask].any()
    slack = 1e-6 * problem.power.max() + 1e-12
    assert (problem.error(found) <= problem.error(rows * mask) + slack).all()


def test_channels_of_one_mask_are_solved_together() -> None:
    mask = np.array([[[1, 0, 1], [0, 0, 0], [1, 0, 1]], [[1, 0, 1], [1, 1, 1], [0, 1, 0]]], bool)
    found = [(group, list(channels), list(kept)) for group, channels, kept in least_squares._alike(mask)]
    assert found == [(0, [0, 2], [0, 2]), (1, [0], [0, 2]), (1, [1], [0, 1, 2]), (1, [2], [1])]


@pytest.mark.parametrize(("samples", "least", "most"), [(20_000, 0.0, 0.01), (24, 0.1, 10.0)])
def test_the_fewer_the_samples_the_more_damping(samples: int, least: float, most: float) -> None:
    x = random(samples, 30)
    layer = gemm(x.shape, random(30, 4))
    rows, mask = rows_of(layer), mask_of(rows_of(layer), 0.7)
    noisy = x + 0.5 * random(samples, 30, seed=9)
    [fitted], [judging] = (problems(each, rows, centred=True) for each in split_moments(layer, [(x, noisy)]))
    assert least <= best_damping(fitted, judging, rows, mask) <= most


def test_every_fourth_sample_is_held_out() -> None:
    layer = conv((1, 2, 3, 3), random(3, 2, 1, 1))
    data = [random(size, 2, 3, 3, seed=size) for size in (3, 2, 6)]
    most, held_out = split_moments(layer, [(x, x) for x in data])
    every = np.concatenate(data).transpose(0, 2, 3, 1)
    assert (most.count, held_out.count) == (9 * 9, 2 * 9)
    np.testing.assert_allclose(held_out.pruned_mean[0], every[3::4].mean((0, 1, 2)), atol=1e-6)
    np.testing.assert_allclose(most.joined(held_out).dense_mean[0], every.mean((0, 1, 2)), atol=1e-6)
