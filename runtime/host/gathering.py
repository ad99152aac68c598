"""Elements taken from or put to places that a tensor names. Negative indices count from the end."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.errors import InputError
from cnnc.runtime.host.precision import halves_in_float32

Array = NDArray[Any]


def _check(op: str, indices: Array, extent: int) -> None:
    """Refuse an index outside -extent..extent-1."""
    if indices.size and (indices.min() < -extent or indices.max() >= extent):
        worst = indices.max() if indices.max() >= extent else indices.min()
        raise InputError(f"{op}: index {int(worst)} is outside an axis of size {extent}")


def gather(data: Array, indices: Array, *, axis: int = 0) -> Array:
    """Slices of ``data`` along the axis; the indices' axes take that axis's place."""
    _check("gather", indices, data.shape[axis])
    return np.take(data, indices, axis)


def gather_elements(data: Array, indices: Array, *, axis: int = 0) -> Array:
    """result[i, j, ...] = data[i, indices[i, j, ...], ...] for axis 1, and so on."""
    _check("gather_elements", indices, data.shape[axis])
    return np.asarray(data[_element_places(indices, axis)])


def gather_nd(data: Array, indices: Array, *, batch_dims: int = 0) -> Array:
    """Slices of ``data`` whose leading places (after the batch axes) are the last axis of ``indices``."""
    depth = indices.shape[-1]
    for i in range(depth):
        _check("gather_nd", indices[..., i], data.shape[batch_dims + i])
    places = indices.shape[:-1]
    batch: tuple[Array, ...] = np.indices(places[:batch_dims], sparse=True)
    tail = (1,) * (len(places) - batch_dims)
    index = [grid.reshape(grid.shape + tail) for grid in batch] + [indices[..., i] for i in range(depth)]
    return np.asarray(data[tuple(index)])


def scatter_elements(data: Array, indices: Array, updates: Array, *, axis: int = 0, reduction: str = "none") -> Array:
    """``data`` with the element at each place (as in gather_elements) replaced by, or reduced with, an update."""
    _check("scatter_elements", indices, data.shape[axis])
    return _scatter(data, _element_places(indices, axis), updates, reduction)


def scatter_nd(data: Array, indices: Array, updates: Array, *, reduction: str = "none") -> Array:
    """``data`` with the slice at each place (as in gather_nd) replaced by, or reduced with, an update."""
    for i in range(indices.shape[-1]):
        _check("scatter_nd", indices[..., i], data.shape[i])
    return _scatter(data, tuple(np.moveaxis(indices, -1, 0)), updates, reduction)


def _element_places(indices: Array, axis: int) -> tuple[Array, ...]:
    places: list[Array] = list(np.indices(indices.shape, sparse=True))
    places[axis] = indices
    return tuple(places)


def _scatter(data: Array, places: tuple[Array, ...], updates: Array, reduction: str) -> Array:
    if reduction == "none":
        result = data.copy()
        result[places] = updates
        return result
    return _accumulate(data, updates, places=places, reduction=reduction)


@halves_in_float32
def _accumulate(data: Array, updates: Array, *, places: tuple[Array, ...], reduction: str) -> Array:
    result = data.copy()
    match reduction:
        case "add":
            np.add.at(result, places, updates)
        case "mul":
            np.multiply.at(result, places, updates)
        case "max":
            np.maximum.at(result, places, updates)
        case _:
            np.minimum.at(result, places, updates)
    return result


def reverse_sequence(x: Array, lengths: Array, *, batch_axis: int = 1, time_axis: int = 0) -> Array:
    """The first lengths[b] time steps of each batch element b in reverse order, the rest as it was."""
    extent = x.shape[time_axis]
    if lengths.size and (lengths.min() < 0 or lengths.max() > extent):
        raise InputError(f"reverse_sequence: a length lies outside 0..{extent}")
    time = np.arange(extent)[:, None]
    source = np.where(time < lengths, lengths - 1 - time, time)
    if time_axis > batch_axis:
        source = source.T
    extents = [1] * x.ndim
    extents[time_axis], extents[batch_axis] = extent, x.shape[batch_axis]
    return np.take_along_axis(x, source.reshape(extents), time_axis)
