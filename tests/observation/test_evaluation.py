"""Scores: top-1, agreement, functions; and data that does not fit."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from cnnc.errors import InputError
from cnnc.ir import Graph
from cnnc.observation.evaluation import checked_score, score_of
from tests.passes.sketch import Sketch

SAMPLES = np.eye(4, dtype=np.float32)[[0, 1, 2, 3, 0, 1]]


def identity(batch: object = "N") -> Graph:
    """[N, 4] -> [N, 4]: the class is the largest input."""
    sketch = Sketch()
    x = sketch.input(batch, 4)
    return sketch.returns(sketch.op("relu", x)).graph


def run(feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    [array] = feeds.values()
    return {"y": array}


def name() -> str:
    return identity().inputs[0].name


def test_top1() -> None:
    labels = np.array([0, 1, 2, 3, 3, 1], np.uint8)
    score = score_of({name(): SAMPLES, "labels": labels}, identity(), run)
    assert score(run) == pytest.approx(5 / 6)
    assert score(lambda feeds: {"y": -run(feeds)["y"]}) == 0


def test_without_labels_the_float_model_has_them() -> None:
    score = score_of({name(): SAMPLES}, identity(), run)
    assert score(run) == 1


def test_batches_are_as_large_as_the_model_has_them() -> None:
    sizes = []

    def counted(feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        sizes.append(len(feeds[name()]))
        return run(feeds)

    assert score_of({name(): SAMPLES}, identity(2), counted)(counted) == 1
    assert set(sizes) == {2}


def test_classes_of_pixels() -> None:
    maps = np.zeros((1, 3, 2, 2), np.float32)
    maps[0, 1] = 1
    sketch = Sketch()
    graph = sketch.returns(sketch.op("relu", sketch.input("N", 3, 2, 2))).graph
    labels = np.array([[[1, 1], [1, 2]]])
    assert score_of({graph.inputs[0].name: maps, "labels": labels}, graph, run)(run) == 0.75


@pytest.mark.parametrize(
    ("arrays", "parts"),
    [
        ({"picture": SAMPLES}, ["'picture'", "the inputs are"]),
        ({"labels": np.zeros(6, int)}, ["the inputs are"]),
        ({"x": SAMPLES[:0]}, ["0 samples", "at least one"]),
        ({"x": SAMPLES, "labels": np.zeros(5, int)}, ["5, 6 samples"]),
        ({"x": SAMPLES, "labels": np.zeros((6, 2), int)}, ["shape (6, 2)", "expected (6,)"]),
        ({"x": SAMPLES, "labels": np.zeros(6)}, ["float64", "class numbers"]),
        ({"x": SAMPLES, "labels": np.array([1, 2, 3, 4, 1, 2])}, ["1..4", "0..3"]),
        ({"x": SAMPLES, "labels": np.array([1, 2, 3, 0, 1, 2])}, ["no better than guessing among 4", "preprocessed"]),
    ],
)
def test_data_that_does_not_fit_is_refused(arrays: dict[str, np.ndarray], parts: list[str]) -> None:
    given = {name() if key == "x" else key: array for key, array in arrays.items()}
    with pytest.raises(InputError) as caught:
        score_of(given, identity(), run)
    assert all(part in str(caught.value) for part in parts), caught.value


def test_samples_that_fill_no_batch_are_refused() -> None:
    with pytest.raises(InputError, match="batches of 4"):
        score_of({name(): SAMPLES}, identity(4), run)


def test_results_without_classes_are_refused() -> None:
    with pytest.raises(InputError, match=r"reader\.py:score"):
        score_of({name(): SAMPLES}, identity(), lambda feeds: {"y": np.zeros(6, np.float32)})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, "good"])
def test_scores_that_are_no_numbers_are_refused(value: object) -> None:
    with pytest.raises(InputError, match="no finite number"):
        checked_score(lambda predict: value, run)  # type: ignore[arg-type, return-value]
