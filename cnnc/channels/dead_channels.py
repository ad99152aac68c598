"""Channels that a result does not depend on: all that reads them multiplies them by 0, or they are 0."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cnnc.channels.constant_channels import Numbers, channel_axis, constant_channels
from cnnc.channels.dependencies import Dependencies
from cnnc.channels.tracker import Reading
from cnnc.ir import Array, Graph, Value

_FIRST_ELEMENTS = 64
"""Of weights of which 90 % are 0, 0.1 % of all slices begin with so many zeros."""

_LAYERS = frozenset({"conv", "conv_transpose", "gemm", "matmul"})


def may_have_dead_channels(graph: Graph) -> bool:
    """Whether any layer's weights have a slice of zeros: without one no channel is dead. Quick for dense weights."""
    weights = {node.input(1) for node in graph.nodes if node.op in _LAYERS}
    return any(
        value.array is not None and value.array.ndim >= 2 and any(_has_zero_slice(value.array, axis) for axis in (0, 1))
        for value in weights
    )


def _has_zero_slice(array: Array, axis: int) -> bool:
    """Slices are only read as a whole where they begin with zeros."""
    slices = np.moveaxis(array, axis, 0)
    candidates = np.arange(len(slices) if array.size else 0)
    for position in itertools.islice(np.ndindex(slices.shape[1:]), _FIRST_ELEMENTS):
        candidates = candidates[slices[(candidates, *position)] == 0]
        if not len(candidates):
            return False
    return any(not slices[index].any() for index in candidates.tolist())


def dead_classes(found: Dependencies) -> NDArray[np.int64]:
    """Classes of channels of layers that can go and that no result depends on, as long as all tensors are finite."""
    numbers = constant_channels(found)
    alive = np.zeros(found.couplings.count, bool)
    for reading in found.readings:
        _mark_alive(found, reading, numbers, alive)
    produced = [labels for source in found.sources if (labels := found.source_labels(source)) is not None]
    roots = np.unique(found.couplings.roots(np.concatenate([np.zeros(0, np.int64), *produced])))
    dead = roots[~alive[roots]]
    return dead[~found.couplings.pinned(dead)]


def _mark_alive(
    found: Dependencies, reading: Reading, numbers: Mapping[Value, Numbers], alive: NDArray[np.bool_]
) -> None:
    """Set the classes that the reading takes something of: they are not 0, and neither are their weights."""
    unread = [_zero_classes(found, reading, index, numbers) for index in range(len(reading.operands))]
    position, axis = reading.operands[0]
    labels = found.axes(reading.node.input(position))[axis]
    if labels is None:
        return
    roots = np.unique(found.couplings.roots(labels))
    for zeros in unread:
        roots = np.setdiff1d(roots, zeros, assume_unique=True)
    alive[roots] = True


def _zero_classes(
    found: Dependencies, reading: Reading, index: int, numbers: Mapping[Value, Numbers]
) -> NDArray[np.int64]:
    """Classes that are 0 everywhere in an operand of a reading."""
    position, axis = reading.operands[index]
    value = reading.node.input(position)
    labels = found.axes(value)[axis]
    if labels is None:
        return np.zeros(0, np.int64)
    if value.array is not None:
        zeros = ~value.array.any(axis=tuple(other for other in range(value.array.ndim) if other != axis))
    elif value in numbers and channel_axis(found, value) == axis:
        zeros = numbers[value] == 0
    else:
        return np.zeros(0, np.int64)
    roots = found.couplings.roots(labels)
    return np.setdiff1d(roots[zeros], roots[~zeros])
