"""Ops whose result is chosen by the values: top_k, unique, non_zero, compress."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.errors import InputError
from cnnc.runtime.host.precision import widen

Array = NDArray[Any]


def top_k(x: Array, k: Array, *, axis: int = -1, largest: int = 1, sorted: int = 1) -> tuple[Array, Array]:
    """The k largest (or smallest) elements along the axis and their int64 indices, in order; ties: lower index first.

    ``sorted=0`` allows any order, and gets the sorted one.
    """
    count, extent = int(k.reshape(())), x.shape[axis]
    if not 0 <= count <= extent:
        raise InputError(f"top_k: k is {count} on an axis of size {extent}")
    keys = widen(x)
    if largest:
        # An ascending stable sort of the reversed axis, reversed again, is descending with ties in index order.
        order = extent - 1 - np.flip(np.argsort(np.flip(keys, axis), axis=axis, kind="stable"), axis)
    else:
        order = np.argsort(keys, axis=axis, kind="stable")
    chosen = np.take(order, np.arange(count), axis).astype(np.int64)
    return np.take_along_axis(x, chosen, axis), chosen


def unique(x: Array, *, axis: int | None = None, sorted: int = 1) -> tuple[Array, Array, Array, Array]:
    """Distinct elements (or slices along the axis), first index of each, index into them of each element, counts.

    They come in ascending order, or in order of first appearance with ``sorted=0``.
    """
    values, first, inverse, counts = np.unique(x, return_index=True, return_inverse=True, return_counts=True, axis=axis)
    inverse = inverse.reshape(-1)
    if not sorted:
        order = np.argsort(first, kind="stable")
        rank = np.empty_like(order)
        rank[order] = np.arange(order.size)
        values = np.take(values, order, 0 if axis is None else axis)
        first, inverse, counts = first[order], rank[inverse], counts[order]
    return values, first.astype(np.int64), inverse.astype(np.int64), counts.astype(np.int64)


def non_zero(x: Array) -> Array:
    """[rank, count]: the indices of all non-zero elements in row-major order; [0, 0 or 1] for a scalar."""
    if x.ndim == 0:
        return np.zeros((0, int(bool(x))), np.int64)
    return np.array(np.nonzero(x), np.int64)


def compress(x: Array, condition: Array, *, axis: int | None = None) -> Array:
    """The elements (or slices along the axis) whose condition holds; a condition may be shorter than the axis."""
    extent = x.size if axis is None else x.shape[axis]
    if condition.shape[0] > extent:
        raise InputError(f"compress: {condition.shape[0]} conditions for {extent} elements")
    return np.compress(condition, x, axis)
