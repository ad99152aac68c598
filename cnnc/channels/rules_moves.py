"""Ops that keep elements and change their place: where each channel goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cnnc.channels.couplings import Labels
from cnnc.channels.reshape_labels import leading_axes, reshaped_labels
from cnnc.channels.tracker import Tracker
from cnnc.ir import Node, Operands, Value
from cnnc.ops.content import known_axes


def reshape(node: Node, tracker: Tracker) -> None:
    """Reshape, flatten, squeeze, unsqueeze."""
    x = node.input(0)
    axes = tracker.axes(x) if not x.is_constant or len(x.uses) > 1 else _leading_axes(x, node.output, tracker)
    reason = f"{node.op} {node.name!r} mixes its channels with other axes"
    tracker.give(node.output, reshaped_labels(tracker, axes, x.type.shape, node.output.type.shape, reason))


def _leading_axes(x: Value, y: Value, tracker: Tracker) -> list[Labels | None]:
    """Of weights [C, H, W, N] that become [C*H*W, N], C and N carry channels, as they do where maps are flattened."""
    leading = leading_axes(x.type.shape, y.type.shape)
    return [tracker.axis(x, axis) if axis in leading else None for axis in range(len(x.type.shape))]


def transpose(node: Node, tracker: Tracker) -> None:
    attrs: Any = node.attrs
    axes = tracker.axes(node.input(0))
    perm = range(len(axes))[::-1] if attrs.perm is None else attrs.perm
    tracker.give(node.output, [axes[axis] for axis in perm])


def concat(node: Node, tracker: Tracker) -> None:
    """Along its axis labels stand one behind the other, along others they are coupled."""
    attrs: Any = node.attrs
    values = [value for value in node.inputs if value is not None]
    rank = len(values[0].type.shape)
    along = attrs.axis % rank
    result: list[Labels | None] = []
    for axis in range(rank):
        if axis == along:
            result.append(_joined([tracker.axis(value, axis) for value in values], values, axis, tracker, node))
            continue
        labels = tracker.axis(values[0], axis)
        for value in values[1:]:
            tracker.give_axis(value, axis, labels)
        result.append(labels)
    tracker.give(node.output, result)


def _joined(found: list[Labels | None], values: list[Value], axis: int, tracker: Tracker, node: Node) -> Labels | None:
    if all(labels is None for labels in found):
        return None
    parts: list[Labels] = []
    for value, labels in zip(values, found):
        size = value.type.shape[axis]
        if labels is None and not isinstance(size, int):
            for other in found:
                tracker.pin(other, f"concat {node.name!r} joins it with an axis of unknown size")
            return None
        if labels is None:
            assert isinstance(size, int)
            labels = tracker.couplings.fresh(size)
            tracker.pin(labels, f"concat {node.name!r} takes it from {value.name!r}, which must stay")
        parts.append(labels)
    return np.concatenate(parts)


def split(node: Node, tracker: Tracker) -> None:
    """Consecutive parts of the labels."""
    attrs: Any = node.attrs
    axes = tracker.axes(node.input(0))
    along = attrs.axis % len(axes)
    labels, start = axes[along], 0
    for value in node.outputs:
        size = value.type.shape[along]
        part = None
        if labels is not None and isinstance(size, int):
            part = labels[start : start + size]
            start += size
            if size == 1:
                tracker.pin(part, f"split {node.name!r} takes it out as one channel")
        elif labels is not None:
            tracker.pin(labels, f"split {node.name!r} has sizes that only values decide")
        tracker.give(value, [*axes[:along], part, *axes[along + 1 :]])


def slice_(node: Node, tracker: Tracker) -> None:
    """A run of the labels."""
    axes = tracker.axes(node.input(0))
    limits = sliced_axes(node.inputs, len(axes))
    result = list(axes)
    for axis, labels in enumerate(axes):
        if labels is None or (limits is not None and axis not in limits):
            continue
        if limits is None or (limit := limits[axis]) is None:
            tracker.pin(labels, f"slice {node.name!r} takes every other, or what only values decide")
            result[axis] = None
            continue
        part = labels[limit]
        if len(part) == 1:
            tracker.pin(part, f"slice {node.name!r} takes it out as one channel")
        result[axis] = part
    tracker.give(node.output, result)


def sliced_axes(operands: Sequence[Value | None], rank: int) -> dict[int, slice | None] | None:
    """The slice of each listed axis by known numbers, with step 1; None for any other slice.

    Returns None where the axes are not even known.
    """
    facts = Operands([None if value is None else value.fact for value in operands])
    starts, ends = facts.need(1).sizes(), facts.need(2).sizes()
    if starts is None or ends is None:
        return None
    steps = (1,) * len(starts) if facts[4] is None else facts[4].sizes()
    axes = known_axes(facts, 3, rank) or tuple(range(len(starts)))
    if steps is None:
        return None
    found: dict[int, slice | None] = {}
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        plain = isinstance(start, int) and isinstance(end, int) and step == 1
        found[axis] = slice(start, end) if plain else None
    return found


def pad(node: Node, tracker: Tracker) -> None:
    """Constant channels in front and behind are channels of their own."""
    attrs: Any = node.attrs
    axes = tracker.axes(node.input(0))
    counts = padded_counts(node.inputs, len(axes))
    result = list(axes)
    for axis, labels in enumerate(axes):
        if labels is None:
            continue
        count = None if counts is None else counts.get(axis, (0, 0))
        if count is None or min(count) < 0 or (attrs.mode != "constant" and any(count)):
            tracker.pin(labels, f"pad {node.name!r} repeats, cuts or adds channels in a way that is not followed")
            result[axis] = None
        elif any(count):
            before, after = (tracker.couplings.fresh(number) for number in count)
            result[axis] = np.concatenate([before, labels, after])
    tracker.give(node.output, result)


def padded_counts(operands: Sequence[Value | None], rank: int) -> dict[int, tuple[int, int] | None] | None:
    """Elements in front and behind for each padded axis, None where unknown; None where all are."""
    facts = Operands([None if value is None else value.fact for value in operands])
    listed = facts.need(1).sizes()
    if listed is None:
        return None
    axes = known_axes(facts, 3, rank) or tuple(range(rank))
    found: dict[int, tuple[int, int] | None] = {}
    for index, axis in enumerate(axes):
        before, after = listed[index], listed[index + len(axes)]
        found[axis] = (before, after) if isinstance(before, int) and isinstance(after, int) else None
    return found


def expand(node: Node, tracker: Tracker) -> None:
    """Copies of one element are channels of their own: any number of them can be made."""
    x, y = node.input(0), node.output
    axes = [None] * (len(y.type.shape) - len(x.type.shape)) + tracker.axes(x)
    sizes = (1,) * (len(y.type.shape) - len(x.type.shape)) + x.type.shape
    tracker.give(y, [tracker.fresh(y, axis) if sizes[axis] == 1 else labels for axis, labels in enumerate(axes)])


def constant_of_shape(node: Node, tracker: Tracker) -> None:
    """Any number of equal elements can be made."""
    tracker.give(node.output, [tracker.fresh(node.output, axis) for axis in range(len(node.output.type.shape))])


def gather(node: Node, tracker: Tracker) -> None:
    """Channels picked by known indices; one that is picked alone must stay."""
    attrs: Any = node.attrs
    axes = tracker.axes(node.input(0))
    along = attrs.axis % len(axes)
    indices = node.input(1).fact.array
    labels = axes[along]
    picked: list[Labels | None] = [None] * len(node.input(1).type.shape)
    if labels is not None and indices is not None and indices.ndim == 1 and indices.size > 1:
        picked = [labels[indices.astype(np.int64)]]
    else:
        tracker.pin(labels, f"gather {node.name!r} picks single channels")
    tracker.give(node.output, [*axes[:along], *picked, *axes[along + 1 :]])


def channel_shuffle(node: Node, tracker: Tracker) -> None:
    """[g, k] channels become [k, g]; every group loses the same ones."""
    attrs: Any = node.attrs
    axes = tracker.axes(node.input(0))
    labels = axes[1]
    if labels is not None:
        tracker.tie(labels, attrs.groups)
        labels = labels.reshape(attrs.groups, -1).T.reshape(-1)
    tracker.give(node.output, [axes[0], labels, *axes[2:]])


def depth_to_space(node: Node, tracker: Tracker) -> None:
    """All channels that become one channel's pixels go together."""
    attrs: Any = node.attrs
    axes = tracker.axes(node.input(0))
    labels, taps = axes[1], attrs.blocksize**2
    result = None
    if labels is not None and attrs.mode == "DCR":
        tracker.tie(labels, taps)
        result = labels[: len(labels) // taps]
    elif labels is not None:
        tracker.tie_runs(labels, len(labels) // taps)
        result = labels[::taps]
    if result is not None and len(result) == 1:
        tracker.pin(result, f"depth_to_space {node.name!r} makes one channel of it")
    tracker.give(node.output, [axes[0], result, None, None])


def space_to_depth(node: Node, tracker: Tracker) -> None:
    """Every channel becomes one for each of its taps."""
    attrs: Any = node.attrs
    axes = tracker.axes(node.input(0))
    labels = None if axes[1] is None else np.tile(axes[1], attrs.blocksize**2)
    tracker.give(node.output, [axes[0], labels, None, None])
