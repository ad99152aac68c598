"""Channels are scored, ranked and removed as the settings say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cnnc.errors import InputError, ModelError, OptionError
from cnnc.ir import Graph
from cnnc.pruning.channel_api import PrunedChannels, prune_graph_channels
from cnnc.pruning.channel_settings import ChannelSettings, default_multiple
from tests.passes.sketch import Sketch


def two_layers(channels: int = 64) -> Graph:
    """Filter i of layer "a" has magnitude i + 1; "b" reads them."""
    sketch = Sketch()
    x = sketch.input("N", 3, 8, 8)
    rows = np.arange(1, channels + 1).reshape(-1, 1, 1, 1) * np.ones((1, 3, 1, 1))
    a = sketch.op("conv", x, sketch.const(rows, "wa"), name="a")
    bn = sketch.op("batch_normalization", a, *gammas(sketch, channels), name="bn")
    b = sketch.op("conv", sketch.op("relu", bn), sketch.normal(32, channels, 1, 1, name="wb"), name="b")
    c = sketch.op("conv", sketch.op("relu", b), sketch.normal(5, 32, 1, 1, name="wc"), name="c")
    return sketch.returns(c).graph


def gammas(sketch: Sketch, channels: int) -> list[Any]:
    """Scales that fall where the filters grow."""
    falling = sketch.const(np.arange(channels, 0, -1), "gamma")
    zeros = [sketch.const(np.zeros(channels), name) for name in ("beta", "mean")]
    return [falling, *zeros, sketch.const(np.ones(channels), "variance")]


def weights_of(done: PrunedChannels, name: str) -> np.ndarray[Any, Any]:
    array = done.graph.value(name).array
    assert array is not None
    return array


def prune(graph: Graph, gradients: Any = None, **settings: Any) -> PrunedChannels:
    return prune_graph_channels(graph, ChannelSettings(**settings), gradients)


def test_the_filters_of_least_magnitude_go() -> None:
    done = prune(two_layers(), sparsity=0.25)
    assert weights_of(done, "wa").shape == (48, 3, 1, 1)
    assert weights_of(done, "wa")[:, 0, 0, 0].tolist() == list(range(17, 65))
    assert weights_of(done, "wb").shape == (24, 48, 1, 1)
    assert weights_of(done, "wc").shape == (5, 24, 1, 1)
    assert done.sparsity == 0.25
    assert [(group.layers, group.channels, group.kept) for group in done.groups] == [
        (("a",), 64, 48),
        (("b",), 32, 24),
        (("c",), 5, 5),
    ]
    assert done.groups[2].why == "it is graph output 'c'"


def test_the_original_stays() -> None:
    graph = two_layers()
    before = {value.name: value.array for value in graph.constants}
    prune(graph, sparsity=0.5)
    assert all(value.array is before[value.name] for value in graph.constants)


@pytest.mark.parametrize(
    ("sparsity", "round_to", "kept"),
    [(0.3, None, 48), (0.3, 1, 45), (0.3, 16, 48), (0.3, 32, 32), (0.2, 32, 64), (0.99, None, 8), (0.99, 1, 1)],
)
def test_channels_are_left_in_multiples(sparsity: float, round_to: int | None, kept: int) -> None:
    done = prune(two_layers(), sparsity=sparsity, round_to=round_to)
    assert done.groups[0].kept == kept


def test_small_groups_have_smaller_multiples() -> None:
    assert [default_multiple(channels) for channels in (8, 15, 16, 31, 32, 63, 64, 512)] == [1, 1, 2, 2, 4, 4, 8, 8]


def test_a_minimum_is_kept() -> None:
    assert prune(two_layers(), sparsity=0.9, round_to=1, min_channels=20).groups[0].kept == 20


def test_names_have_ratios_of_their_own_or_stay_whole() -> None:
    done = prune(two_layers(), sparsity=0.5, ratios=(("a", 0.25),), exclude=("wb",))
    assert [group.kept for group in done.groups] == [48, 32, 5]
    assert done.groups[1].why == "excluded by 'wb'"
    only = prune(two_layers(), ratios=(("b", 0.5),))
    assert [group.kept for group in only.groups] == [64, 16, 5]


def test_norms() -> None:
    sketch = Sketch()
    x = sketch.input("N", 2, 4, 4)
    rows = np.array([[3, 3], [0, 5], [9, 9], [9, 9]]).reshape(4, 2, 1, 1)
    a = sketch.op("conv", x, sketch.const(rows, "wa"), name="a")
    graph = sketch.returns(sketch.op("conv", a, sketch.normal(3, 4, 1, 1), name="b")).graph
    wanted = {("magnitude", 2.0): 3.0, ("lp", 1.0): 3.0, ("lp", 2.0): 0.0, ("lp", float("inf")): 0.0}
    for (criterion, p), first in wanted.items():
        done = prune(graph, sparsity=0.25, criterion=criterion, p=p, round_to=1)
        # Of [3, 3] and [0, 5] the first has the larger sum, and the smaller norm.
        assert weights_of(done, "wa")[0, 0, 0, 0] == first


def test_scales_of_normalizations() -> None:
    done = prune(two_layers(), sparsity=0.25, criterion="bn-scale", exclude=("b",))
    assert weights_of(done, "wa")[:, 0, 0, 0].tolist() == list(range(1, 49))
    with pytest.raises(ModelError, match=r"'b'.*without batch normalization"):
        prune(two_layers(), sparsity=0.25, criterion="bn-scale")


@pytest.mark.parametrize(("criterion", "kept"), [("gradient", range(1, 49)), ("taylor", range(17, 65))])
def test_gradients(criterion: str, kept: range) -> None:
    graph = two_layers()
    falls = np.arange(64, 0, -1) ** (1.0 if criterion == "gradient" else 0.5)
    gradients = {"wa": falls.reshape(-1, 1, 1, 1) * np.ones((1, 3, 1, 1)), "wb": np.ones((32, 64, 1, 1))}
    done = prune(graph, gradients, sparsity=0.25, criterion=criterion, exclude=("b",))
    got = weights_of(done, "wa")[:, 0, 0, 0].tolist()
    worth = falls if criterion == "gradient" else falls * np.arange(1, 65)
    assert got == sorted((np.argsort(worth, kind="stable")[16:] + 1).tolist())
    assert criterion == "taylor" or got == list(kept)


def test_gradients_are_checked() -> None:
    with pytest.raises(OptionError, match="taylor needs gradients"):
        prune(two_layers(), sparsity=0.25, criterion="taylor")
    with pytest.raises(OptionError, match="magnitude uses no gradients"):
        prune(two_layers(), {}, sparsity=0.25)
    with pytest.raises(OptionError, match="bn-scale uses no gradients"):
        prune(two_layers(), {}, sparsity=0.25, criterion="bn-scale")
    with pytest.raises(InputError, match="layer 'a' has none"):
        prune(two_layers(), {"wb": np.ones((32, 64, 1, 1))}, sparsity=0.25, criterion="gradient")


def test_global_scope_takes_the_least_of_all() -> None:
    """Scores count in units of their group's mean: layer "b" is even, so all that goes is of "a"."""
    graph = two_layers()
    done = prune(graph, sparsity=0.25, scope="global", round_to=1)
    kept = [group.kept for group in done.groups]
    assert kept[0] + kept[1] == 72
    assert kept[0] < 48
    limited = prune(graph, sparsity=0.25, scope="global", round_to=1, max_layer_sparsity=0.3)
    assert limited.groups[0].kept >= 45


