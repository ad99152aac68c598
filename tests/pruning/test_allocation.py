"""As many weights go as are asked for, to the one, the least worthy first; and pruning again changes nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnc.errors import OptionError
from cnnc.pruning import Settings, prune_graph
from cnnc.pruning.api import Pruned
from tests.pruning.graphs import Array, Network, chain, random, weights_of

RATIOS = st.floats(0, 0.999)
SIZES = st.integers(1, 9)
SMALL = settings(max_examples=60, deadline=None)


def layers(sizes: tuple[int, int, int], levels: int | None) -> dict[str, Array]:
    """Weights of three convs. ``levels``: so many magnitudes, so that many are equal."""
    a, b, c = sizes
    made = {"a": random(a, 2, 3, 3), "b": random(b, a, 1, 1, seed=1), "c": random(c, b, 3, 1, seed=2)}
    if levels is None:
        return made
    return {name: np.ceil(array * levels / 3) for name, array in made.items()}


def prune(weights: dict[str, Array], **options: object) -> Pruned:
    return prune_graph(chain(**weights), Settings(prune_first=True, **options))  # type: ignore[arg-type]


def rounded(ratio: float, count: int) -> int:
    return math.floor(ratio * count + 0.5)


@SMALL
@given(st.tuples(SIZES, SIZES, SIZES), RATIOS, st.sampled_from([None, 1, 3]))
def test_every_layer_loses_as_many_as_asked_for(sizes: tuple[int, int, int], ratio: float, levels: int | None) -> None:
    weights = layers(sizes, levels)
    masks = prune(weights, sparsity=ratio, scope="layer").masks
    for name, mask in masks.items():
        assert np.count_nonzero(~mask) == rounded(ratio, mask.size)
        magnitude = np.abs(weights[name])
        assert magnitude[~mask].max(initial=0) <= magnitude[mask].min(initial=np.inf)


@SMALL
@given(st.tuples(SIZES, SIZES, SIZES), RATIOS, st.sampled_from([None, 1, 3]))
def test_all_layers_together_lose_as_many_as_asked_for(
    sizes: tuple[int, int, int], ratio: float, levels: int | None
) -> None:
    weights = layers(sizes, levels)
    masks = prune(weights, sparsity=ratio, scope="global").masks
    gone = sum(np.count_nonzero(~mask) for mask in masks.values())
    assert gone == rounded(ratio, sum(mask.size for mask in masks.values()))
    lost = max(np.abs(weights[name][~mask]).max(initial=0) for name, mask in masks.items())
    assert lost <= min(np.abs(weights[name][mask]).min(initial=np.inf) for name, mask in masks.items())


@SMALL
@given(st.tuples(SIZES, SIZES, SIZES), RATIOS, st.integers(2, 5), st.sampled_from(["layer", "global"]))
def test_blocks_come_closest_to_the_number(sizes: tuple[int, int, int], ratio: float, size: int, scope: str) -> None:
    masks = prune(layers(sizes, None), sparsity=ratio, pattern=f"block{size}", scope=scope).masks
    groups = [list(masks.values())] if scope == "global" else [[mask] for mask in masks.values()]
    for group in groups:
        gone = sum(np.count_nonzero(~mask) for mask in group)
        assert abs(gone - rounded(ratio, sum(mask.size for mask in group))) <= size / 2
    for mask in masks.values():
        for start in range(0, len(mask), size):
            block = mask[start : start + size]
            assert (block == block[:1]).all()


@SMALL
@given(
    st.tuples(SIZES, SIZES, SIZES),
    RATIOS,
    st.sampled_from(["unstructured", "block4", "block3"]),
    st.sampled_from(["layer", "global"]),
    st.sampled_from([None, 1, 3]),
)
def test_pruning_again_changes_nothing(
    sizes: tuple[int, int, int], ratio: float, pattern: str, scope: str, levels: int | None
) -> None:
    options = {"sparsity": ratio, "pattern": pattern, "scope": scope}
    once = prune(layers(sizes, levels), **options)
    twice = prune_graph(once.graph, once.settings)
    before = {name: array * once.masks[name] for name, array in layers(sizes, levels).items()}
    for name, array in before.items():
        assert (weights_of(twice.graph)[name] == array).all()


def test_two_runs_prune_the_same() -> None:
    weights = {"a": np.ones((5, 3, 3, 3), np.float32), "b": np.ones((7, 5, 1, 1), np.float32)}
    first, second = (prune(weights, sparsity=0.37, scope="global").masks for _ in range(2))
    assert all((first[name] == second[name]).all() for name in weights)
    assert not first["a"].reshape(-1)[: rounded(0.37, 135 + 35)].any()


@pytest.mark.parametrize("pattern", ["unstructured", "block4", "block3"])
def test_no_layer_loses_more_than_its_most(pattern: str) -> None:
    weights = {"a": random(8, 3, 3, 3) * 1e-3, "b": random(10, 8, 3, 3, seed=1)}
    masks = prune(weights, sparsity=0.6, scope="global", max_layer_sparsity=0.75, pattern=pattern).masks
    shares = {name: 1 - mask.mean() for name, mask in masks.items()}
    assert 0.7 < shares["a"] <= 0.75
    total = sum(mask.size for mask in masks.values())
    assert abs(sum(np.count_nonzero(~mask) for mask in masks.values()) - 0.6 * total) <= 4


def test_a_most_that_leaves_too_many_is_refused() -> None:
    with pytest.raises(OptionError, match="may go") as caught:
        prune({"a": random(4, 3, 3, 3)}, sparsity=0.9, scope="global", max_layer_sparsity=0.5)
    assert "max_layer_sparsity=0.5" in str(caught.value)


def test_ratios_of_single_layers() -> None:
    weights = {"a": random(4, 3, 3, 3), "b": random(6, 4, 3, 3), "c": random(5, 6, 1, 1)}
    options = {"sparsity": 0.5, "scope": "layer", "ratios": (("*", 0.25), ("/b/*", 0.75), ("c", 0.0))}
    masks = prune(weights, **options).masks
    assert [np.count_nonzero(~masks[name]) for name in "abc"] == [27, 162, 0]
    masks = prune(weights, **{**options, "ratios": (("b", 0.75),), "scope": "global"}).masks
    assert np.count_nonzero(~masks["b"]) == 162
    assert np.count_nonzero(~masks["a"]) + np.count_nonzero(~masks["c"]) == rounded(0.5, 108 + 30)


def test_transposed_convs_and_products_have_blocks_of_their_outputs() -> None:
    network = Network(1, 3, 4, 4).conv_transpose("up", random(3, 6, 2, 2)).pooled()
    graph = network.gemm("fc", random(6, 8)).gemm("fd", random(5, 8), transB=1).matmul("m", random(5, 4)).done()
    masks = prune_graph(graph, Settings(0.5, "block2", scope="layer")).masks
    assert (masks["up"][:, ::2] == masks["up"][:, 1::2]).all()
    assert (masks["fc"][:, ::2] == masks["fc"][:, 1::2]).all()
    assert (masks["fd"][:4:2] == masks["fd"][1::2]).all()
    assert (masks["m"][:, ::2] == masks["m"][:, 1::2]).all()
    assert all(abs(np.count_nonzero(~mask) - mask.size / 2) <= 1 for mask in masks.values())


def test_n_of_m_runs_along_input_channels() -> None:
    network = Network(1, 8, 4, 4).conv("g", random(6, 4, 3, 3), group=2).pooled()
    graph = network.gemm("fc", random(6, 8)).matmul("m", random(8, 5)).gemm("fd", random(3, 5), transB=1).done()
    masks = prune_graph(graph, Settings(pattern="1:2", prune_first=True)).masks
    assert (masks["g"].reshape(6, 2, 2, 3, 3).sum(axis=2) == 1).all()
    assert (masks["fc"].reshape(3, 2, 8).sum(axis=1) == 1).all()
    assert (masks["m"].reshape(4, 2, 5).sum(axis=1) == 1).all()
    assert "fd" not in masks
