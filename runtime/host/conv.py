"""Convolution as batched matrix products over blocks of kernel taps, so that memory stays bounded."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.runtime.host.activation import apply_activation
from cnnc.runtime.host.precision import widen, widen_all
from cnnc.runtime.host.window import Window, numbers, pad_for, resolve_transpose, resolve_window, tap_view

Array = NDArray[Any]

_BLOCK_BYTES = 1 << 26
"""Most memory that gathered columns take."""

_NO_ACTIVATION = ("none", 0.0, 0.0)


def conv(
    x: Array,
    w: Array,
    bias: Array | None = None,
    residual: Array | None = None,
    slopes: Array | None = None,
    input_scale: Array | None = None,
    input_shift: Array | None = None,
    gate: Array | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Sequence[int] = (),
    group: int = 1,
    kernel_shape: Sequence[int] = (),
    pads: Sequence[int] = (),
    strides: Sequence[int] = (),
    activation: tuple[str, float, float] = _NO_ACTIVATION,
    prologue: tuple[str, float, float] = _NO_ACTIVATION,
) -> Array:
    """act(conv(prologue(x * input_scale + input_shift), w) + bias + residual), or x * gate inside; padding stays 0.

    Args:
        x: [N, C, spatial...].
        w: [M, C/group, kernel...].
        bias: [M].
        residual: broadcast to the output [N, M, output...].
        slopes: of the prelu activation, one a channel or one in all.
        input_scale, input_shift: [C], both or none; without them there is no prologue.
        gate: [N, C, 1...].
    """
    window = resolve_window(x.shape[2:], w.shape[2:], strides, dilations, pads, auto_pad)
    read = widen(x)
    if input_scale is not None and input_shift is not None:
        scale, shift = (channels_last_but(widen(values), x.ndim) for values in (input_scale, input_shift))
        read = apply_activation(read * scale.astype(read.dtype) + shift.astype(read.dtype), prologue)
    if gate is not None:
        read = read * widen(gate)
    y = correlate(read, widen(w), window, group)
    bias, residual, slopes = widen_all(bias, residual, slopes)
    if bias is not None:
        y += channels_last_but(bias, y.ndim)
    if residual is not None:
        y = y + residual
    return apply_activation(y, activation, slopes).astype(x.dtype, copy=False)


def conv_transpose(
    x: Array,
    w: Array,
    bias: Array | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Sequence[int] = (),
    group: int = 1,
    kernel_shape: Sequence[int] = (),
    output_padding: Sequence[int] = (),
    output_shape: Sequence[int] = (),
    pads: Sequence[int] = (),
    strides: Sequence[int] = (),
    activation: tuple[str, float, float] = _NO_ACTIVATION,
) -> Array:
    """act(transposed convolution + bias): every input element adds its multiple of the kernel to the output.

    Args:
        x: [N, C, spatial...].
        w: [C, M/group, kernel...].
        bias: [M].
    """
    window = resolve_transpose(
        x.shape[2:], w.shape[2:], strides, dilations, pads, auto_pad, output_padding, output_shape
    )
    wide, weights = widen(x), widen(w)
    spatial = x.shape[2:]
    n, channels, positions = x.shape[0], x.shape[1], int(np.prod(spatial))
    out_channels = w.shape[1] * group
    output, begins = numbers(window.output), numbers(window.begins)
    reach = [
        max((size - 1) * s + (k - 1) * d + 1, begin + out)
        for size, s, k, d, begin, out in zip(spatial, window.strides, w.shape[2:], window.dilations, begins, output)
    ]
    full = np.zeros((n, out_channels, *reach), wide.dtype)
    columns = wide.reshape(n, group, channels // group, positions)
    by_group = weights.reshape(group, channels // group, w.shape[1], int(np.prod(w.shape[2:])))
    for k, tap in enumerate(itertools.product(*(range(size) for size in w.shape[2:]))):
        part = np.matmul(by_group[..., k].swapaxes(1, 2), columns)
        places = tuple(
            slice(t * d, t * d + (size - 1) * s + 1, s)
            for t, d, size, s in zip(tap, window.dilations, spatial, window.strides)
        )
        full[(slice(None), slice(None), *places)] += part.reshape(n, out_channels, *spatial)
    y = full[(slice(None), slice(None), *(slice(b, b + size) for b, size in zip(begins, output)))]
    if bias is not None:
        y = y + channels_last_but(widen(bias), y.ndim)
    return np.ascontiguousarray(apply_activation(y, activation)).astype(x.dtype, copy=False)


def correlate(x: Array, w: Array, window: Window, group: int, pad_value: float = 0.0) -> Array:
    """Grouped cross-correlation of floats: x [N, C, spatial...] with w [M, C/group, kernel...] -> [N, M, output...].

    As many taps as fit ``_BLOCK_BYTES`` are gathered side by side (im2col) for one matrix product.
    """
    n, out_channels, per_group = x.shape[0], w.shape[0], w.shape[1]
    output = numbers(window.output)
    positions = int(np.prod(output))
    padded = pad_for(x, window, pad_value)
    taps = list(itertools.product(*(range(size) for size in w.shape[2:])))
    by_group = w.reshape(group, out_channels // group, per_group, len(taps))
    y = np.zeros((n, group, out_channels // group, positions), np.result_type(x, w))
    block = max(1, _BLOCK_BYTES // max(1, n * group * per_group * positions * x.itemsize))
    for start in range(0, len(taps), block):
        part = taps[start : start + block]
        columns = np.empty((n, group, per_group, len(part), positions), x.dtype)
        for k, tap in enumerate(part):
            columns[:, :, :, k] = tap_view(padded, window, tap).reshape(n, group, per_group, positions)
        rows = per_group * len(part)
        matrix = by_group[..., start : start + block].reshape(group, out_channels // group, rows)
        y += np.matmul(matrix, columns.reshape(n, group, rows, positions))
    return y.reshape(n, out_channels, *output)


def channels_last_but(values: Array, rank: int) -> Array:
    """Per-channel ``values`` [C] shaped to broadcast against [N, C, ...] of the given rank."""
    return values.reshape((1, -1) + (1,) * (rank - 2))
