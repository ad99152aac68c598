"""Layers: their weights' rows produce channels, and their sums read channels.

A grouped convolution must keep groups of equal size. Where it has at least as many groups as channels in a group,
groups stay or go as a whole, inputs and outputs together (a depthwise filter is a group of one). Else the channels at
the same place of all groups stay or go together, inputs and outputs apart.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnc.channels.couplings import Labels
from cnnc.channels.tracker import Tracker, repeated
from cnnc.ir import Node, Value
from cnnc.ops.opdef import broadcast_shapes


def conv(node: Node, tracker: Tracker) -> None:
    """x [N, C, ...], w [M, C/group, ...] -> [N, M, ...]."""
    attrs: Any = node.attrs
    if len(node.inputs) > 3 or not attrs.prologue.is_identity:
        tracker.pin_all(node, f"{node.name!r} has operands fused into it")
        return
    x, w = node.input(0), node.input(1)
    channels, rows = _input_channels(node, tracker), tracker.axis(w, 0)
    if attrs.group == 1:
        tracker.give_axis(w, 1, channels)
        _read(node, tracker, channels, 1)
    elif channels is None or rows is None:
        _keep_groups(node, tracker, channels, rows)
    elif goes_by_groups(node):
        tracker.tie_runs(channels, attrs.group)
        tracker.tie_runs(rows, attrs.group)
        heads = (labels[:: len(labels) // attrs.group] for labels in (channels, rows))
        tracker.couplings.couple(*heads)
    else:
        tracker.tie(channels, attrs.group)
        tracker.tie(rows, attrs.group)
        tracker.give_axis(w, 1, channels[: len(channels) // attrs.group])
        _read(node, tracker, channels, 1)
    tracker.produce(node, 1, 0)
    _finish(node, tracker, tracker.axis(x, 0), rows)


def conv_transpose(node: Node, tracker: Tracker) -> None:
    """x [N, C, ...], w [C, M/group, ...] -> [N, M, ...]."""
    attrs: Any = node.attrs
    x, w = node.input(0), node.input(1)
    channels = _input_channels(node, tracker)
    tracker.give_axis(w, 0, channels)
    rows: Labels | None
    if attrs.group == 1:
        rows = tracker.axis(w, 1)
        _read(node, tracker, channels, 0)
        tracker.produce(node, 1, 1)
    elif channels is None:
        rows = None
        _keep_groups(node, tracker, tracker.axis(w, 1))
    elif goes_by_groups(node):
        tracker.tie_runs(channels, attrs.group)
        rows = repeated(channels[:: len(channels) // attrs.group], int(w.type.shape[1]))  # type: ignore[arg-type]
        tracker.produce(node, 1, 0)
    else:
        tracker.tie(channels, attrs.group)
        per_group = tracker.axis(w, 1)
        rows = None if per_group is None else np.tile(per_group, attrs.group)
        _read(node, tracker, channels, 0)
        tracker.produce(node, 1, 1)
    _finish(node, tracker, tracker.axis(x, 0), rows)


def goes_by_groups(node: Node) -> bool:
    """Whether a grouped layer loses whole groups; else every group loses as many channels."""
    attrs: Any = node.attrs
    channels = node.input(0).type.shape[1]
    return isinstance(channels, int) and channels // attrs.group <= attrs.group


def gemm(node: Node, tracker: Tracker) -> None:
    """A [M, K] (or [K, M]) times B [K, N] (or [N, K]), plus C that broadcasts to [M, N]."""
    attrs: Any = node.attrs
    a, b = node.input(0), node.input(1)
    inner, rows = (0, 1) if attrs.transA else (1, 0)
    depth, columns = (1, 0) if attrs.transB else (0, 1)
    _multiply(node, tracker, inner, depth)
    tracker.produce(node, 1, columns)
    result = [tracker.axis(a, rows), tracker.axis(b, columns)]
    addend = node.optional(2)
    if addend is not None:
        shift = 2 - len(addend.type.shape)
        for axis in range(len(addend.type.shape)):
            tracker.give_axis(addend, axis, result[axis + shift])
    tracker.give(node.output, result)


def matmul(node: Node, tracker: Tracker) -> None:
    """a [..., M, K] times b [..., K, N]; leading axes broadcast."""
    a, b = node.input(0), node.input(1)
    rank_a, rank_b = len(a.type.shape), len(b.type.shape)
    if rank_a < 2 or rank_b < 2:
        tracker.pin_all(node, f"matmul {node.name!r} multiplies a vector")
        return
    _multiply(node, tracker, rank_a - 1, rank_b - 2)
    tracker.produce(node, 1, rank_b - 1)
    lead = broadcast_labels(tracker, [(a, rank_a - 2), (b, rank_b - 2)])
    tracker.give(node.output, [*lead, tracker.axis(a, rank_a - 2), tracker.axis(b, rank_b - 1)])


def broadcast_labels(tracker: Tracker, operands: list[tuple[Value, int]]) -> list[Labels | None]:
    """Labels of the axes that the first ``rank`` axes of each (value, rank) broadcast to; they are coupled."""
    shape = broadcast_shapes(*(value.type.shape[:rank] for value, rank in operands))
    result: list[Labels | None] = []
    for position in range(len(shape)):
        axes = [(value, position - len(shape) + rank) for value, rank in operands]
        met = [(value, axis) for value, axis in axes if axis >= 0 and value.type.shape[axis] != 1]
        # Constants come last: they take the labels of what they meet.
        met.sort(key=lambda item: item[0].is_constant)
        labels = tracker.axis(*met[0]) if met else None
        for value, axis in met[1:]:
            tracker.give_axis(value, axis, labels)
        if labels is None:
            labels = next(
                (tracker.axis(*item) for item in met if not item[0].is_constant and tracker.axis(*item) is not None),
                None,
            )
        result.append(labels)
    return result


def _multiply(node: Node, tracker: Tracker, inner: int, depth: int) -> None:
    """Sum over axis ``inner`` of the first operand and ``depth`` of the second."""
    labels = tracker.axis(node.input(0), inner)
    tracker.give_axis(node.input(1), depth, labels)
    if labels is not None:
        tracker.read(node, (0, inner), (1, depth))


def _input_channels(node: Node, tracker: Tracker) -> Labels | None:
    for labels in tracker.axes(node.input(0))[2:]:
        tracker.pin(labels, f"{node.op} {node.name!r} slides along it")
    return tracker.axis(node.input(0), 1)


def _read(node: Node, tracker: Tracker, channels: Labels | None, axis: int) -> None:
    if channels is not None:
        tracker.read(node, (0, 1), (1, axis))


def _keep_groups(node: Node, tracker: Tracker, *found: Labels | None) -> None:
    for labels in found:
        tracker.pin(labels, f"{node.op} {node.name!r} has groups whose other side must stay")


def _finish(node: Node, tracker: Tracker, batch: Labels | None, rows: Labels | None) -> None:
    bias = node.optional(2)
    if bias is not None:
        tracker.give_axis(bias, 0, rows)
    tracker.give(node.output, [batch, rows, *[None] * (len(node.output.type.shape) - 2)])
