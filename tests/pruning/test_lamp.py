"""Scores by the share of what is left of a layer."""

from __future__ import annotations

import numpy as np
import pytest

from cnnc.pruning import Settings, prune_graph
from cnnc.pruning.lamp import lamp
from tests.pruning.graphs import chain, random


def test_scores_are_shares_of_what_is_left() -> None:
    scores = lamp(np.array([[3.0, 0.0], [1.0, 2.0]]))
    np.testing.assert_allclose(scores, [[1, 0], [1 / 14, 4 / 13]])


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_scale_does_not_matter(scale: float) -> None:
    worth = np.abs(random(4, 5))
    np.testing.assert_allclose(lamp((worth * scale).astype(np.float64)), lamp(worth), rtol=1e-5)


def test_order_is_that_of_worth() -> None:
    worth = np.abs(random(50))
    assert (np.argsort(lamp(worth)) == np.argsort(worth)).all()


@pytest.mark.parametrize("shape", [(0,), (3,)])
def test_no_worth_is_no_score(shape: tuple[int, ...]) -> None:
    assert not lamp(np.zeros(shape)).any()


def test_no_layer_is_emptied_whatever_its_scale() -> None:
    weights = {"a": random(8, 2, 3, 3), "b": 1e-3 * random(16, 8, 3, 3, seed=1), "c": random(4, 16, 1, 1, seed=2)}
    masks = prune_graph(chain(**weights), Settings(sparsity=0.9, scope="lamp", prune_first=True)).masks
    total = sum(mask.size for mask in masks.values())
    assert sum(np.count_nonzero(~mask) for mask in masks.values()) == round(0.9 * total)
    assert all(mask.any() for mask in masks.values())
    assert masks["b"].mean() < masks["c"].mean()
