"""Moments of what layers read."""

from __future__ import annotations

import numpy as np
import pytest

from cnnc.ir import Graph
from cnnc.observation import input_moments as module
from cnnc.observation import layer_rows
from cnnc.observation.input_moments import input_moments
from cnnc.observation.layer_rows import input_blocks
from tests.observation.layers import conv, moments_of, random


def graph_of(layer: object) -> Graph:
    graph = layer._graph  # type: ignore[attr-defined]
    assert isinstance(graph, Graph)
    return graph


@pytest.mark.jit
def test_they_are_those_of_all_rows() -> None:
    layer = conv((4, 3, 2, 2), random(5, 3, 1, 1))
    batches = [{"x": random(4, 3, 2, 2, seed=seed)} for seed in range(3)]
    found = input_moments(graph_of(layer), [layer], lambda: batches)[layer.output.name]
    rows = np.concatenate([np.moveaxis(batch["x"], 1, -1).reshape(1, -1, 3) for batch in batches], axis=1)
    wanted = moments_of(rows)
    assert np.allclose(found.mean, wanted.mean, atol=1e-6)
    assert np.allclose(found.second[0], wanted.second[0], atol=1e-5)
    assert np.allclose(found.squares, np.square(rows).mean(axis=1), atol=1e-5)
    covariance = np.cov(rows[0].T, bias=True)
    assert np.allclose(found.covariance(0)[0], covariance, atol=1e-3)


@pytest.mark.jit
def test_samples_draw_the_same_rows_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROWS", 5)
    layer = conv((1, 3, 9, 9), random(5, 3, 3, 3))
    batches = [{"x": random(1, 3, 9, 9)}]
    one, other = (input_moments(graph_of(layer), [layer], lambda: batches) for _ in range(2))
    assert (one[layer.output.name].mean == other[layer.output.name].mean).all()


def test_no_layers_need_no_run() -> None:
    assert input_moments(graph_of(conv((1, 1, 1, 1), random(1, 1, 1, 1))), [], lambda: [{}]) == {}


def test_inputs_that_do_not_vary_have_a_positive_definite_covariance() -> None:
    constant = np.full((1, 50, 4), 1e3) + 1e-9 * random(1, 50, 4)
    np.linalg.cholesky(moments_of(constant).covariance(0))


def test_inputs_of_different_blocks_count_as_unrelated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer_rows, "BLOCK", 2)
    moments = moments_of(random(1, 30, 5))
    sizes = [block.stop - block.start for block in input_blocks(5)]
    assert [part.shape for part in moments.second] == [(1, size, size) for size in sizes]
    assert moments.covariance(1).shape == (1, sizes[1], sizes[1])
