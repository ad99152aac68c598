"""Ops that move channels and spatial blocks around without computing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.errors import UnsupportedError
from cnnc.runtime.host.window import numbers, resolve_window

Array = NDArray[Any]


def convert_layout(x: Array, *, layout: str) -> Array:
    """``x`` itself: a layout says where elements lie in memory, arrays here are always logical."""
    return x


def channel_shuffle(x: Array, *, groups: int) -> Array:
    """Channel g*(C/groups) + i of x [N, C, ...] moves to i*groups + g (ShuffleNet, arXiv:1707.01083)."""
    n, channels = x.shape[:2]
    split = x.reshape(n, groups, channels // groups, *x.shape[2:])
    return np.ascontiguousarray(split.swapaxes(1, 2)).reshape(x.shape)


def depth_to_space(x: Array, *, blocksize: int, mode: str = "DCR") -> Array:
    """x [N, C, H, W] -> [N, C/b^2, H*b, W*b]; the depth holds (row, column, C) in DCR and (C, row, column) in CRD."""
    n, channels, height, width = x.shape
    depth = channels // blocksize**2
    if mode == "DCR":
        blocks = x.reshape(n, blocksize, blocksize, depth, height, width).transpose(0, 3, 4, 1, 5, 2)
    else:
        blocks = x.reshape(n, depth, blocksize, blocksize, height, width).transpose(0, 1, 4, 2, 5, 3)
    return np.ascontiguousarray(blocks).reshape(n, depth, height * blocksize, width * blocksize)


def space_to_depth(x: Array, *, blocksize: int, mode: str = "DCR") -> Array:
    """x [N, C, H, W] -> [N, C*b^2, H/b, W/b]: the inverse of ``depth_to_space``."""
    n, channels, height, width = x.shape
    blocks = x.reshape(n, channels, height // blocksize, blocksize, width // blocksize, blocksize)
    order = (0, 3, 5, 1, 2, 4) if mode == "DCR" else (0, 1, 3, 5, 2, 4)
    shape = (n, channels * blocksize**2, height // blocksize, width // blocksize)
    return np.ascontiguousarray(blocks.transpose(order)).reshape(shape)


def center_crop_pad(x: Array, shape: Array, *, axes: Sequence[int] = ()) -> Array:
    """Crops or zero-pads ``axes`` (all if empty) to ``shape`` around the centre; the odd element goes to the end."""
    taken, placed, result = [slice(None)] * x.ndim, [slice(None)] * x.ndim, list(x.shape)
    for axis, size in zip(axes or range(x.ndim), shape.tolist()):
        have = x.shape[axis]
        if size < have:
            taken[axis] = slice((have - size) // 2, (have - size) // 2 + size)
        else:
            placed[axis] = slice((size - have) // 2, (size - have) // 2 + have)
        result[axis] = size
    y = np.zeros(tuple(result), x.dtype)
    y[tuple(placed)] = x[tuple(taken)]
    return y


def col2im(
    x: Array,
    image_shape: Array,
    block_shape: Array,
    *,
    dilations: Sequence[int] = (),
    pads: Sequence[int] = (),
    strides: Sequence[int] = (),
) -> Array:
    """Sums columns x [N, C*taps, positions] into images [N, C, image_shape...]: the transpose of im2col."""
    image, kernel = tuple(image_shape.tolist()), tuple(block_shape.tolist())
    window = resolve_window(image, kernel, strides, dilations, pads)
    output, begins, ends = map(numbers, (window.output, window.begins, window.ends))
    taps = int(np.prod(kernel))
    columns = x.reshape(x.shape[0], x.shape[1] // taps, taps, *output)
    full = np.zeros((*columns.shape[:2], *(b + size + e for b, size, e in zip(begins, image, ends))), x.dtype)
    for index, tap in enumerate(np.ndindex(*kernel)):
        places = tuple(
            slice(t * d, t * d + (count - 1) * s + 1, s)
            for t, d, count, s in zip(tap, window.dilations, output, window.strides)
        )
        full[(slice(None), slice(None), *places)] += columns[:, :, index]
    inside = tuple(slice(b, b + size) for b, size in zip(begins, image))
    return np.ascontiguousarray(full[(slice(None), slice(None), *inside)])


def dropout(
    x: Array, ratio: Array | None = None, training_mode: Array | None = None, *, seed: int | None = None
) -> tuple[Array, Array]:
    """``x`` itself and a mask of True: inference keeps everything.

    Raises:
        UnsupportedError: training mode with a ratio above 0.
    """
    rate = 0.5 if ratio is None else float(ratio)
    if training_mode is not None and bool(training_mode) and rate > 0:
        raise UnsupportedError("dropout in training mode is random", hint="export the model for inference")
    return x, np.ones(x.shape, np.bool_)
