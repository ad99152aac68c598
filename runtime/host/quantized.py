"""Ops on quantized tensors: exact integer sums, then one multiply in the scale's dtype, rounding and saturation.

Sums run through float64 matrix products, which are exact below 2^53: a sum of 2^36 products of two bytes. Scales are
joined in their own dtype in onnxruntime's order: another order moves one result in 10^5 by a step, and a deep network
makes much of it. Rounding comes before the zero point is added, as QuantizeLinear says; where onnxruntime adds first,
ties at odd zero points differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.runtime.host.activation import sigmoid
from cnnc.runtime.host.conv import correlate
from cnnc.runtime.host.pool import window_sums
from cnnc.runtime.host.precision import widen
from cnnc.runtime.host.quantization import along_axis, centered, round_to
from cnnc.runtime.host.window import resolve_window

Array = NDArray[Any]


def conv_integer(
    x: Array,
    w: Array,
    x_zero_point: Array | None = None,
    w_zero_point: Array | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Sequence[int] = (),
    group: int = 1,
    kernel_shape: Sequence[int] = (),
    pads: Sequence[int] = (),
    strides: Sequence[int] = (),
) -> Array:
    """Convolution of x - x_zero_point with w - w_zero_point in int32; padding counts as the zero point."""
    return _integer_conv(x, w, x_zero_point, w_zero_point, strides, dilations, pads, auto_pad, group).astype(np.int32)


def q_linear_conv(
    x: Array,
    x_scale: Array,
    x_zero_point: Array,
    w: Array,
    w_scale: Array,
    w_zero_point: Array,
    y_scale: Array,
    y_zero_point: Array,
    bias: Array | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Sequence[int] = (),
    group: int = 1,
    kernel_shape: Sequence[int] = (),
    pads: Sequence[int] = (),
    strides: Sequence[int] = (),
) -> Array:
    """rint(sum * (x_scale * w_scale / y_scale)) + y_zero_point, saturated; scale of w in all or per output channel.

    The ONNX reference implementation adds the zero point before it rounds; here, as QuantizeLinear says (and
    onnxruntime does), rounding comes first.
    """
    total = _integer_conv(x, w, x_zero_point, w_zero_point, strides, dilations, pads, auto_pad, group)
    if bias is not None:
        total = total + along_axis(bias.astype(np.int64), x.ndim, 1)
    return _requantize(total, x_scale, along_axis(w_scale, x.ndim, 1), y_scale, y_zero_point)


def q_linear_matmul(
    a: Array,
    a_scale: Array,
    a_zero_point: Array,
    b: Array,
    b_scale: Array,
    b_zero_point: Array,
    y_scale: Array,
    y_zero_point: Array,
) -> Array:
    """Quantized matrix product a [..., M, K] by b [..., K, N]; a may be quantized per row, b per column."""
    left, right = centered(a, _rows(a_zero_point)), centered(b, b_zero_point)
    total = np.matmul(left, right).astype(np.int64)
    return _requantize(total, _rows(a_scale), b_scale, y_scale, y_zero_point)


def q_linear_gemm(
    a: Array,
    a_scale: Array,
    a_zero_point: Array,
    b: Array,
    b_scale: Array,
    b_zero_point: Array,
    c: Array | None,
    y_scale: Array,
    y_zero_point: Array,
    *,
    alpha: float = 1.0,
    transA: int = 0,
    transB: int = 0,
) -> Array:
    """rint((a b + c) * (alpha * a_scale * b_scale / y_scale)) + y_zero_point, saturated (com.microsoft.QGemm).

    Args:
        a: [M, K], or [K, M] with ``transA``.
        b: [K, N], or [N, K] with ``transB``; scale and zero point in all or per column [N].
        c: int32 that broadcasts to [M, N], in steps of ``alpha * a_scale * b_scale``.
    """
    left = centered(a.T if transA else a, a_zero_point)
    right = centered(b.T if transB else b, b_zero_point)
    total = np.matmul(left, right)
    if c is not None:
        total = total + c
    return _requantize(total, a_scale.dtype.type(alpha) * a_scale, b_scale, y_scale, y_zero_point)


def requantize(
    x: Array, x_scale: Array, x_zero_point: Array | None, y_scale: Array, y_zero_point: Array | None = None
) -> Array:
    """The same real values with another scale and zero point, whose dtype the result has."""
    dtype = x.dtype if y_zero_point is None else y_zero_point.dtype
    return round_to(_real(x, x_scale, x_zero_point) / y_scale, y_zero_point, dtype)


def lookup(x: Array, table: Array) -> Array:
    """table[x] for bytes x, by their bits: -1 of int8 is 255."""
    found: Array = table[x.view(np.uint8)]
    return found


def q_linear_add(
    a: Array,
    a_scale: Array,
    a_zero_point: Array | None,
    b: Array,
    b_scale: Array,
    b_zero_point: Array | None,
    c_scale: Array,
    c_zero_point: Array | None = None,
) -> Array:
    """Quantized a + b with broadcasting (com.microsoft.QLinearAdd).

    The zero points are folded into one addend, and products fused into sums, as onnxruntime's MLAS does it.
    """
    a_step, b_step = widen(a_scale / c_scale), widen(b_scale / c_scale)
    offset = -(a_step * _zero(a_zero_point, a_step) + b_step * _zero(b_zero_point, b_step))
    zero = _zero(c_zero_point, a_step)
    shifted = _fused_multiply_add(a, a_step, _fused_multiply_add(b, b_step, zero + offset))
    return round_to(shifted.astype(np.float64) - zero, c_zero_point, a.dtype)


def q_linear_mul(
    a: Array,
    a_scale: Array,
    a_zero_point: Array | None,
    b: Array,
    b_scale: Array,
    b_zero_point: Array | None,
    c_scale: Array,
    c_zero_point: Array | None = None,
) -> Array:
    """Quantized a * b with broadcasting (com.microsoft.QLinearMul)."""
    scale = widen(a_scale * b_scale / c_scale)
    product = centered(a, a_zero_point) * centered(b, b_zero_point)
    return round_to(product.astype(scale.dtype) * scale, c_zero_point, a.dtype)


def q_linear_concat(y_scale: Array, y_zero_point: Array, *pieces: Array, axis: int) -> Array:
    """Concatenation of (tensor, scale, zero point) triples, each requantized (com.microsoft.QLinearConcat)."""
    parts = []
    for tensor, scale, zero_point in zip(pieces[::3], pieces[1::3], pieces[2::3]):
        if scale == y_scale and zero_point == y_zero_point and tensor.dtype == y_zero_point.dtype:
            parts.append(tensor)
        else:
            parts.append(round_to(_real(tensor, scale, zero_point) / y_scale, y_zero_point, y_zero_point.dtype))
    return np.concatenate(parts, axis=axis)


def q_linear_leaky_relu(
    x: Array,
    x_scale: Array,
    x_zero_point: Array | None,
    y_scale: Array,
    y_zero_point: Array | None = None,
    *,
    alpha: float = 0.01,
) -> Array:
    """Quantized LeakyRelu (com.microsoft.QLinearLeakyRelu)."""
    real = _real(x, x_scale, x_zero_point)
    return round_to(np.where(real < 0, real * real.dtype.type(alpha), real) / y_scale, y_zero_point, x.dtype)


def q_linear_sigmoid(
    x: Array, x_scale: Array, x_zero_point: Array | None, y_scale: Array, y_zero_point: Array | None = None
) -> Array:
    """Quantized Sigmoid (com.microsoft.QLinearSigmoid)."""
    return round_to(sigmoid(_real(x, x_scale, x_zero_point)) / y_scale, y_zero_point, x.dtype)


def q_linear_global_average_pool(
    x: Array,
    x_scale: Array,
    x_zero_point: Array | None,
    y_scale: Array,
    y_zero_point: Array | None = None,
    *,
    channels_last: int = 0,
) -> Array:
    """Quantized mean over the spatial axes of x [N, C, ...], or [N, ..., C] (com.microsoft)."""
    axes = tuple(range(1, x.ndim - 1)) if channels_last else tuple(range(2, x.ndim))
    count = int(np.prod([x.shape[axis] for axis in axes]))
    total = centered(x, x_zero_point).sum(axis=axes, keepdims=True)
    scale = widen(x_scale / (y_scale * y_scale.dtype.type(count)))
    return round_to(total.astype(scale.dtype) * scale, y_zero_point, x.dtype)


def q_linear_average_pool(
    x: Array,
    x_scale: Array,
    x_zero_point: Array | None,
    y_scale: Array,
    y_zero_point: Array | None = None,
    *,
    kernel_shape: Sequence[int],
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    channels_last: int = 0,
    count_include_pad: int = 0,
    dilations: Sequence[int] = (),
    pads: Sequence[int] = (),
    strides: Sequence[int] = (),
) -> Array:
    """Quantized AveragePool (com.microsoft.QLinearAveragePool); padding counts as the zero point.

    Sums are exact, and a window that is the whole image gives what the global pool gives.
    """
    integers = centered(x, x_zero_point)
    images = np.moveaxis(integers, -1, 1) if channels_last else integers
    window = resolve_window(images.shape[2:], kernel_shape, strides, dilations, pads, auto_pad, bool(ceil_mode))
    total, counts = window_sums(images, window, bool(count_include_pad))
    with np.errstate(divide="ignore", invalid="ignore"):  # a window in the padding altogether has no divisor
        scale = widen(x_scale / (y_scale * counts.astype(y_scale.dtype)))
        y = round_to(total.astype(scale.dtype) * scale, y_zero_point, x.dtype)
    return np.ascontiguousarray(np.moveaxis(y, 1, -1)) if channels_last else y


def _integer_conv(
    x: Array,
    w: Array,
    x_zero_point: Array | None,
    w_zero_point: Array | None,
    strides: Sequence[int],
    dilations: Sequence[int],
    pads: Sequence[int],
    auto_pad: str,
    group: int,
) -> Array:
    window = resolve_window(x.shape[2:], w.shape[2:], strides, dilations, pads, auto_pad)
    zero = None if w_zero_point is None else along_axis(w_zero_point, w.ndim, 0)
    offset = None if x_zero_point is None else x_zero_point.reshape(())
    return correlate(centered(x, offset), centered(w, zero), window, group).astype(np.int64)


def _requantize(total: Array, x_scale: Array, w_scale: Array, y_scale: Array, y_zero_point: Array) -> Array:
    scale = widen(np.asarray(x_scale * w_scale / y_scale))
    return round_to(total.astype(scale.dtype) * scale, y_zero_point, y_zero_point.dtype)


def _rows(values: Array) -> Array:
    return values.reshape(-1, 1) if values.ndim == 1 and values.size > 1 else values


def _real(x: Array, scale: Array, zero_point: Array | None) -> Array:
    return centered(x, zero_point).astype(scale.dtype) * scale


def _zero(zero_point: Array | None, like: Array) -> Array:
    """A zero point in the dtype of ``like``."""
    return np.zeros((), like.dtype) if zero_point is None else zero_point.astype(like.dtype)


def _fused_multiply_add(x: Array, factor: Array, addend: Array) -> Array:
    """x * factor + addend for integers x of up to 16 bits, rounded to the dtype of ``addend`` once: float64 holds the
    product exactly, and its own rounding of the sum does not show but in one case in 2^29."""
    wide = x.astype(np.float64) * factor.astype(np.float64) + addend.astype(np.float64)
    return wide.astype(addend.dtype)
