"""What weights are worth, by each criterion; gradients that do not fit."""

from __future__ import annotations

import numpy as np
import pytest

from cnnc.errors import InputError, ModelError, OptionError
from cnnc.ir import Graph
from cnnc.pruning import Settings, prune_graph
from tests.pruning.graphs import Array, Network, random


def conv_and_norm(variance: Array | None = None) -> Graph:
    """Two channels whose weights are 1 and 2, with scales 4 and 1 behind them; and a layer of weights 3."""
    weights = np.array([1, 2], np.float32).reshape(2, 1, 1, 1) * np.ones((2, 2, 1, 1), np.float32)
    net = Network(1, 2, 4, 4).conv("a", weights).norm("n", np.array([-4, 1], np.float32), variance)
    return net.conv("b", np.full((2, 2, 1, 1), 3, np.float32)).done()


def product(weights: Array) -> Graph:
    """One layer with the weights [outputs, inputs] w."""
    return Network(1, weights.shape[1]).gemm("w", weights, transB=1).done()


def masks(
    graph: Graph, sparsity: float, gradients: dict[str, Array] | None = None, **options: object
) -> dict[str, Array]:
    settings = Settings(sparsity, prune_first=True, **{"scope": "layer", **options})  # type: ignore[arg-type]
    return dict(prune_graph(graph, settings, gradients).masks)


def test_scales_of_normalizations_count() -> None:
    assert masks(conv_and_norm(), 0.5)["a"][:, 0, 0, 0].tolist() == [False, True]
    assert masks(conv_and_norm(), 0.5, criterion="bn-scale")["a"][:, 0, 0, 0].tolist() == [True, False]
    variance = np.array([64, 1], np.float32)
    assert masks(conv_and_norm(variance), 0.5, criterion="bn-scale")["a"][:, 0, 0, 0].tolist() == [False, True]


def test_layers_without_a_normalization_are_worth_their_magnitude() -> None:
    found = masks(conv_and_norm(), 0.25, criterion="bn-scale", scope="global")
    assert found["b"].all()
    assert found["a"][:, 0, 0, 0].tolist() == [True, False]


def test_a_normalization_is_needed() -> None:
    graph = Network(1, 2, 4, 4).conv("a", random(2, 2, 1, 1)).relu().norm("n", np.ones(2, np.float32)).done()
    with pytest.raises(ModelError, match="no batch normalization follows") as caught:
        masks(graph, 0.5, criterion="bn-scale")
    assert "folded" in str(caught.value)


def test_gradients_and_their_products_with_weights() -> None:
    weights = np.array([[1.0, 2.0, 4.0, 8.0]], np.float32)
    gradients = {"w": np.array([[-16.0, 1.0, -3.0, 1.5]]), "bias": np.ones(3)}
    assert masks(product(weights), 0.5, gradients, criterion="gradient")["w"].tolist() == [[True, False, True, False]]
    assert masks(product(weights), 0.5, gradients, criterion="taylor")["w"].tolist() == [[True, False, False, True]]
    assert masks(product(weights), 0.5)["w"].tolist() == [[False, False, True, True]]


def test_the_norm_of_a_block() -> None:
    weights = np.array([[4.0, 3.0], [0.0, 3.0]], np.float32)
    for p, kept in ((1.0, [False, True]), (2.0, [False, True]), (4.0, [True, False]), (np.inf, [True, False])):
        assert masks(product(weights), 0.5, criterion="lp", p=p, pattern="block2")["w"][0].tolist() == kept
    assert masks(product(weights), 0.5, pattern="block2")["w"][0].tolist() == [False, True]


def test_products_of_small_numbers_do_not_vanish() -> None:
    weights = np.array([[1e-30, 2e-30, 3e-30, 4e-30]], np.float32)
    gradients = {"w": np.array([[4e-30, 1e-30, 3e-30, 2e-30]], np.float32)}
    assert masks(product(weights), 0.5, gradients, criterion="taylor")["w"].tolist() == [[False, False, True, True]]


@pytest.mark.parametrize(
    ("gradients", "parts"),
    [
        ({}, ["gradient of 'a'", "/a/Conv", "there are none"]),
        ({"conv.weight": np.ones((2, 2, 1, 1))}, ["gradient of 'a'", "'conv.weight'"]),
        ({"a": np.ones((2, 2))}, ["float64[2, 2]", "[2, 2, 1, 1]"]),
        ({"a": np.ones((2, 2, 1, 1), np.int32)}, ["int32[2, 2, 1, 1]"]),
        ({"a": np.ones((2, 2, 1, 1), object)}, ["object[2, 2, 1, 1]"]),
        ({"a": np.full((2, 2, 1, 1), np.nan)}, ["infinity or NaN"]),
    ],
)
def test_gradients_that_do_not_fit(gradients: dict[str, Array], parts: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        masks(conv_and_norm(), 0.5, gradients, criterion="taylor")
    assert all(part in str(caught.value) for part in parts), caught.value


def test_gradients_belong_to_their_criteria() -> None:
    with pytest.raises(OptionError, match="criterion gradient needs gradients"):
        masks(conv_and_norm(), 0.5, criterion="gradient")
    with pytest.raises(OptionError, match="criterion magnitude uses no gradients"):
        masks(conv_and_norm(), 0.5, {})
