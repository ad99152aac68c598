"""Blocks and N:M: what goes together, and patterns that do not exist."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnc.errors import OptionError
from cnnc.pruning.patterns import Blocks, NofM, parse_pattern
from tests.pruning.graphs import random

SHAPES = st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 5), st.integers(1, 4))


@settings(deadline=None)
@given(SHAPES, st.integers(1, 6))
def test_blocks_cover_every_weight_once(shape: tuple[int, int, int, int], size: int) -> None:
    blocks = Blocks(size)
    sizes = blocks.sizes(shape[1])
    assert sizes.sum() == shape[1]
    assert all(count == size for count in sizes[:-1])
    kept = np.random.default_rng(0).random((shape[0], len(sizes), *shape[2:])) < 0.5
    mask = blocks.mask(kept, shape[1])
    assert mask.shape == shape
    assert mask.sum() == (kept * sizes[:, None, None]).sum()
    for channel in range(shape[1]):
        assert (mask[:, channel] == kept[:, channel // size]).all()


@pytest.mark.parametrize("p", [0.5, 1.0, 1.5, 2.0, 7.0, 200.0, math.inf])
def test_the_worth_of_a_block_is_a_mean_of_powers(p: float) -> None:
    worth = np.abs(random(2, 7, 3, 2)).astype(np.float64)
    got = Blocks(4).scores(worth, p)
    for block, channels in enumerate((slice(0, 4), slice(4, 7))):
        part = worth[:, channels]
        wanted = part.max(1) if math.isinf(p) else np.mean(part**p, axis=1) ** (1 / p)
        assert np.allclose(got[:, block], wanted)


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e30])
def test_powers_neither_overflow_nor_vanish(scale: float) -> None:
    worth = (np.abs(random(1, 4, 2, 1)) * scale).astype(np.float32)
    got = Blocks(4).scores(worth, 8.0)
    assert np.isfinite(got).all()
    assert ((got > 0) == (scale > 0)).all()


@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.integers(1, 3), st.data())
def test_n_of_m_keeps_the_n_of_most_worth(
    groups: int, outputs: int, parts: int, taps: int, data: st.DataObject
) -> None:
    size = data.draw(st.integers(2, 6))
    kept = data.draw(st.integers(1, size - 1))
    worth = np.random.default_rng(0).integers(0, 4, (groups, outputs, parts * size, taps)).astype(np.float32)
    mask = NofM(kept, size).mask(worth).reshape(groups, outputs, parts, size, taps)
    split = worth.reshape(mask.shape)
    assert (mask.sum(axis=3) == kept).all()
    least_kept = np.where(mask, split, np.inf).min(axis=3)
    assert (np.where(mask, -np.inf, split).max(axis=3) <= least_kept).all()


def test_of_equal_weights_the_first_are_kept() -> None:
    assert NofM(2, 4).mask(np.ones((1, 1, 8, 1), np.float32)).reshape(-1).tolist() == [1, 1, 0, 0] * 2


def test_channels_that_are_no_multiple_do_not_fit() -> None:
    assert NofM(2, 4).refusal(8) is None
    assert "6 input channels" in str(NofM(2, 4).refusal(6))


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("unstructured", Blocks(1)),
        ("block4", Blocks(4)),
        ("block16", Blocks(16)),
        ("2:4", NofM(2, 4)),
        ("1:16", NofM(1, 16)),
    ],
)
def test_names_of_patterns(text: str, pattern: object) -> None:
    assert parse_pattern(text) == pattern


@pytest.mark.parametrize(
    "text", ["", "block", "block1", "block0", "0:4", "4:4", "5:4", "2:", "2:4:8", "n:m", "blocks4", "-2:4"]
)
def test_other_patterns_are_refused(text: str) -> None:
    with pytest.raises(OptionError, match="block4, or N:M"):
        parse_pattern(text)
