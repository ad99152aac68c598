"""Channels through a reshape.

The axes of both shapes fall into parts of equal products, which are reshaped each by itself. In a part at most one axis
may carry channels:

    [C, H, W] -> [C*H*W]      each channel becomes H*W indices in a row
    [g*k] -> [g, k]           a channel shuffle: the channels at one place of all g groups go together if k >= g, else
                              those of one group
    [C, H, W] -> [g, C/g*H*W] a normalization by groups: the channels of one group go together
    [g, H*W*k] -> [g*k, H, W] and back
    [k, g] -> [k*g]           each channel becomes g in a row
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from cnnc.channels.couplings import Labels
from cnnc.channels.tracker import Axes, Tracker
from cnnc.dims import Dim, Expr, product


def reshaped_labels(
    tracker: Tracker, axes: Axes, before: Sequence[Dim], after: Sequence[Dim], reason: str
) -> list[Labels | None]:
    """Labels of the axes of the result; channels that cannot be followed must stay, for ``reason``."""
    result: list[Labels | None] = [None] * len(after)
    for source, target in _parts(before, after):
        carrying = [axis for axis in source if axes[axis] is not None]
        if not carrying:
            continue
        labels = axes[carrying[0]]
        assert labels is not None
        place = None
        if len(carrying) == 1:
            place = _place(
                tracker, labels, source.index(carrying[0]), [before[i] for i in source], [after[i] for i in target]
            )
        if place is None:
            for axis in carrying:
                tracker.pin(axes[axis], reason)
            continue
        index, moved = place
        result[target[index]] = moved
    return result


def leading_axes(before: Sequence[Dim], after: Sequence[Dim]) -> set[int]:
    """The first axis that is not 1 of each part."""
    parts = (source for source, _ in _parts(before, after))
    leading = (next((axis for axis in source if before[axis] != 1), None) for source in parts)
    return {axis for axis in leading if axis is not None}


def _parts(before: Sequence[Dim], after: Sequence[Dim]) -> list[tuple[list[int], list[int]]]:
    """Consecutive axes of both shapes with equal products, as short as they can be."""
    parts: list[tuple[list[int], list[int]]] = []
    i = j = 0
    while i < len(before) or j < len(after):
        source, target = list(range(i, min(i + 1, len(before)))), list(range(j, min(j + 1, len(after))))
        while True:
            left, right = product(before[axis] for axis in source), product(after[axis] for axis in target)
            if left == right and source and target:
                break
            take_left = len(source) + i < len(before)
            take_right = len(target) + j < len(after)
            if not take_left and not take_right:
                break
            if take_left and (_is_smaller(left, right) or not take_right):
                source.append(i + len(source))
            else:
                target.append(j + len(target))
        i, j = i + len(source), j + len(target)
        parts.append((source, target))
    return parts


def _is_smaller(left: Dim, right: Dim) -> bool:
    """Whether ``left`` lacks factors of ``right``: a number beside an expression, or what divides it."""
    if isinstance(left, int):
        return not isinstance(right, int) or left < right
    return isinstance(right, Expr) and right % left == 0


def _place(tracker: Tracker, labels: Labels, at: int, before: list[Dim], after: list[Dim]) -> tuple[int, Labels] | None:
    """Which axis of a part of the result carries the channels, and its labels. None: not followed.

    Args:
        at: the axis that carries them.
        before, after: sizes of the part's axes.
    """
    if all(size == 1 for axis, size in enumerate(before) if axis != at) and len(labels) in after:
        index = after.index(len(labels))
        if all(size == 1 for axis, size in enumerate(after) if axis != index):
            return index, labels
    leads = all(size == 1 for size in before[:at])
    first = next((index for index, size in enumerate(after) if size != 1), 0)
    head = after[first]
    alone = all(isinstance(size, int) for size in (*before, *after))
    if leads and isinstance(head, int) and len(labels) % head == 0 and not (alone and _is_split(before, after, at)):
        # The channels' axis stands first in both, and is cut into runs.
        if head != len(labels):
            tracker.tie_runs(labels, head)
        return first, labels[:: len(labels) // head]
    if leads and isinstance(head, int) and head % len(labels) == 0:
        return first, np.repeat(labels, head // len(labels))
    sizes = [size for size in before if isinstance(size, int)]
    wanted = [size for size in after if isinstance(size, int)]
    return _in_grid(tracker, labels, at, sizes, wanted) if alone else None


def _is_split(before: list[Dim], after: list[Dim], at: int) -> bool:
    """Whether one axis is cut into several without meeting another."""
    return all(size == 1 for axis, size in enumerate(before) if axis != at)


def _in_grid(
    tracker: Tracker, labels: Labels, at: int, before: list[int], after: list[int]
) -> tuple[int, Labels] | None:
    """The axis of the result that alone decides the channel, or of a cut axis its longest part."""
    shape = [1] * len(before)
    shape[at] = len(labels)
    grid = np.broadcast_to(labels.reshape(shape), before).reshape(after)
    for axis, size in enumerate(after):
        moved = np.moveaxis(grid, axis, 0).reshape(size, -1)
        if size > 1 and (moved == moved[:, :1]).all():
            return axis, moved[:, 0].copy()
    if prod(before) != len(labels):
        return None
    # The longest axis leaves most classes.
    index = max(range(len(after)), key=lambda axis: (after[axis], axis))
    places = np.moveaxis(grid, index, 0).reshape(after[index], -1)
    for column in range(1, places.shape[1]):
        tracker.couplings.couple(places[:, 0], places[:, column])
    return index, places[:, 0].copy()
