"""Pools against loops over their windows and cells."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnc import dsl
from cnnc.ir import Array
from tests.dsl.evaluation import close, evaluate, graph_of, random

Cells = Sequence[Sequence[slice]]
"""For each spatial axis, the part of it that each cell covers."""


def pooled(x: Array, cells: Cells, reduce: Callable[[Array], Array]) -> Array:
    """x [N, C, spatial...] with each cell reduced to an element; ``reduce`` takes [N, C, elements]."""
    sizes = [len(axis) for axis in cells]
    result = np.zeros((*x.shape[:2], *sizes))
    for place in itertools.product(*map(range, sizes)):
        cell = x[(..., *(axis[i] for axis, i in zip(cells, place)))]
        result[(..., *place)] = reduce(cell.reshape(*x.shape[:2], -1))
    return result


def windows(x: Array, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> Cells:
    """The windows that lie inside x."""
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilation)]
    return [
        [slice(at, at + r, d) for at in range(0, size - r + 1, s)]
        for size, r, s, d in zip(x.shape[2:], reach, stride, dilation)
    ]


def adaptive(x: Array, output: Sequence[int]) -> Cells:
    """Cell i of n along an axis of S is floor(i*S/n) .. ceil((i+1)*S/n)."""
    return [
        [slice(math.floor(i * size / n), math.ceil((i + 1) * size / n)) for i in range(n)]
        for size, n in zip(x.shape[2:], output)
    ]


def largest(cell: Array) -> Array:
    return cell.max(-1)


def mean(cell: Array) -> Array:
    return cell.mean(-1)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_pools_over_windows(data: st.DataObject) -> None:
    rank = data.draw(st.integers(1, 3))
    axes = st.tuples(*[st.integers(1, 3)] * rank)
    kernel, stride, dilation = data.draw(axes), data.draw(axes), data.draw(axes)
    pads = [(data.draw(st.integers(0, k - 1)), data.draw(st.integers(0, k - 1))) for k in kernel]
    sizes = [d * (k - 1) + 1 + data.draw(st.integers(0, 3)) for k, d in zip(kernel, dilation)]
    x = random(2, 2, *sizes)
    around = ((0, 0), (0, 0), *pads)

    lowest = np.pad(x, around, constant_values=-np.inf)
    got = evaluate(lambda x: dsl.max_pool(x, kernel, stride=stride, padding=pads, dilation=dilation), x)
    close(got, pooled(lowest, windows(lowest, kernel, stride, dilation), largest))

    ones = [1] * rank
    zeros = np.pad(x, around)
    got = evaluate(lambda x: dsl.avg_pool(x, kernel, stride=stride, padding=pads), x)
    close(got, pooled(zeros, windows(zeros, kernel, stride, ones), mean))

    absent = np.pad(x, around, constant_values=np.nan)
    got = evaluate(lambda x: dsl.avg_pool(x, kernel, stride=stride, padding=pads, count_padding=False), x)
    close(got, pooled(absent, windows(absent, kernel, stride, ones), lambda cell: np.nanmean(cell, -1)))

    got = evaluate(lambda x: dsl.lp_pool(x, kernel, p=3, stride=stride, padding=pads), x)
    norm = pooled(zeros, windows(zeros, kernel, stride, ones), lambda cell: (np.abs(cell) ** 3).sum(-1) ** (1 / 3))
    close(got, norm)


def test_windows_follow_each_other_without_a_stride() -> None:
    x = random(1, 2, 7, 9)
    close(evaluate(lambda x: dsl.max_pool(x, (2, 3)), x), pooled(x, windows(x, (2, 3), (2, 3), (1, 1)), largest))


def test_ceil_mode_keeps_the_last_window() -> None:
    x = random(1, 1, 7)
    cells = [[slice(0, 2), slice(2, 4), slice(4, 6), slice(6, 7)]]
    close(evaluate(lambda x: dsl.max_pool(x, 2, ceil_mode=True), x), pooled(x, cells, largest))
    close(evaluate(lambda x: dsl.avg_pool(x, 2, ceil_mode=True, count_padding=False), x), pooled(x, cells, mean))


@pytest.mark.parametrize("spatial", [(5,), (4, 6), (2, 3, 4)])
def test_global_pools(spatial: tuple[int, ...]) -> None:
    x = random(2, 3, *spatial)
    axes = tuple(range(2, x.ndim))
    close(evaluate(dsl.global_avg_pool, x), x.mean(axes, keepdims=True))
    close(evaluate(dsl.global_max_pool, x), x.max(axes, keepdims=True))


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_adaptive_pools_over_cells(data: st.DataObject) -> None:
    rank = data.draw(st.integers(1, 3))
    x = random(2, 2, *data.draw(st.tuples(*[st.integers(1, 9)] * rank)))
    output = data.draw(st.tuples(*[st.integers(1, 5)] * rank))
    close(evaluate(lambda x: dsl.adaptive_avg_pool(x, output), x), pooled(x, adaptive(x, output), mean))
    close(evaluate(lambda x: dsl.adaptive_max_pool(x, output), x), pooled(x, adaptive(x, output), largest))


@pytest.mark.parametrize(("size", "output"), [(12, 4), (13, 6), (13, 3), (13, 2), (7, 7)])
def test_cells_of_one_size_and_distance_are_one_pool(size: int, output: int) -> None:
    graph = graph_of(lambda x: dsl.adaptive_max_pool(x, output), random(1, 1, size, size))
    assert [node.op for node in graph.nodes] == ["max_pool"]


@settings(max_examples=20, deadline=None)
@given(height=st.integers(4, 12), width=st.integers(4, 12), levels=st.lists(st.integers(1, 4), min_size=1, max_size=3))
def test_spatial_pyramid(height: int, width: int, levels: list[int]) -> None:
    x = random(2, 3, height, width)
    parts = [pooled(x, adaptive(x, (level, level)), largest).reshape(2, -1) for level in levels]
    got = evaluate(lambda x: dsl.spatial_pyramid_pool(x, levels), x)
    assert got.shape == (2, 3 * sum(level**2 for level in levels))
    close(got, np.concatenate(parts, axis=1))


@pytest.mark.parametrize("ratio", [0, 0.3, 1])
def test_mixed_pool(ratio: float) -> None:
    x = random(1, 2, 6, 6)
    cells = windows(x, (3, 3), (2, 2), (1, 1))
    wanted = ratio * pooled(x, cells, largest) + (1 - ratio) * pooled(x, cells, mean)
    close(evaluate(lambda x: dsl.mixed_pool(x, 3, ratio=ratio, stride=2), x), wanted)


def test_stochastic_pool_weighs_elements_by_their_share() -> None:
    x = np.maximum(random(2, 2, 6, 6), 0)
    x[0, 0, :2, :2] = 0  # a window without any activation

    def expectation(cell: Array) -> Array:
        total = cell.sum(-1)
        return np.where(total > 0, (cell * cell).sum(-1) / np.where(total > 0, total, 1), 0)

    got = evaluate(lambda x: dsl.stochastic_pool(x, 2), x)
    assert got[0, 0, 0, 0] == 0
    close(got, pooled(x, windows(x, (2, 2), (2, 2), (1, 1)), expectation))


LAYERS: dict[str, tuple[dsl.Module, dsl.Network]] = {
    "MaxPool": (dsl.MaxPool(3, stride=2, padding=1), lambda x: dsl.max_pool(x, 3, stride=2, padding=1)),
    "AvgPool": (dsl.AvgPool(2), lambda x: dsl.avg_pool(x, 2)),
    "LpPool": (dsl.LpPool(2, p=1), lambda x: dsl.lp_pool(x, 2, p=1)),
    "GlobalAvgPool": (dsl.GlobalAvgPool(), dsl.global_avg_pool),
    "GlobalMaxPool": (dsl.GlobalMaxPool(), dsl.global_max_pool),
    "MixedPool": (dsl.MixedPool(2, ratio=0.2), lambda x: dsl.mixed_pool(x, 2, ratio=0.2)),
    "StochasticPool": (dsl.StochasticPool(2), lambda x: dsl.stochastic_pool(x, 2)),
    "AdaptiveAvgPool": (dsl.AdaptiveAvgPool((2, 5)), lambda x: dsl.adaptive_avg_pool(x, (2, 5))),
    "AdaptiveMaxPool": (dsl.AdaptiveMaxPool(5), lambda x: dsl.adaptive_max_pool(x, 5)),
    "SpatialPyramidPool": (dsl.SpatialPyramidPool((2, 1)), lambda x: dsl.spatial_pyramid_pool(x, (2, 1))),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layer_is_its_function(name: str) -> None:
    layer, function = LAYERS[name]
    x = np.abs(random(2, 3, 8, 7))
    np.testing.assert_array_equal(evaluate(layer, x, open_batch=True), evaluate(function, x))
