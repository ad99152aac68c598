"""Affine quantization: real = scale * (stored - zero_point). Rounds half to even, saturates."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.runtime.host.precision import widen

Array = NDArray[Any]

_DTYPES = {
    "i8": "int8",
    "u8": "uint8",
    "i16": "int16",
    "u16": "uint16",
    "f16": "float16",
    "f32": "float32",
    "f64": "float64",
}


def _dtype(name: str) -> np.dtype[Any]:
    if name == "bf16":
        import ml_dtypes

        bfloat16: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
        return bfloat16
    return np.dtype(_DTYPES[name])


def along_axis(values: Array, rank: int, axis: int) -> Array:
    """A scale or zero point shaped to broadcast: one element in all, or a vector along ``axis``."""
    if values.size == 1:
        return values.reshape(())
    shape = [1] * rank
    shape[axis] = values.size
    return values.reshape(shape)


def _for_each(values: Array, x: Array, axis: int, block_size: int) -> Array:
    """A scale or zero point shaped to broadcast to ``x``; one element a block is repeated for all of the block."""
    if not block_size:
        return along_axis(values, x.ndim, axis)
    return np.repeat(values, block_size, axis).take(np.arange(x.shape[axis]), axis)


def round_to(real: Array, zero_point: Array | None, dtype: np.dtype[Any]) -> Array:
    """rint(real) + zero_point within the range of the integer ``dtype``; NaN becomes the zero point."""
    rounded = np.rint(widen(real)).astype(np.float64)
    rounded = np.where(np.isnan(rounded), 0.0, rounded)
    if zero_point is not None:
        rounded = rounded + zero_point
    limits = np.iinfo(dtype)
    return np.clip(rounded, limits.min, limits.max).astype(dtype)


def centered(x: Array, zero_point: Array | None) -> Array:
    """x - zero_point, exact in float64."""
    wide: Array = x.astype(np.float64)
    return wide if zero_point is None else wide - zero_point.astype(np.float64)


def quantize_linear(
    x: Array,
    y_scale: Array,
    y_zero_point: Array | None = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: str | None = None,
    precision: str | None = None,
    saturate: int = 1,
) -> Array:
    """saturate(rint(x / y_scale) + y_zero_point), the division in the dtype of the scale or in ``precision``.

    Args:
        x: floats (or int32) of any shape.
        y_scale: one element, a vector along ``axis``, or with ``block_size`` an element for so many along ``axis``.
        y_zero_point: like ``y_scale``; its dtype is the result's.
    """
    divide_in = _dtype(precision) if precision else y_scale.dtype
    scale = _for_each(y_scale.astype(divide_in), x, axis, block_size)
    zero = None if y_zero_point is None else _for_each(y_zero_point, x, axis, block_size)
    if zero is not None:
        dtype = zero.dtype
    else:
        dtype = _dtype(output_dtype or "u8")
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return round_to(x.astype(divide_in) / scale, zero, dtype)


def dequantize_linear(
    x: Array,
    x_scale: Array,
    x_zero_point: Array | None = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: str | None = None,
) -> Array:
    """(x - x_zero_point) * x_scale in the dtype of the scale or in ``output_dtype``.

    Args:
        x: integers of any shape.
        x_scale: as ``y_scale`` of ``quantize_linear``.
        x_zero_point: like ``x_scale``, of the dtype of ``x``.
    """
    dtype = _dtype(output_dtype) if output_dtype else x_scale.dtype
    zero = None if x_zero_point is None else _for_each(x_zero_point, x, axis, block_size)
    scale = widen(_for_each(x_scale, x, axis, block_size))
    return (centered(x, zero).astype(scale.dtype) * scale).astype(dtype, copy=False)


def dynamic_quantize_linear(x: Array) -> tuple[Array, Array, Array]:
    """x quantized to uint8 over its own range (which is made to hold 0), with the scale and zero point found."""
    high = np.maximum(x.max(initial=0), 0).astype(x.dtype)
    low = np.minimum(x.min(initial=0), 0).astype(x.dtype)
    scale = ((high - low) / x.dtype.type(255)).astype(x.dtype) if high != low else np.asarray(1, x.dtype)
    zero = np.asarray(np.clip(np.rint(-low / scale), 0, 255), np.uint8)
    return round_to(x / scale, zero, zero.dtype), np.asarray(scale), zero
