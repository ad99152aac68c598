"""Initial values have the variance that their papers ask for."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cnnc import dsl

CONV, LINEAR = (96, 48, 3, 3), (300, 500)


def draw(init: dsl.Initialiser, shape: tuple[int, ...]) -> np.ndarray:
    values = init(np.random.default_rng(1), shape)
    assert values.shape == shape
    assert values.dtype == np.float32
    return values


@pytest.mark.parametrize("shape", [CONV, LINEAR])
@pytest.mark.parametrize("init", [dsl.kaiming_normal, dsl.kaiming_uniform])
def test_kaiming_keeps_the_variance_through_relu(init: dsl.Initialiser, shape: tuple[int, ...]) -> None:
    values = draw(init, shape)
    assert values.var() == pytest.approx(2 / math.prod(shape[1:]), rel=0.05)
    assert abs(values.mean()) < 4 * values.std() / math.sqrt(values.size)


@pytest.mark.parametrize("shape", [CONV, LINEAR])
@pytest.mark.parametrize("init", [dsl.xavier_normal, dsl.xavier_uniform])
def test_xavier_weighs_both_directions(init: dsl.Initialiser, shape: tuple[int, ...]) -> None:
    window = math.prod(shape[2:])
    assert draw(init, shape).var() == pytest.approx(2 / (window * (shape[0] + shape[1])), rel=0.05)


@pytest.mark.parametrize(("init", "fan"), [(dsl.kaiming_uniform, 500), (dsl.xavier_uniform, 800)])
def test_uniform_values_keep_to_their_bound(init: dsl.Initialiser, fan: int) -> None:
    values = np.abs(draw(init, LINEAR))
    assert 0.99 * math.sqrt(6 / fan) < values.max() <= math.sqrt(6 / fan)


def test_given_spreads() -> None:
    assert draw(dsl.normal(0.3), LINEAR).std() == pytest.approx(0.3, rel=0.05)
    assert draw(dsl.uniform(0.3), LINEAR).var() == pytest.approx(0.3**2 / 3, rel=0.05)


def test_constants() -> None:
    assert (draw(dsl.constant(0.25), (3, 2)) == 0.25).all()
    assert (draw(dsl.ones, (3, 2)) == 1).all()
    assert (draw(dsl.zeros, (3, 2)) == 0).all()


def test_a_layer_takes_its_own_initialiser_before_the_models() -> None:
    network = dsl.Sequential(dsl.Conv2d(3, 8, 3, init=dsl.ones), dsl.Conv2d(8, 8, 3))
    state = dsl.model(network, (1, 3, 9, 9), init=dsl.constant(2)).state()
    assert (state["0.weight"] == 1).all()
    assert (state["1.weight"] == 2).all()
    assert (state["1.bias"] == 0).all()
