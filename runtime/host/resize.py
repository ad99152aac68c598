"""Resize: separable interpolation, one axis after the other, each as a short sum of weighted gathers.

Source: the ONNX specification of Resize (opset 19) and its reference implementation. onnxruntime departs from them in
align_corners after a fractional ``scales`` (there the specification divides by the fractional length minus one).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.dims import Dim
from cnnc.runtime.host.precision import widen

Array = NDArray[Any]

_MAX_DENOMINATOR = 64


def scaled_size(size: Dim, scale: float) -> Dim | None:
    """floor(size * scale) for a float32 ``scale``; None where that is not an expression of a symbolic size.

    A scale that is the float32 nearest to p/q with a small q counts as p/q: 10 * 0.7 is 7, although float32's 0.7 is
    less than that. This is what the product comes to in float32, too.
    """
    ratio = Fraction(scale).limit_denominator(_MAX_DENOMINATOR)
    if np.float32(float(ratio)) == np.float32(scale):
        return (size * ratio.numerator) // ratio.denominator
    return math.floor(np.float32(size) * np.float32(scale)) if isinstance(size, int) else None


def kept_aspect_scale(sizes: Sequence[int], lengths: Sequence[int], policy: str) -> float:
    """The one scale of all resized axes under ``keep_aspect_ratio_policy`` not_larger or not_smaller."""
    scales = [size / length for size, length in zip(sizes, lengths)]
    return min(scales) if policy == "not_larger" else max(scales)


def round_half_up(value: float) -> int:
    """The nearest integer, halves up: how a kept aspect ratio rounds its sizes."""
    return math.floor(value + 0.5)


def resize(
    x: Array,
    roi: Array | None = None,
    scales: Array | None = None,
    sizes: Array | None = None,
    *,
    antialias: int = 0,
    axes: Sequence[int] = (),
    coordinate_transformation_mode: str = "half_pixel",
    cubic_coeff_a: float = -0.75,
    exclude_outside: int = 0,
    extrapolation_value: float = 0.0,
    keep_aspect_ratio_policy: str = "stretch",
    mode: str = "nearest",
    nearest_mode: str = "round_prefer_floor",
) -> Array:
    """``x`` resized along ``axes`` (all if empty) by ``scales`` or to ``sizes``, one of which is given.

    Integers are rounded half to even and saturated.
    """
    over = [axis % x.ndim for axis in axes] or list(range(x.ndim))
    lengths = [x.shape[axis] for axis in over]
    factors, output = _targets(lengths, scales, sizes, keep_aspect_ratio_policy)
    y = x.astype(np.float64) if x.dtype.kind in "iu" else widen(x)
    for index, (axis, scale, size) in enumerate(zip(over, factors, output)):
        crop = None
        if coordinate_transformation_mode == "tf_crop_and_resize" and roi is not None and roi.size:
            crop = (float(roi[index]), float(roi[len(over) + index]))
        if scale == 1 and size == x.shape[axis] and crop in (None, (0.0, 1.0)):
            continue
        places = source_coordinates(x.shape[axis], size, scale, coordinate_transformation_mode, crop)
        if mode == "nearest":
            y = np.take(y, _nearest(places, x.shape[axis], nearest_mode), axis=axis)
        else:
            support = min(scale, 1.0) if antialias else 1.0
            y = _interpolate(y, axis, places, mode, support, cubic_coeff_a, bool(exclude_outside))
        if coordinate_transformation_mode == "tf_crop_and_resize":
            outside = (places < 0) | (places > x.shape[axis] - 1)
            y[(slice(None),) * axis + (outside,)] = extrapolation_value
    if x.dtype.kind in "iu":
        limits = np.iinfo(x.dtype)
        return np.clip(np.rint(y), limits.min, limits.max).astype(x.dtype)
    return y.astype(x.dtype, copy=y is x)


def _targets(
    lengths: Sequence[int], scales: Array | None, sizes: Array | None, policy: str
) -> tuple[list[float], list[int]]:
    """Scale and output size of each resized axis. An empty array counts as absent."""
    if sizes is None or not sizes.size:
        assert scales is not None
        factors = [float(np.float32(scale)) for scale in scales]
        output = [scaled_size(length, scale) for length, scale in zip(lengths, factors)]
        return factors, [size for size in output if isinstance(size, int)]
    wanted = [int(size) for size in sizes]
    if policy == "stretch":
        return [size / length if length else 1.0 for size, length in zip(wanted, lengths)], wanted
    scale = kept_aspect_scale(wanted, lengths, policy)
    return [scale] * len(lengths), [round_half_up(scale * length) for length in lengths]


def source_coordinates(length: int, size: int, scale: float, mode: str, crop: tuple[float, float] | None) -> Array:
    """Where each of ``size`` output elements lies along an input axis of ``length`` (float64)."""
    x = np.arange(size, dtype=np.float64)
    exact = scale * length  # may be fractional when it comes from a scale
    match mode:
        case "half_pixel":
            return (x + 0.5) / scale - 0.5
        case "half_pixel_symmetric":
            return length / 2 * (1 - size / exact) + (x + 0.5) / scale - 0.5
        case "pytorch_half_pixel":
            return (x + 0.5) / scale - 0.5 if size > 1 else np.zeros_like(x)
        case "align_corners":
            return x * (length - 1) / (exact - 1) if exact != 1 else np.zeros_like(x)
        case "asymmetric":
            return x / scale
        case "tf_crop_and_resize":
            start, end = crop or (0.0, 1.0)
            if exact == 1:
                return np.full_like(x, 0.5 * (start + end) * (length - 1))
            return start * (length - 1) + x * (end - start) * (length - 1) / (exact - 1)
        case _:
            raise ValueError(f"there is no coordinate transformation {mode!r}")


def _nearest(places: Array, length: int, mode: str) -> Array:
    match mode:
        case "round_prefer_floor":
            index = np.ceil(places - 0.5)
        case "round_prefer_ceil":
            index = np.floor(places + 0.5)
        case "floor":
            index = np.floor(places)
        case _:
            index = np.ceil(places)
    return np.clip(index, 0, length - 1).astype(np.intp)


def _interpolate(
    x: Array, axis: int, places: Array, mode: str, support: float, cubic_a: float, exclude_outside: bool
) -> Array:
    """Sums the taps around each place; ``support`` below 1 stretches the filter (antialiasing)."""
    length = x.shape[axis]
    radius = (1 if mode == "linear" else 2) / support
    first = np.floor(places - radius).astype(np.intp) + 1
    index = first[:, None] + np.arange(math.ceil(2 * radius))
    distance = np.abs(index - places[:, None]) * support
    weights = np.maximum(1 - distance, 0) if mode == "linear" else cubic_kernel(distance, cubic_a)
    if exclude_outside:
        weights = np.where((index < 0) | (index >= length), 0.0, weights)
    total = weights.sum(axis=1, keepdims=True)
    weights = weights / np.where(total == 0, 1.0, total)
    inside = np.clip(index, 0, length - 1)
    shape = (1,) * axis + (-1,) + (1,) * (x.ndim - axis - 1)
    y = np.zeros((*x.shape[:axis], len(places), *x.shape[axis + 1 :]), x.dtype)
    for tap in range(index.shape[1]):
        y += np.take(x, inside[:, tap], axis=axis) * weights[:, tap].astype(x.dtype).reshape(shape)
    return y


def cubic_kernel(distance: Array, a: float) -> Array:
    """Keys' cubic convolution kernel at a distance >= 0 (doi:10.1109/TASSP.1981.1163711)."""
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))
