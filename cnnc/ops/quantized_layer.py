"""Layers whose integer sums kernels compute: their constants, and whether bytes and sums of 32 bits are enough.

Zero points are folded away: with u = x + 128 for int8 inputs and u = x for uint8, as products of unsigned with signed
bytes take them,

    sum((x - x_zero) * (w - w_zero)) + bias = sum(u * (w - w_zero)) + bias'
    bias' = bias - u_zero * sum(w - w_zero),    u_zero = x_zero + (128 for int8)

modulo 2^32, so that only the result must fit. Where it might not, but is so large for every input that y is the same
number, the output's weights count as zero: quantizers give outputs of next to no weights biases near the limits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnc.ir import Array, Node, Value
from cnnc.ops.quantized import QLinearGemmAttrs
from cnnc.ops.quantized_operands import BYTES
from cnnc.types import DType

_SIGN = 128
_INT32 = np.iinfo(np.int32)


@dataclass(frozen=True, slots=True)
class QuantizedLayer:
    """The constants of a convolution or a matrix product as kernels take them; M counts outputs.

    Attributes:
        weights: int8 [M, C/group, ...] or [M, K], without their zero point; zero for outputs that are constant because
            their sums might be beyond int32.
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
    reason = _constant(node)
    return _layer(node, _Positions(bias=8, y=6)) if reason is None else reason


def quantized_matrix(node: Node) -> QuantizedLayer | str:
    """The constants of a q_linear_gemm or q_linear_matmul, or why byte kernels cannot compute it.

    Weights are [columns of the result, depth].
    """
    reason = _constant(node)
    if reason is not None:
        return reason
    if not isinstance(node.attrs, QLinearGemmAttrs):
        return _layer(node, _Positions(bias=8, y=6), transposes=True) if node.input(3).type.rank == 2 else _NO_MATRIX
    if node.attrs.transA:
        return "its first operand is transposed"
    return _layer(node, _Positions(bias=6, y=7), not node.attrs.transB, node.attrs.alpha)


_NO_MATRIX = "its second operand is not a matrix"


@dataclass(frozen=True, slots=True)
class _Positions:
    """Of the operands that differ between the ops: the bias, and the scale of y with its zero point behind."""

    bias: int
    y: int


def _constant(node: Node) -> str | None:
    for position, value in enumerate(node.inputs):
        if position and value is not None and value.array is None:
            return f"%{value.name} is not constant"
    return None


def _layer(node: Node, at: _Positions, transposes: bool = False, alpha: float = 1.0) -> QuantizedLayer | str:
    x, y = node.input(0), node.output
    for value in (x, node.input(3), y):
        if value.type.dtype not in BYTES:
            return f"%{value.name} has {value.type.dtype.value}, not bytes"
    x_scale, w_scale, y_scale = (_array(node.input(position)) for position in (1, 4, at.y))
    if any(scale.dtype != np.float32 for scale in (x_scale, w_scale, y_scale)):
        return "its scales are not float32"
    if x_scale.size != 1 or y_scale.size != 1:
        return "its input or its result has several scales"
    weights = _array(node.input(3)).astype(np.int16)
    weights = weights.T if transposes else weights
    zero_points = node.optional(5)
    w_zero = np.zeros(1, np.int16) if zero_points is None else _array(zero_points).astype(np.int16)
    weights = weights - w_zero.reshape(-1, *[1] * (weights.ndim - 1))
    if weights.size and (weights.min() < -_SIGN or weights.max() >= _SIGN):
        return "its weights without their zero point do not fit int8"
    outputs = weights.shape[0]
    bias = np.zeros(1, np.int64)
    given = node.optional(at.bias)
    if given is not None:
        bias = _array(given).astype(np.int64).reshape(-1)
        if bias.size not in (1, outputs) or (given.type.rank > 1 and given.type.shape[0] != 1):
            return "its bias is not one number an output"
    # The order in which the reference joins them.
    with np.errstate(all="ignore"):
        factors: Array = np.multiply(np.multiply(np.float32(alpha), x_scale.reshape(1)), w_scale.reshape(-1))
        factors = np.divide(factors, y_scale.reshape(1))
    if not np.isfinite(factors).all():
        return "the ratio of its scales is not finite"
    x_zero, y_zero = _zero(node, 2), _zero(node, at.y + 1)
    limits = np.iinfo(y.type.dtype.numpy)
    least, greatest = _sum_bounds(weights.reshape(outputs, -1), bias, np.iinfo(x.type.dtype.numpy), x_zero)
    too_large = (least < _INT32.min) | (greatest > _INT32.max)
    if np.any(too_large & (_results(least, factors, y_zero, limits) != _results(greatest, factors, y_zero, limits))):
        return "its sums may not fit int32"
    weights[too_large] = 0
    unsigned_zero = x_zero + (_SIGN if x.type.dtype is DType.I8 else 0)
    corrected = bias - unsigned_zero * weights.reshape(outputs, -1).sum(1, dtype=np.int64)
    return QuantizedLayer(
        weights.astype(np.int8),
        corrected.astype(np.uint64).astype(np.uint32).view(np.int32),
        np.ascontiguousarray(np.broadcast_to(factors, (outputs,))),
        x_zero,
        y_zero,
        int(limits.min),
    )


def _sum_bounds(weights: Array, bias: Array, x: Any, x_zero: int) -> tuple[Any, Any]:
    """The least and the greatest sum of every output with its bias; ``weights`` [M, K], ``x`` iinfo of inputs."""
    below, above = np.int64(x.min - x_zero), np.int64(x.max - x_zero)
    positive = np.maximum(weights, 0).sum(1, dtype=np.int64)
    negative = np.minimum(weights, 0).sum(1, dtype=np.int64)
    return bias + positive * below + negative * above, bias + positive * above + negative * below


def _results(sums: Array, factors: Array, y_zero: int, y: Any) -> Array:
    """What sums become in the result, of iinfo ``y``, as the reference rounds them."""
    with np.errstate(over="ignore"):
        real: Array = np.rint(np.multiply(sums.astype(np.float32), factors))
    return np.clip(real + y_zero, y.min, y.max)


def _zero(node: Node, position: int) -> int:
    value = node.optional(position)
    return 0 if value is None else int(_array(value).reshape(-1)[0])


def _array(value: Value) -> Array:
    assert value.array is not None
    return value.array
