"""Channels through reshapes: what is removed before and after must be the same elements."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cnnc.channels.couplings import Labels
from cnnc.channels.reshape_labels import reshaped_labels
from cnnc.channels.tracker import Tracker
from cnnc.dims import Dim, symbol

N, H = symbol("N"), symbol("H")


def carry(before: tuple[Dim, ...], after: tuple[Dim, ...], at: int) -> tuple[Tracker, Labels, list[Labels | None]]:
    tracker = Tracker()
    size = before[at]
    assert isinstance(size, int)
    labels = tracker.couplings.fresh(size)
    axes = [labels if axis == at else None for axis in range(len(before))]
    return tracker, labels, reshaped_labels(tracker, axes, before, after, "it is mixed")


@pytest.mark.parametrize(
    ("before", "after", "at", "axis", "classes"),
    [
        ((N, 8, 7, 7), (N, 392), 1, 1, 8),
        ((N, 8, 1, 1), (N, 8), 1, 1, 8),
        ((N, 8), (N, 8, 1, 1), 1, 1, 8),
        ((N, 12, H, H), (N, 2, 6, H, H), 1, 2, 6),
        ((N, 6, 2, H, H), (N, 12, H, H), 1, 1, 6),
        ((1, 48, 5, 5), (24, 2, 25), 1, 0, 24),
        ((N, 24), (N, 2, 6, 2), 1, 2, 6),
        ((N, 12, 5, 5), (N, 3, 100), 1, 1, 3),
        ((N, 12, H, H), (N, 3, H * H * 4), 1, 1, 3),
        ((N, 3, H * H * 4), (N, 12, H, H), 1, 1, 3),
        ((N, 4, 9), (N * 4, 9), 2, 1, 9),
        ((2, 3, 8), (2, 24), 2, 1, 8),
        ((8, 3, 5), (8, 15), 0, 0, 8),
    ],
)
def test_where_channels_go(before: tuple[Dim, ...], after: tuple[Dim, ...], at: int, axis: int, classes: int) -> None:
    tracker, labels, result = carry(before, after, at)
    assert [index for index, found in enumerate(result) if found is not None] == [axis]
    assert len(np.unique(tracker.couplings.roots(labels))) == classes
    assert not tracker.couplings.pinned(labels).any()


@pytest.mark.parametrize(
    ("before", "after", "at"),
    [((N, 8, H, H), (N, H * H * 8), 1), ((N, 5, 8), (N, 20, 2), 2), ((N, 8, 5), (N * 8 * 5,), 1)],
)
def test_channels_that_cannot_be_followed_must_stay(before: tuple[Dim, ...], after: tuple[Dim, ...], at: int) -> None:
    tracker, labels, result = carry(before, after, at)
    assert result == [None] * len(after)
    assert tracker.couplings.pinned(labels).all()
    assert tracker.couplings.reason(int(tracker.couplings.roots(labels)[0])) == "it is mixed"


@settings(max_examples=300)
@given(st.lists(st.sampled_from([1, 2, 3, 4, 6]), min_size=1, max_size=3), st.data())
def test_removing_before_is_removing_after(before: list[int], data: st.DataObject) -> None:
    assume(max(before) > 1)
    at = data.draw(st.sampled_from([axis for axis, size in enumerate(before) if size > 1]))
    rest, after = prod(before), []
    while rest > 1:
        after.append(data.draw(st.sampled_from([size for size in range(2, rest + 1) if rest % size == 0])))
        rest //= after[-1]
    after.insert(data.draw(st.integers(0, len(after))), 1)
    tracker, labels, result = carry(tuple(before), tuple(after), at)
    roots = tracker.couplings.roots(labels)
    if tracker.couplings.pinned(labels).any():
        return
    gone = np.isin(roots, data.draw(st.lists(st.sampled_from(roots.tolist()), max_size=3)))
    kept = np.flatnonzero(~gone)
    array = np.arange(prod(before)).reshape(before)
    wanted = array.reshape(after)
    for axis, moved in enumerate(result):
        if moved is not None:
            removed = np.isin(tracker.couplings.roots(moved), roots[gone])
            wanted = np.compress(~removed, wanted, axis)
    assert np.array_equal(np.take(array, kept, at).reshape(-1), wanted.reshape(-1))
