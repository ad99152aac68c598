"""Pools: windows (max, average, Lp), global ones, and max unpooling."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.errors import InputError
from cnnc.runtime.host.precision import widen
from cnnc.runtime.host.window import Window, numbers, pad_for, resolve_window, tap_view

Array = NDArray[Any]


def max_pool(
    x: Array,
    *,
    kernel_shape: Sequence[int],
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: Sequence[int] = (),
    pads: Sequence[int] = (),
    storage_order: int = 0,
    strides: Sequence[int] = (),
) -> tuple[Array, Array]:
    """The largest element of each window of x [N, C, spatial...], and its index in the flattened ``x`` (int64).

    Padding never wins, not even over -inf. NaN wins over everything. Of equal elements the first counts. With
    ``storage_order`` 1 the spatial part of an index counts column-major.
    """
    window = resolve_window(x.shape[2:], kernel_shape, strides, dilations, pads, auto_pad, bool(ceil_mode))
    lowest = -np.inf if x.dtype.kind not in "iu" else int(np.iinfo(x.dtype).min)
    padded = pad_for(x, window, lowest)
    spatial = x.shape[2:]
    places = np.arange(int(np.prod(spatial))).reshape(spatial, order="F" if storage_order else "C")
    padded_places = pad_for(places[None, None], window, -1)
    taps = _taps(window)
    best = tap_view(padded, window, taps[0]).copy()
    index = np.broadcast_to(tap_view(padded_places, window, taps[0]), best.shape).copy()
    for tap in taps[1:]:
        value, place = tap_view(padded, window, tap), tap_view(padded_places, window, tap)
        better = (value > best) | ((index < 0) & (place >= 0))
        if x.dtype.kind not in "iu":
            better |= np.isnan(value) & ~np.isnan(best)
        np.copyto(best, value, where=better)
        np.copyto(index, np.broadcast_to(place, index.shape), where=better)
    planes = np.arange(x.shape[0] * x.shape[1]).reshape(x.shape[:2] + (1,) * len(spatial))
    return best, index + planes * int(np.prod(spatial))


def average_pool(
    x: Array,
    *,
    kernel_shape: Sequence[int],
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    count_include_pad: int = 0,
    dilations: Sequence[int] = (),
    pads: Sequence[int] = (),
    strides: Sequence[int] = (),
) -> Array:
    """The mean of each window of x [N, C, spatial...].

    The divisor counts elements of ``x``, with ``count_include_pad`` those of the padding too, but never what ceil_mode
    reaches beyond the padding.
    """
    window = resolve_window(x.shape[2:], kernel_shape, strides, dilations, pads, auto_pad, bool(ceil_mode))
    total, counts = window_sums(widen(x), window, bool(count_include_pad))
    with np.errstate(invalid="ignore", divide="ignore"):
        return (total / counts.astype(total.dtype)).astype(x.dtype)


def window_sums(x: Array, window: Window, count_include_pad: bool) -> tuple[Array, Array]:
    """The sum of each window of x [N, C, spatial...], and the divisor of its mean [output...], int64."""
    return _sum_taps(x, window), _counts(x.shape[2:], window, count_include_pad)


def lp_pool(
    x: Array,
    *,
    kernel_shape: Sequence[int],
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: Sequence[int] = (),
    p: int = 2,
    pads: Sequence[int] = (),
    strides: Sequence[int] = (),
) -> Array:
    """(sum of |x|^p)^(1/p) over each window of x [N, C, spatial...]."""
    window = resolve_window(x.shape[2:], kernel_shape, strides, dilations, pads, auto_pad, bool(ceil_mode))
    return _root(_sum_taps(_power(widen(x), p), window), p).astype(x.dtype, copy=False)


def global_average_pool(x: Array) -> Array:
    """The mean over all spatial axes of x [N, C, spatial...], which stay with size 1."""
    return widen(x).mean(axis=_spatial(x), keepdims=True).astype(x.dtype, copy=False)


def global_max_pool(x: Array) -> Array:
    """The maximum over all spatial axes of x [N, C, spatial...], which stay with size 1."""
    return np.max(x, axis=_spatial(x), keepdims=True)


def global_lp_pool(x: Array, *, p: int = 2) -> Array:
    """(sum of |x|^p)^(1/p) over all spatial axes of x [N, C, spatial...], which stay with size 1."""
    return _root(_power(widen(x), p).sum(axis=_spatial(x), keepdims=True), p).astype(x.dtype, copy=False)


def max_unpool(
    x: Array,
    indices: Array,
    output_shape: Array | None = None,
    *,
    kernel_shape: Sequence[int],
    pads: Sequence[int] = (),
    strides: Sequence[int] = (),
) -> Array:
    """Each element of x at the place that max_pool took it from, zeros elsewhere.

    Indices refer to the tensor whose size follows from the window; a larger ``output_shape`` is filled from its front
    corner (the ONNX reference implementation).

    Raises:
        InputError: an index outside.
    """
    rank = x.ndim - 2
    steps = tuple(strides) or (1,) * rank
    margins = tuple(pads) or (0,) * (2 * rank)
    inferred = x.shape[:2] + tuple(
        (x.shape[i + 2] - 1) * steps[i] + kernel_shape[i] - margins[i] - margins[rank + i] for i in range(rank)
    )
    flat = np.zeros(int(np.prod(inferred)), x.dtype)
    if indices.size and not (indices.min() >= 0 and indices.max() < flat.size):
        raise InputError(f"max_unpool has indices {indices.min()} to {indices.max()} for {flat.size} elements")
    flat[indices.reshape(-1)] = x.reshape(-1)
    y = flat.reshape(inferred)
    if output_shape is None or tuple(output_shape.tolist()) == inferred:
        return y
    result = np.zeros(tuple(output_shape.tolist()), x.dtype)
    result[tuple(slice(0, size) for size in inferred)] = y
    return result


def _taps(window: Window) -> list[tuple[int, ...]]:
    return list(itertools.product(*(range(size) for size in numbers(window.kernel))))


def _sum_taps(x: Array, window: Window) -> Array:
    padded = pad_for(x, window, 0)
    total = np.zeros(x.shape[:2] + numbers(window.output), x.dtype)
    for tap in _taps(window):
        total += tap_view(padded, window, tap)
    return total


def _counts(spatial: Sequence[int], window: Window, include_pad: bool) -> Array:
    """How many taps of each window position count: [output...]."""
    counts: Array = np.ones((), np.int64)
    begins, ends, kernel, output = map(numbers, (window.begins, window.ends, window.kernel, window.output))
    for axis, size in enumerate(spatial):
        starts = np.arange(output[axis]) * window.strides[axis] - begins[axis]
        taps = starts[:, None] + np.arange(kernel[axis]) * window.dilations[axis]
        low, high = (-begins[axis], size + ends[axis]) if include_pad else (0, size)
        counts = counts[..., None] * ((taps >= low) & (taps < high)).sum(axis=1)
    return counts


def _power(x: Array, p: int) -> Array:
    return x * x if p == 2 else np.abs(x) ** p


def _root(x: Array, p: int) -> Array:
    return np.sqrt(x) if p == 2 else x ** x.dtype.type(1 / p)


def _spatial(x: Array) -> tuple[int, ...]:
    return tuple(range(2, x.ndim))
