"""Parts of tensors and tensors put together: slice, split, concat, tile, pad."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.errors import InputError

Array = NDArray[Any]


def concat(*arrays: Array, axis: int) -> Array:
    """The inputs one after another along the axis."""
    return np.concatenate(arrays, axis)


def split(x: Array, sizes: Array | None = None, *, axis: int = 0, num_outputs: int | None = None) -> tuple[Array, ...]:
    """Pieces of the given sizes along the axis, or ``num_outputs`` equal ones of which the last may be smaller."""
    extent = x.shape[axis]
    if sizes is not None:
        pieces = [int(size) for size in sizes]
        if sum(pieces) != extent:
            raise InputError(f"split sizes {pieces} do not add up to {extent}")
    else:
        count = num_outputs or 1
        piece = -(-extent // count)
        pieces = [min(piece, max(extent - i * piece, 0)) for i in range(count)]
    return tuple(np.split(x, np.cumsum(pieces)[:-1], axis))


def tile(x: Array, repeats: Array) -> Array:
    """x repeated along each axis."""
    counts = [int(count) for count in repeats]
    if any(count < 0 for count in counts):
        raise InputError(f"tile: {counts} has a negative count")
    return np.tile(x, counts)


# slice is the op's name; the builtin of that name is written out below.
_Slice = slice


def slice(x: Array, starts: Array, ends: Array, axes: Array | None = None, steps: Array | None = None) -> Array:
    """x[start:end:step] on each listed axis; limits beyond the axis are moved to its ends.

    Unlike NumPy, ONNX moves a start before the axis to its first element when stepping backwards, too.
    """
    chosen = range(len(starts)) if axes is None else [int(axis) for axis in axes]
    strides = [1] * len(starts) if steps is None else [int(step) for step in steps]
    index: list[Any] = [_Slice(None)] * x.ndim
    for axis, start, end, step in zip(chosen, starts, ends, strides):
        index[axis] = _clamped(int(start), int(end), step, x.shape[axis])
    return x[tuple(index)]


def _clamped(start: int, end: int, step: int, extent: int) -> Any:
    if step == 0:
        raise InputError("slice has a step of 0")
    start += extent if start < 0 else 0
    end += extent if end < 0 else 0
    if step > 0:
        return _Slice(min(max(start, 0), extent), min(max(end, 0), extent), step)
    start = min(max(start, 0), extent - 1)
    end = min(max(end, -1), extent - 1)
    if start <= end:
        return _Slice(0, 0, 1)
    return _Slice(start, None if end < 0 else end, step)


def pad(
    x: Array, pads: Array, value: Array | None = None, axes: Array | None = None, *, mode: str = "constant"
) -> Array:
    """x with elements added (or, for negative counts, cut off) before and after each listed axis.

    Args:
        x: any tensor.
        pads: counts before each listed axis, then counts after each.
        value: the element of mode constant; 0 where absent.
        axes: the axes that ``pads`` speaks of; all where absent.
        mode: constant; edge repeats the border; reflect mirrors without repeating the border; wrap goes round.
    """
    chosen = [axis % x.ndim for axis in (range(x.ndim) if axes is None else (int(axis) for axis in axes.reshape(-1)))]
    counts = [int(count) for count in pads]
    around = {axis: (counts[i], counts[len(chosen) + i]) for i, axis in enumerate(chosen)}
    for axis, (before, after) in around.items():
        if x.shape[axis] + before + after < 0:
            raise InputError(f"pad cuts more than the {x.shape[axis]} elements of axis {axis} off")
    if mode == "constant":
        return _pad_constant(x, around, np.zeros((), x.dtype) if value is None else value.reshape(()))
    for axis, (before, after) in around.items():
        source = np.arange(-before, x.shape[axis] + after)
        if source.size and not x.shape[axis]:
            raise InputError(f"pad mode {mode} has nothing to repeat along the empty axis {axis}")
        x = np.take(x, _source(source, x.shape[axis], mode), axis)
    return x


def _pad_constant(x: Array, around: dict[int, tuple[int, int]], value: Array) -> Array:
    extents = list(x.shape)
    target: list[Any] = [_Slice(None)] * x.ndim
    source: list[Any] = [_Slice(None)] * x.ndim
    for axis, (before, after) in around.items():
        extents[axis] += before + after
        first, last = max(-before, 0), x.shape[axis] - max(-after, 0)
        source[axis] = _Slice(first, max(last, first))
        target[axis] = _Slice(first + before, max(last, first) + before)
    result = np.full(extents, value, x.dtype)
    result[tuple(target)] = x[tuple(source)]
    return result


def _source(place: Array, extent: int, mode: str) -> Array:
    """Which element along an axis of ``extent`` each place (0 is the first element) takes."""
    if mode == "edge":
        return np.clip(place, 0, extent - 1)
    if mode == "wrap":
        return place % max(extent, 1)
    if extent <= 1:
        return np.zeros_like(place)
    period = 2 * (extent - 1)
    folded = place % period
    return np.minimum(folded, period - folded)
