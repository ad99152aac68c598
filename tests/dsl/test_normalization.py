"""Normalizations against their formulas."""

from __future__ import annotations

import numpy as np
import pytest

from cnnc import dsl, interp
from cnnc.ir import Array
from tests.dsl.evaluation import close, evaluate, random


def normalized(x: Array, axes: tuple[int, ...], eps: float) -> Array:
    x = x.astype(np.float64)
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)


def by_channel(numbers: Array, rank: int) -> Array:
    return numbers.reshape(-1, *[1] * (rank - 2))


def with_numbers(layer: dsl.Module, x: Array, **numbers: Array) -> Array:
    """The layer's result with these parameters."""
    model = dsl.model(layer, x.shape)
    for name, array in numbers.items():
        model.set(name, array)
    return interp.run(model.graph(), {"x": x})["output"]


SHAPES = [(2, 6), (2, 6, 5), (2, 6, 4, 3), (1, 6, 2, 3, 2)]
WEIGHT, BIAS, MEAN = random(6, seed=1), random(6, seed=2), random(6, seed=3)
VARIANCE = np.abs(random(6, seed=4)) + 0.1


@pytest.mark.parametrize("shape", SHAPES)
def test_batch_norm(shape: tuple[int, ...]) -> None:
    x, rank = random(*shape), len(shape)
    got = with_numbers(dsl.BatchNorm(6, eps=1e-3), x, weight=WEIGHT, bias=BIAS, running_mean=MEAN, running_var=VARIANCE)
    standard = (x - by_channel(MEAN, rank)) / np.sqrt(by_channel(VARIANCE, rank) + 1e-3)
    close(got, standard * by_channel(WEIGHT, rank) + by_channel(BIAS, rank))
    bare = with_numbers(dsl.BatchNorm(6, eps=1e-3, affine=False), x, running_mean=MEAN, running_var=VARIANCE)
    close(bare, standard)


def test_statistics_are_no_parameters_of_training() -> None:
    model = dsl.model(dsl.BatchNorm(6), (1, 6, 2, 2))
    assert list(model.parameters) == ["weight", "bias", "running_mean", "running_var"]
    assert model.parameter_count == 12
    assert dsl.model(dsl.BatchNorm(6, affine=False), (1, 6, 2, 2)).parameter_count == 0


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_layer_norm(axes: int) -> None:
    x = random(2, 3, 4, 5)
    sizes = x.shape[-axes:]
    weight, bias = random(*sizes, seed=1), random(*sizes, seed=2)
    standard = normalized(x, tuple(range(-axes, 0)), 1e-3)
    close(with_numbers(dsl.LayerNorm(sizes, eps=1e-3), x, weight=weight, bias=bias), standard * weight + bias)
    close(with_numbers(dsl.LayerNorm(sizes, eps=1e-3, bias=False), x, weight=weight), standard * weight)


@pytest.mark.parametrize("groups", [1, 2, 3, 6])
def test_group_norm(groups: int) -> None:
    x = random(2, 6, 4, 3)
    standard = normalized(x.reshape(2, groups, -1), (2,), 1e-5).reshape(x.shape)
    got = with_numbers(dsl.GroupNorm(groups, 6), x, weight=WEIGHT, bias=BIAS)
    close(got, standard * by_channel(WEIGHT, 4) + by_channel(BIAS, 4))


@pytest.mark.parametrize("shape", SHAPES[1:])
def test_instance_norm(shape: tuple[int, ...]) -> None:
    x, rank = random(*shape), len(shape)
    got = with_numbers(dsl.InstanceNorm(6), x, weight=WEIGHT, bias=BIAS)
    standard = normalized(x, tuple(range(2, rank)), 1e-5)
    close(got, standard * by_channel(WEIGHT, rank) + by_channel(BIAS, rank))


@pytest.mark.parametrize("size", [1, 3, 5])
def test_local_response_norm_divides_by_neighbours(size: int) -> None:
    x = random(2, 7, 3, 3)
    sums = np.stack([(x[:, max(0, c - (size - 1) // 2) : c + size // 2 + 1] ** 2).sum(1) for c in range(7)], axis=1)
    wanted = x / (2.0 + 0.3 / size * sums) ** 0.6
    close(evaluate(lambda x: dsl.local_response_norm(x, size, alpha=0.3, beta=0.6, k=2.0), x), wanted)
    close(evaluate(dsl.LocalResponseNorm(size, alpha=0.3, beta=0.6, k=2.0), x), wanted)
