"""Ops that treat each channel by itself, and ops that mix channels in a way that a missing one would change."""

from __future__ import annotations

from typing import Any

from cnnc.channels.rules_layers import broadcast_labels
from cnnc.channels.tracker import Tracker
from cnnc.ir import Node, Operands
from cnnc.ops.content import known_axes

_SUMS = frozenset({"reduce_sum", "reduce_l1", "reduce_l2", "reduce_sum_square"})
"""Reductions that an element of 0 adds nothing to."""


def elementwise(node: Node, tracker: Tracker) -> None:
    """Operands broadcast to one shape; what meets is coupled."""
    operands = [(value, len(value.type.shape)) for value in node.inputs if value is not None]
    labels = broadcast_labels(tracker, operands)
    for value in node.outputs:
        tracker.give(value, labels)


def channel_vectors(node: Node, tracker: Tracker) -> None:
    """x [N, C, ...] with vectors [C]: a normalization by known statistics, a scale and shift."""
    attrs: Any = node.attrs
    if getattr(attrs, "training_mode", 0):
        tracker.pin_all(node, f"{node.op} {node.name!r} is in training mode")
        return
    axes = tracker.axes(node.input(0))
    for value in node.inputs[1:]:
        if value is not None:
            tracker.give_axis(value, 0, axes[1])
    tracker.give(node.output, axes)


def over_maps(node: Node, tracker: Tracker) -> None:
    """[N, C, ...], of which each channel's map is pooled, sampled or normalized by itself."""
    axes = tracker.axes(node.input(0))
    for labels in axes[2:]:
        tracker.pin(labels, f"{node.op} {node.name!r} reads along it")
    if node.op == "instance_normalization":
        for value in node.inputs[1:]:
            if value is not None:
                tracker.give_axis(value, 0, axes[1])
    if any(value.uses for value in node.outputs[1:]):
        tracker.pin(axes[1], f"indices that {node.op} {node.name!r} returns count channels")
    for value in node.outputs:
        tracker.give(value, [*axes[:2], *[None] * (len(value.type.shape) - 2)])


def group_normalization(node: Node, tracker: Tracker) -> None:
    """Groups of channels are normalized together, so they stay or go together."""
    attrs: Any = node.attrs
    axes = tracker.axes(node.input(0))
    for labels in axes[2:]:
        tracker.pin(labels, f"{node.op} {node.name!r} reads along it")
    if axes[1] is not None and attrs.num_groups == 1:
        tracker.pin(axes[1], f"{node.op} {node.name!r} normalizes all channels together")
    elif axes[1] is not None:
        tracker.tie_runs(axes[1], attrs.num_groups)
    for value in node.inputs[1:]:
        if value is not None:
            tracker.give_axis(value, 0, axes[1])
    tracker.give(node.output, [*axes[:2], *[None] * (len(axes) - 2)])


def along_axes(node: Node, tracker: Tracker) -> None:
    """A softmax or a normalization along some axes, whose channels must stay; others are left alone."""
    attrs: Any = node.attrs
    axes = tracker.axes(node.input(0))
    rank = len(axes)
    mixed: tuple[int, ...]
    if node.op == "lrn":
        mixed = (1,)
    elif node.op == "mean_variance_normalization":
        mixed = tuple(axis % rank for axis in attrs.axes)
    elif node.op in ("layer_normalization", "rms_normalization"):
        mixed = tuple(range(attrs.axis % rank, rank))
        # Scale and bias broadcast to the input.
        operands = [(value, len(value.type.shape)) for value in node.inputs if value is not None]
        broadcast_labels(tracker, operands)
    else:
        mixed = (attrs.axis % rank,)
    for axis in mixed:
        tracker.pin(axes[axis], f"{node.op} {node.name!r} mixes channels")
    for value in node.outputs:
        tracker.give(value, axes)


def reduction(node: Node, tracker: Tracker) -> None:
    """Sums read channels; means, extrema and the like are changed by a missing one."""
    attrs: Any = node.attrs
    axes = tracker.axes(node.input(0))
    operands = Operands([None if value is None else value.fact for value in node.inputs])
    listed = known_axes(operands, 1, len(axes)) or ()
    reduced = listed if listed or attrs.noop_with_empty_axes else tuple(range(len(axes)))
    for axis in reduced:
        if axes[axis] is not None and node.op in _SUMS:
            tracker.read(node, (0, axis))
        else:
            tracker.pin(axes[axis], f"{node.op} {node.name!r} reduces over channels")
    kept = [None if axis in reduced else labels for axis, labels in enumerate(axes)]
    if not attrs.keepdims:
        kept = [labels for axis, labels in enumerate(axes) if axis not in reduced]
    tracker.give(node.output, kept)


def resize(node: Node, tracker: Tracker) -> None:
    """Axes whose size stays are left alone."""
    axes = tracker.axes(node.input(0))
    for value in node.inputs[1:]:
        if value is not None:
            tracker.keep(value, f"resize {node.name!r} has one for each axis")
    before, after = node.input(0).type.shape, node.output.type.shape
    for axis, labels in enumerate(axes):
        if before[axis] != after[axis]:
            tracker.pin(labels, f"resize {node.name!r} resamples along it")
    tracker.give(node.output, [labels if a == b else None for labels, a, b in zip(axes, before, after)])
