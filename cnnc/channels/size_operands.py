"""Operands that state sizes or indices, corrected for the channels that are left.

Where sizes are computed from shapes they mostly follow by themselves; only what then says something else is replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.channels.couplings import Labels
from cnnc.channels.rules_moves import padded_counts, sliced_axes
from cnnc.channels.tracker import Axes
from cnnc.dims import Dim
from cnnc.errors import ModelError
from cnnc.ir import Array, Node, Operands, Value
from cnnc.ir.attrs import Attrs
from cnnc.ops.content import known_axes
from cnnc.ops.reshaping import DimsAttrs, reshaped

AxesOf = Callable[[Value], Axes]
Kept = Callable[[Labels], NDArray[np.int64]]
Corrections = dict[int, "Array | Attrs"]
"""By input position: an array, or the attributes of a ``dims`` node."""


def stated_sizes(node: Node, operands: Sequence[Value | None], axes: AxesOf, kept: Kept) -> Corrections:
    """What operands of the shrunk node must say instead of what they say.

    Args:
        node: of the graph with all channels.
        operands: of the shrunk node.
        axes: labels of the axes of a value of the graph with all channels.
        kept: which indices of an axis stay.
    """
    correct = _BY_OP.get(node.op)
    carries = any(
        labels is not None and len(kept(labels)) < len(labels)
        for value in (*node.inputs, *node.outputs)
        if value is not None
        for labels in axes(value)
    )
    return correct(node, operands, axes, kept) if correct is not None and carries else {}


def _shape(value: Value, axes: AxesOf, kept: Kept) -> list[Dim]:
    """The shape with the channels that are left."""
    return [
        size if labels is None else len(kept(labels))
        for size, labels in zip(value.type.shape, axes(value), strict=True)
    ]


def _array(dims: Sequence[Dim]) -> Array | Attrs:
    if all(isinstance(dim, int) for dim in dims):
        return np.array(dims, np.int64)
    return DimsAttrs(tuple(dims))


def _reshape(node: Node, operands: Sequence[Value | None], axes: AxesOf, kept: Kept) -> Corrections:
    attrs: Any = node.attrs
    wanted = _shape(node.output, axes, kept)
    x, target = operands[0], operands[1]
    assert x is not None and target is not None
    sizes = target.fact.sizes()
    if sizes is not None and _reshapes_to(x, sizes, attrs.allowzero, wanted):
        return {}
    open_sizes = [axis for axis, size in enumerate(wanted) if not isinstance(size, int)]
    written: list[Dim] = list(wanted)
    for axis in open_sizes:
        if not attrs.allowzero and axis < len(x.type.shape) and x.type.shape[axis] == wanted[axis]:
            written[axis] = 0
    left = [axis for axis in open_sizes if written[axis] != 0]
    if len(left) == 1:
        written[left[0]] = -1
    return {1: _array(written)}


def _reshapes_to(x: Value, sizes: tuple[Dim, ...], allowzero: int, wanted: list[Dim]) -> bool:
    try:
        return list(reshaped(x.fact, sizes, allowzero)) == wanted
    except ModelError:
        return False


def _expand(node: Node, operands: Sequence[Value | None], axes: AxesOf, kept: Kept) -> Corrections:
    wanted = _shape(node.output, axes, kept)
    x, target = operands[0], operands[1]
    assert x is not None and target is not None
    sizes = target.fact.sizes()
    if sizes is not None:
        shift = len(wanted) - len(sizes)
        before = node.input(1).fact.sizes()
        # A size of 1 means the operand's own.
        fits = before is not None and all(
            size == wanted[shift + axis] or (size == 1 and old == 1)
            for axis, (size, old) in enumerate(zip(sizes, before))
        )
        if fits:
            return {}
    return {1: _array(wanted)}


def _constant_of_shape(node: Node, operands: Sequence[Value | None], axes: AxesOf, kept: Kept) -> Corrections:
    wanted = _shape(node.output, axes, kept)
    assert operands[0] is not None
    sizes = operands[0].fact.sizes()
    return {} if sizes is not None and list(sizes) == wanted else {0: _array(wanted)}


def _resize(node: Node, operands: Sequence[Value | None], axes: AxesOf, kept: Kept) -> Corrections:
    attrs: Any = node.attrs
    stated = operands[3] if len(operands) > 3 else None
    if stated is None or stated.type.shape == (0,):
        return {}
    wanted = _shape(node.output, axes, kept)
    listed = [wanted[axis] for axis in attrs.axes] or wanted
    sizes = stated.fact.sizes()
    return {} if sizes is not None and list(sizes) == listed else {3: _array(listed)}


def _split(node: Node, operands: Sequence[Value | None], axes: AxesOf, kept: Kept) -> Corrections:
    attrs: Any = node.attrs
    along = attrs.axis % len(node.input(0).type.shape)
    if axes(node.input(0))[along] is None:
        return {}
    wanted = [_shape(value, axes, kept)[along] for value in node.outputs]
    stated = operands[1] if len(operands) > 1 else None
    says = len(set(wanted)) == 1 if stated is None else stated.fact.sizes() == tuple(wanted)
    return {} if says else {1: _array(wanted)}


def _slice(node: Node, operands: Sequence[Value | None], axes: AxesOf, kept: Kept) -> Corrections:
    rank = len(node.input(0).type.shape)
    before, after = sliced_axes(node.inputs, rank), sliced_axes(operands, rank)
    facts = Operands([None if value is None else value.fact for value in operands])
    starts, ends = facts.need(1).sizes(), facts.need(2).sizes()
    if before is None or starts is None or ends is None:
        return {}
    listed = known_axes(facts, 3, rank) or tuple(range(len(starts)))
    first, last = list(starts), list(ends)
    for index, axis in enumerate(listed):
        labels, old = axes(node.input(0))[axis], before[axis]
        if labels is None or old is None:
            continue
        stays = kept(labels)
        inside = range(len(labels))[old]
        low, high = (int(np.searchsorted(stays, limit)) for limit in (inside.start, max(inside.start, inside.stop)))
        now = None if after is None else after[axis]
        if now is None or range(len(stays))[now] != range(low, high):
            first[index], last[index] = low, high
    changed: Corrections = {}
    for position, stated, wanted in ((1, starts, first), (2, ends, last)):
        if list(stated) != wanted:
            changed[position] = _array(wanted)
    return changed


def _pad(node: Node, operands: Sequence[Value | None], axes: AxesOf, kept: Kept) -> Corrections:
    rank = len(node.input(0).type.shape)
    counts = padded_counts(node.inputs, rank)
    facts = Operands([None if value is None else value.fact for value in operands])
    stated = facts.need(1).sizes()
    if counts is None or stated is None:
        return {}
    listed = known_axes(facts, 3, rank) or tuple(range(rank))
    wanted = list(stated)
    for index, axis in enumerate(listed):
        labels, count = axes(node.output)[axis], counts[axis]
        if labels is None or count is None:
            continue
        wanted[index] = len(kept(labels[: count[0]]))
        wanted[index + len(listed)] = len(kept(labels[len(labels) - count[1] :]))
    return {} if list(stated) == wanted else {1: _array(wanted)}


def _gather(node: Node, operands: Sequence[Value | None], axes: AxesOf, kept: Kept) -> Corrections:
    attrs: Any = node.attrs
    along = attrs.axis % len(node.input(0).type.shape)
    labels, indices = axes(node.input(0))[along], node.input(1).fact.array
    if labels is None or indices is None or indices.ndim != 1 or axes(node.output)[along] is None:
        return {}
    places = np.full(len(labels), -1)
    stays = kept(labels)
    places[stays] = np.arange(len(stays))
    moved = places[indices.astype(np.int64)]
    return {1: moved[moved >= 0].astype(indices.dtype)}


_BY_OP: dict[str, Callable[[Node, Sequence[Value | None], AxesOf, Kept], Corrections]] = {
    "reshape": _reshape,
    "expand": _expand,
    "constant_of_shape": _constant_of_shape,
    "resize": _resize,
    "split": _split,
    "slice": _slice,
    "pad": _pad,
    "gather": _gather,
}
