"""The minimum cut finds what trying every choice finds."""

from __future__ import annotations

from itertools import chain, combinations, pairwise

import numpy as np
import pytest

from cnnc.quantization.assignment import Problem
from cnnc.quantization.layer_times import LayerTimes
from cnnc.quantization.neighbours import FLOAT, Link

LAYERS = tuple("abcdef")
LINKS = (
    Link(FLOAT, ("a",), "input"),
    Link("a", ("b", "c", FLOAT), "a"),
    Link("b", ("d",), "b"),
    Link("c", ("d",), "c"),
    Link("d", ("e", "f"), "d"),
    Link("e", ("f",), "e"),
    Link("f", (FLOAT,), "f"),
)


def problem(seed: int) -> Problem:
    generator = np.random.default_rng(seed)
    # Whole microseconds: sums of both ways of counting are then equal.
    floats, integers = (dict(zip(LAYERS, generator.integers(0, 30, 6) * 1e-6)) for _ in range(2))
    conversions = {link.value: int(generator.integers(0, 8)) * 1e-6 for link in LINKS}
    noise = dict(zip(LAYERS, generator.integers(0, 5, 6) * 1e-3))
    return Problem(LayerTimes(floats, integers, conversions), LINKS, noise)


def cost(given: Problem, in_float: frozenset[str], price: float) -> float:
    noise = sum(given.noise[layer] for layer in LAYERS if layer not in in_float)
    return given.seconds(in_float) + price * noise


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("price", [0.0, 2e-3, 1.0])
def test_no_choice_is_cheaper(seed: int, price: float) -> None:
    given = problem(seed)
    choices = chain.from_iterable(combinations(LAYERS, count) for count in range(7))
    best = min(cost(given, frozenset(choice), price) for choice in choices)
    assert cost(given, given.cheapest(price), price) == pytest.approx(best, abs=1e-11)


@pytest.mark.parametrize("seed", range(12))
def test_a_higher_price_never_brings_a_layer_back(seed: int) -> None:
    given = problem(seed)
    choices = [given.cheapest(price) for price in np.geomspace(1e-5, 10, 12)]
    assert all(earlier <= later for earlier, later in pairwise(choices))
    assert {layer for layer in LAYERS if given.noise[layer]} <= choices[-1]


def test_a_tensor_is_converted_once_for_all_that_read_it() -> None:
    times = LayerTimes({"a": 9e-6, "b": 0.0, "c": 0.0}, {"a": 0.0, "b": 9e-6, "c": 9e-6}, {"a": 5e-6})
    given = Problem(times, (Link("a", ("b", "c"), "a"),), {})
    assert given.cheapest(0) == {"b", "c"}
    assert given.seconds(frozenset("bc")) == pytest.approx(5e-6)
