"""Reads tensors at fractional places: grid sampling, affine grids, deformable convolution."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.runtime.host.precision import widen
from cnnc.runtime.host.resize import cubic_kernel
from cnnc.runtime.host.window import numbers, resolve_window

Array = NDArray[Any]

_CUBIC_A = -0.75


def grid_sample(
    x: Array, grid: Array, *, align_corners: int = 0, mode: str = "linear", padding_mode: str = "zeros"
) -> Array:
    """x [N, C, spatial...] read at grid [N, output..., r], whose last axis holds (x, y[, z]) in -1..1.

    Nearest rounds half to even. A place outside the border is moved by the padding mode first, and then each tap of the
    filter again. With cubic and border only the taps are moved: so do PyTorch, which the operator comes from, and
    onnxruntime; the ONNX reference implementation moves the place too, which no text or test data of ONNX asks for.
    """
    wide = widen(x)
    spatial = x.shape[2:]
    places = (
        widen(grid)[..., ::-1].astype(wide.dtype).reshape(grid.shape[0], int(np.prod(grid.shape[1:-1])), len(spatial))
    )
    coordinates = []
    for axis, length in enumerate(spatial):
        place = places[..., axis]
        place = (place + 1) / 2 * (length - 1) if align_corners else ((place + 1) * length - 1) / 2
        if mode == "nearest":
            place = np.rint(place)
        low, high = _border(length, bool(align_corners))
        outside = (place < low) | (place > high)
        if padding_mode == "border" and mode != "cubic":
            place = np.where(outside, np.clip(place, 0, length - 1), place)
        elif padding_mode == "reflection":
            place = np.where(outside, _reflect(place, low, high), place)
        coordinates.append(place)
    y = sample(wide, coordinates, mode, padding_mode, bool(align_corners))
    return y.reshape(*x.shape[:2], *grid.shape[1:-1]).astype(x.dtype, copy=False)


def sample(
    x: Array, places: Sequence[Array], mode: str, padding_mode: str = "zeros", align_corners: bool = True
) -> Array:
    """x [N, C, spatial...] at places (one [N, P] array a spatial axis, in elements) -> [N, C, P]."""
    n, channels = x.shape[:2]
    flat = x.reshape(n, channels, int(np.prod(x.shape[2:])))
    y = np.zeros((n, channels, places[0].shape[1]), x.dtype)
    first, count = {"nearest": (0, 1), "linear": (0, 2), "cubic": (-1, 4)}[mode]
    for tap in itertools.product(range(first, first + count), repeat=len(places)):
        index = np.zeros(places[0].shape, np.int64)
        weight: Array = np.ones(places[0].shape, x.dtype)
        for axis, (place, offset) in enumerate(zip(places, tap)):
            length = x.shape[axis + 2]
            position = np.floor(place) + offset
            distance = np.abs(place - position)
            if mode == "linear":
                weight = weight * (1 - distance)
            elif mode == "cubic":
                weight = weight * cubic_kernel(distance, _CUBIC_A)
            if padding_mode == "zeros":
                weight = np.where((position >= 0) & (position < length), weight, 0)
            elif padding_mode == "reflection":
                low, high = _border(length, align_corners)
                position = np.trunc(_reflect(position, low, high))
            # Places may be NaN or huge: what the weight does not rule out is clamped before the cast.
            position = np.nan_to_num(np.clip(position, 0, max(length - 1, 0)))
            index = index * length + position.astype(np.int64)
        y += np.take_along_axis(flat, index[:, None, :], axis=2) * weight.astype(x.dtype)[:, None, :]
    return y


def _border(length: int, align_corners: bool) -> tuple[float, float]:
    return (0.0, length - 1.0) if align_corners else (-0.5, length - 0.5)


def _reflect(place: Array, low: float, high: float) -> Array:
    """Mirrors places at the borders until they lie within them."""
    span = high - low
    if span <= 0:
        return np.full_like(place, low)
    folded = np.mod(place - low, 2 * span)
    mirrored = np.where(folded > span, 2 * span - folded, folded) + low
    return np.where((place < low) | (place > high), mirrored, place)


def affine_grid(theta: Array, size: Array, *, align_corners: int = 0) -> Array:
    """The places theta [N, r, r+1] * (x, y[, z], 1) of every output element of ``size`` (N, C, spatial...).

    Returns [N, spatial..., r] with (x, y[, z]) in -1..1, as ``grid_sample`` takes it.
    """
    wide = widen(theta)
    spatial = [int(length) for length in size[2:]]
    axes = [
        np.linspace(-1, 1, length) if align_corners else (2 * np.arange(length) + 1) / length - 1 for length in spatial
    ]
    mesh = np.meshgrid(*axes, indexing="ij")[::-1]
    points = np.stack([*mesh, np.ones(spatial)], axis=-1).astype(wide.dtype).reshape(-1, len(spatial) + 1)
    grid = points @ wide.swapaxes(1, 2)
    return grid.reshape(theta.shape[0], *spatial, len(spatial)).astype(theta.dtype, copy=False)


def deform_conv(
    x: Array,
    w: Array,
    offset: Array,
    bias: Array | None = None,
    mask: Array | None = None,
    *,
    dilations: Sequence[int] = (),
    group: int = 1,
    kernel_shape: Sequence[int] = (),
    offset_group: int = 1,
    pads: Sequence[int] = (),
    strides: Sequence[int] = (),
) -> Array:
    """Convolution whose taps are moved by learned offsets (arXiv:1811.11168); outside of x is zero.

    Args:
        x: [N, C, spatial...].
        w: [M, C/group, kernel...].
        offset: [N, offset_group * taps * r, output...], in elements, one for each spatial axis in order.
        bias: [M].
        mask: [N, offset_group * taps, output...].
    """
    window = resolve_window(x.shape[2:], w.shape[2:], strides, dilations, pads)
    output, begins = numbers(window.output), numbers(window.begins)
    rank, taps, positions = len(output), int(np.prod(w.shape[2:])), int(np.prod(output))
    wide, weights = widen(x), widen(w)
    n, channels = x.shape[:2]
    parts = wide.reshape(n * offset_group, channels // offset_group, *x.shape[2:])
    moves = widen(offset).reshape(n * offset_group, taps, rank, positions)
    factors = None if mask is None else widen(mask).reshape(n * offset_group, taps, 1, positions)
    starts = np.meshgrid(
        *(np.arange(count) * s - b for count, s, b in zip(output, window.strides, begins)), indexing="ij"
    )
    by_group = weights.reshape(group, w.shape[0] // group, w.shape[1], taps)
    y = np.zeros((n, group, w.shape[0] // group, positions), wide.dtype)
    for k, tap in enumerate(np.ndindex(*w.shape[2:])):
        places = [
            starts[axis].reshape(1, -1) + tap[axis] * window.dilations[axis] + moves[:, k, axis] for axis in range(rank)
        ]
        values = sample(parts, places, "linear")
        if factors is not None:
            values = values * factors[:, k]
        y += np.matmul(by_group[..., k], values.reshape(n, group, w.shape[1], positions))
    result = y.reshape(n, w.shape[0], *output)
    if bias is not None:
        result = result + widen(bias).reshape((1, -1) + (1,) * rank)
    return result.astype(x.dtype, copy=False)