def test_residual_layers_are_scored_together() -> None:
    sketch = Sketch()
    x = sketch.input("N", 2, 4, 4)
    first, second = np.array([1, 2, 3, 4.0]), np.array([4, 0, 3, 4.0])
    made = [
        sketch.op("conv", x, sketch.const(rows.reshape(4, 1, 1, 1) * np.ones((1, 2, 1, 1)), f"w{name}"), name=name)
        for name, rows in (("a", first), ("b", second))
    ]
    y = sketch.op("conv", sketch.op("add", *made), sketch.normal(3, 4, 1, 1), name="c")
    done = prune(sketch.returns(y).graph, sparsity=0.25, round_to=1)
    assert done.groups[0].layers == ("a", "b")
    assert weights_of(done, "wa")[:, 0, 0, 0].tolist() == [1, 3, 4]


def test_every_tensor_keeps_a_channel() -> None:
    """All channels of one slice have the lowest scores."""
    sketch = Sketch()
    x = sketch.input("N", 2, 4, 4)
    rows = np.array([1, 2, 8, 9, 10, 11.0]).reshape(6, 1, 1, 1) * np.ones((1, 2, 1, 1))
    a = sketch.op("conv", x, sketch.const(rows, "wa"), name="a")
    low = sketch.op("slice", a, sketch.ints(0), sketch.ints(2), sketch.ints(1))
    y = sketch.op("conv", low, sketch.normal(2, 2, 1, 1), name="b")
    z = sketch.op("conv", a, sketch.normal(2, 6, 1, 1), name="c")
    done = prune(sketch.returns(y, z).graph, sparsity=0.5, round_to=1)
    assert weights_of(done, "wa")[:, 0, 0, 0].tolist() == [2, 9, 10, 11]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "not said how many"),
        ({"sparsity": 1.0}, "no share of channels"),
        ({"sparsity": 0.5, "criterion": "luck"}, "no criterion 'luck'"),
        ({"sparsity": 0.5, "scope": "house"}, "no scope 'house'"),
        ({"sparsity": 0.5, "p": 0}, "gives no norm"),
        ({"sparsity": 0.5, "max_layer_sparsity": 0}, "not above 0"),
        ({"sparsity": 0.5, "round_to": 0}, "no number of channels"),
        ({"sparsity": 0.5, "min_channels": 0}, "no number of channels"),
        ({"sparsity": 0.5, "exclude": ("nobody",)}, "is called 'nobody'"),
    ],
)
def test_options_are_checked(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        prune(two_layers(), **settings)


def test_a_model_without_free_channels_is_refused_with_the_reasons() -> None:
    sketch = Sketch()
    x = sketch.input("N", 3, 8, 8)
    graph = sketch.returns(
        sketch.op("softmax", sketch.op("conv", x, sketch.normal(4, 3, 1, 1), name="a"), axis=1)
    ).graph
    with pytest.raises(ModelError, match=r"no channels can be removed.*a: softmax 'softmax' mixes channels"):
        prune(graph, sparsity=0.5)


def test_a_model_without_layers_is_refused() -> None:
    sketch = Sketch()
    graph = sketch.returns(sketch.op("relu", sketch.input("N", 3, 8, 8))).graph
    with pytest.raises(ModelError, match="no layer has constant weights"):
        prune(graph, sparsity=0.5)


def test_a_group_whose_layers_have_more_and_more_channels_loses_the_ratio_of_each() -> None:
    """A shortcut is padded with channels; large weights of the first layer do not keep its channels."""
    sketch = Sketch()
    x = sketch.input("N", 3, 6, 6)
    a = sketch.op("conv", x, sketch.const(10 + np.random.default_rng(0).random((8, 3, 1, 1)), "wa"), name="a")
    wide = sketch.op("pad", a, sketch.ints(0, 0, 0, 0, 0, 8, 0, 0))
    b = sketch.op("conv", a, sketch.normal(16, 8, 1, 1, name="wb"), name="b")
    y = sketch.op("conv", sketch.op("add", wide, b), sketch.normal(2, 16, 1, 1), name="y")
    done = prune(sketch.returns(y).graph, sparsity=0.5, round_to=1)
    first = done.groups[0]
    assert (first.layers, first.channels, first.kept) == (("a", "b"), 16, 8)
    assert 2 <= len(weights_of(done, "wa")) <= 6


def test_weights_that_are_not_finite_are_refused() -> None:
    sketch = Sketch()
    x = sketch.input("N", 3, 8, 8)
    a = sketch.op("conv", x, sketch.const(np.full((4, 3, 1, 1), np.nan), "wa"), name="a")
    graph = sketch.returns(sketch.op("conv", a, sketch.normal(4, 4, 1, 1), name="b")).graph
    with pytest.raises(ModelError, match=r"'a'.*infinity or NaN"):
        prune(graph, sparsity=0.5)
