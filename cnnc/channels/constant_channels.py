"""Channels whose elements are all one number, whatever the input: what a filter of zeros makes, and what follows.

Inputs are taken to be finite: 0 times infinity is not followed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.channels.dependencies import Dependencies
from cnnc.ir import Array, Node, Value
from cnnc.ops import OPS

Numbers = NDArray[np.float64]
"""Along the channel axis of a value; NaN where the elements are not known to be equal."""

_KEEP_ZEROS = frozenset(
    {
        "average_pool",
        "channel_shuffle",
        "concat",
        "depth_to_space",
        "dropout",
        "flatten",
        "gather",
        "global_average_pool",
        "global_lp_pool",
        "global_max_pool",
        "identity",
        "lp_pool",
        "max_pool",
        "reshape",
        "slice",
        "space_to_depth",
        "split",
        "squeeze",
        "transpose",
        "unsqueeze",
    }
)
"""Ops that make zeros of zeros and move channels, at most."""


def constant_channels(found: Dependencies) -> Mapping[Value, Numbers]:
    """The numbers of each value that has some; it then has one labelled axis, see ``channel_axis``."""
    numbers: dict[Value, Numbers] = {}
    for node in found.graph.nodes:
        axis = channel_axis(found, node.output)
        if axis is None:
            continue
        made: Numbers | None = None
        if node.op == "conv":
            made = _conv(node, numbers)
        elif node.op == "gemm":
            made = _gemm(node, numbers)
        elif OPS[node.op].elementwise:
            made = _elementwise(node, axis, numbers, found)
        elif node.op in _KEEP_ZEROS:
            for value in node.outputs:
                _keep(found, numbers, value, _moved_zeros(found, node, value, numbers))
            continue
        _keep(found, numbers, node.output, made)
    return numbers


def channel_axis(found: Dependencies, value: Value) -> int | None:
    """The one axis that carries channels; None where several or none do."""
    carrying = [axis for axis, labels in enumerate(found.axes(value)) if labels is not None]
    return carrying[0] if len(carrying) == 1 else None


def _keep(found: Dependencies, numbers: dict[Value, Numbers], value: Value, made: Numbers | None) -> None:
    if made is not None and not np.isnan(made).all() and channel_axis(found, value) is not None:
        numbers[value] = made


def _zeros(value: Value, size: int, numbers: Mapping[Value, Numbers]) -> NDArray[np.bool_]:
    return numbers[value] == 0 if value in numbers else np.zeros(size, bool)


def _conv(node: Node, numbers: Mapping[Value, Numbers]) -> Numbers | None:
    """A filter whose weights are all 0, or only meet channels of zeros, makes its bias."""
    attrs: Any = node.attrs
    weights, bias = node.input(1).array, node.optional(2)
    if weights is None or not attrs.activation.is_identity or (bias is not None and bias.array is None):
        return None
    group, rows = attrs.group, len(weights)
    dead = _zeros(node.input(0), weights.shape[1] * group, numbers).reshape(group, 1, -1)
    reads = _any_nonzero(weights, 2).reshape(group, rows // group, -1)
    silent = ~(reads & ~dead).any(axis=2).reshape(rows)
    values = np.zeros(rows) if bias is None or bias.array is None else bias.array.astype(np.float64)
    return np.where(silent, values, np.nan)


def _gemm(node: Node, numbers: Mapping[Value, Numbers]) -> Numbers | None:
    attrs: Any = node.attrs
    weights, addend = node.input(1).array, node.optional(2)
    if weights is None or attrs.transA or not attrs.activation.is_identity:
        return None
    columns = weights.T if attrs.transB else weights
    values = np.zeros(columns.shape[1])
    if addend is not None:
        if addend.array is None or addend.array.ndim != 1:
            return None
        values = values + attrs.beta * addend.array.astype(np.float64)
    dead = _zeros(node.input(0), len(columns), numbers)
    silent = ~((columns != 0) & ~dead[:, None]).any(axis=0)
    return np.where(silent, values, np.nan)


def _any_nonzero(weights: Array, axes: int) -> NDArray[np.bool_]:
    """Whether any element behind the first ``axes`` axes is not 0."""
    return np.asarray(weights.reshape(*weights.shape[:axes], -1).any(axis=axes))


def _elementwise(node: Node, axis: int, numbers: Mapping[Value, Numbers], found: Dependencies) -> Numbers | None:
    """The op on one element a channel; of unknown ones only products with 0 are known."""
    rank, size = len(node.output.type.shape), node.output.type.shape[axis]
    if not isinstance(size, int) or len(node.outputs) != 1 or not node.output.type.dtype.is_float:
        return None
    if not any(value in numbers for value in node.inputs if value is not None):
        return None
    operands: list[NDArray[Any] | None] = []
    known = np.ones(size, bool)
    zero = np.zeros(size, bool)
    for value in node.inputs:
        if value is None:
            operands.append(None)
            continue
        row = _row(value, axis - rank + len(value.type.shape), size, numbers)
        known &= ~np.isnan(row)
        zero |= row == 0
        is_scalar = value.array is not None and value.array.ndim == 0
        operands.append(value.array if is_scalar else row.astype(value.type.dtype.numpy))
    if node.op == "mul" and not known.all():
        return np.where(zero, 0.0, np.nan)
    (result,) = OPS[node.op].reference(node.attrs, operands)
    return np.where(known, np.broadcast_to(result, (size,)).astype(np.float64), np.nan)


def _row(value: Value, axis: int, size: int, numbers: Mapping[Value, Numbers]) -> Numbers:
    """An operand's number for each channel of the result; NaN where it is unknown or not one."""
    unknown = np.full(size, np.nan)
    if value.array is not None:
        others = value.array.size // (value.array.shape[axis] if axis >= 0 else 1)
        return np.broadcast_to(value.array.reshape(-1).astype(np.float64), (size,)) if others == 1 else unknown
    found = numbers.get(value)
    return found if found is not None and len(found) == size else unknown


def _moved_zeros(found: Dependencies, node: Node, value: Value, numbers: Mapping[Value, Numbers]) -> Numbers | None:
    """Where a result only has channels of zeros: those of a class that is 0 in every operand that has it."""
    axis = channel_axis(found, value)
    labels = None if axis is None else found.axes(value)[axis]
    operands = [operand for operand in node.inputs if operand is not None and _labels(found, operand) is not None]
    if labels is None or not any(operand in numbers for operand in operands):
        return None
    is_zero, is_other = np.zeros(found.couplings.count, bool), np.zeros(found.couplings.count, bool)
    for operand in operands:
        carried = _labels(found, operand)
        assert carried is not None
        roots = found.couplings.roots(carried)
        zeros = _zeros(operand, len(roots), numbers)
        is_zero[roots[zeros]] = True
        is_other[roots[~zeros]] = True
    roots = found.couplings.roots(labels)
    return np.where(is_zero[roots] & ~is_other[roots], 0.0, np.nan)


def _labels(found: Dependencies, value: Value) -> NDArray[np.int64] | None:
    axis = channel_axis(found, value)
    return None if axis is None else found.axes(value)[axis]
