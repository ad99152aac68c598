"""Layers whose integer sums kernels compute: their constants, and whether bytes and sums of 32 bits are enough.

Zero points are folded away: with u = x + 128 for int8 inputs and u = x for uint8, as products of unsigned with signed
bytes take them,

    sum((x - x_zero) * (w - w_zero)) + bias = sum(u * (w - w_zero)) + bias'
    bias' = bias - u_zero * sum(w - w_zero),    u_zero = x_zero + (128 for int8)

modulo 2^32, so that only the result must fit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cnnc.ir import Array, Node, Value
from cnnc.ops.quantized_operands import BYTES
from cnnc.types import DType

_SIGN = 128
_LARGEST_BYTE = 255
_SUM_LIMIT = 2**31


@dataclass(frozen=True, slots=True)
class QuantizedLayer:
    """The constants of a q_linear_conv as its kernels take them.

    Attributes:
        weights: int8 [M, C/group, ...], without their zero point.
        bias: int32 [M], with the corrections for the zero points.
        factors: float32 [M]: y = rint(sum * factor) + y_zero.
        x_zero, y_zero: zero points as stored.
        y_least: the smallest value of y's type.
    """

    weights: Array
    bias: Array
    factors: Array
    x_zero: int
    y_zero: int
    y_least: int


def quantized_conv(node: Node) -> QuantizedLayer | str:
    """The constants of a q_linear_conv, or why byte kernels cannot compute it."""
    for position, value in enumerate(node.inputs):
        if position and value is not None and value.array is None:
            return f"%{value.name} is not constant"
    x, y = node.input(0), node.output
    for value in (x, node.input(3), y):
        if value.type.dtype not in BYTES:
            return f"%{value.name} has {value.type.dtype.value}, not bytes"
    x_scale, w_scale, y_scale = (_array(node.input(position)) for position in (1, 4, 6))
    if any(scale.dtype != np.float32 for scale in (x_scale, w_scale, y_scale)):
        return "its scales are not float32"
    w_zero = _array(node.input(5)).astype(np.int16)
    weights = _array(node.input(3)).astype(np.int16)
    weights = weights - w_zero.reshape(-1, *[1] * (weights.ndim - 1))
    if weights.size and (weights.min() < -_SIGN or weights.max() >= _SIGN):
        return "its weights without their zero point do not fit int8"
    outputs = weights.shape[0]
    bias_value = node.optional(8)
    bias = np.zeros(outputs, np.int64) if bias_value is None else _array(bias_value).astype(np.int64).reshape(-1)
    flat = weights.reshape(outputs, -1)
    if np.any(np.abs(flat).sum(1, dtype=np.int64) * _LARGEST_BYTE + np.abs(bias) >= _SUM_LIMIT):
        return "its sums may not fit int32"
    # The order in which the reference joins them.
    with np.errstate(all="ignore"):
        factors: Array = np.divide(np.multiply(x_scale.reshape(1), w_scale.reshape(-1)), y_scale.reshape(1))
    if not np.isfinite(factors).all():
        return "the ratio of its scales is not finite"
    x_zero, y_zero = (int(_array(node.input(position)).reshape(())) for position in (2, 7))
    unsigned_zero = x_zero + (_SIGN if x.type.dtype is DType.I8 else 0)
    corrected = bias - unsigned_zero * flat.sum(1, dtype=np.int64)
    return QuantizedLayer(
        weights.astype(np.int8),
        corrected.astype(np.uint64).astype(np.uint32).view(np.int32),
        np.ascontiguousarray(np.broadcast_to(factors, (outputs,))),
        x_zero,
        y_zero,
        int(np.iinfo(y.type.dtype.numpy).min),
    )


def _array(value: Value) -> Array:
    assert value.array is not None
    return value.array
