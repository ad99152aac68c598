"""Quantized ops. Those of ONNX are written as they are; onnxruntime's own as DequantizeLinear, op, QuantizeLinear.

So an exported model needs no operators but the standard ones, and any tool can run it. What stands between dequantize
and quantize is computed in float32 there: results may differ by one step of the quantization.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from cnnc.export.operation import Operand
from cnnc.export.writer import Exporter, NodeWriter
from cnnc.ir.fact import Array
from cnnc.ops.pool import AveragePoolAttrs
from cnnc.types import DType, TensorType

_BYTES = (DType.I8, DType.U8)


def export_q_linear_conv(node: NodeWriter) -> None:
    """QLinearConv; ONNX has it for bytes only, so 16 bits are dequantized."""
    x, w = node.input(0), node.input(3)
    if x.type.dtype in _BYTES and w.type.dtype in _BYTES and node.output.type.dtype in _BYTES:
        inputs = list(node.inputs)
        for index, like in ((2, x), (5, w)):
            inputs[index] = inputs[index] or _zero(node, like.type.dtype)
        node.finish("QLinearConv", inputs, **node.fields())
        return
    bias = _real_bias(node, node.optional(8), [node.input(1), node.input(4)], 1.0, w.type.shape[0])
    real = [_dequantized(node, 0), _dequantized(node, 3, axis=0), bias]
    _finish_quantized(node, node.step("Conv", real, _real_type(node), **node.fields()), 6)


def export_q_linear_gemm(node: NodeWriter) -> None:
    """(A, scale, zero point, B, scale, zero point, C, Y scale, Y zero point): Gemm of real values."""
    attrs = node.attrs
    a, b = _dequantized(node, 0), _dequantized(node, 3, axis=0 if attrs.transB else 1)
    scales = [node.input(1), node.input(4)]
    c = _real_bias(node, node.optional(6), scales, attrs.alpha, node.output.type.shape[1])
    _finish_quantized(node, node.step("Gemm", [a, b, c], _real_type(node), **node.fields()), 7)


def export_requantize(node: NodeWriter) -> None:
    """Dequantized, then quantized again."""
    _finish_quantized(node, _dequantized(node, 0), 3)


def export_lookup(node: NodeWriter) -> None:
    """Gather from the table: what is negative counts from its end, as bits do."""
    x = node.input(0)
    index = node.step("Cast", [x], TensorType(x.type.shape, DType.I32), to=DType.I32)
    node.finish("Gather", [node.input(1), index], axis=0)


def export_q_linear_binary(node: NodeWriter, *, op_type: str) -> None:
    """(A, scale, zero point, B, scale, zero point, C scale, C zero point)."""
    real = node.step(op_type, [_dequantized(node, 0), _dequantized(node, 3)], _real_type(node))
    _finish_quantized(node, real, 6)


def export_q_linear_unary(node: NodeWriter, *, op_type: str) -> None:
    """(X, scale, zero point, Y scale, Y zero point)."""
    _finish_quantized(node, node.step(op_type, [_dequantized(node, 0)], _real_type(node), **node.fields()), 3)


def export_q_linear_concat(node: NodeWriter) -> None:
    """(Y scale, Y zero point, then X, scale, zero point of each piece)."""
    pieces = [_dequantized(node, first) for first in range(2, len(node.inputs), 3)]
    _finish_quantized(node, node.step("Concat", pieces, _real_type(node), axis=node.attrs.axis), 0)


def export_q_linear_global_average_pool(node: NodeWriter) -> None:
    """Mean over the spatial axes of [N, C, ...], or of [N, ..., C]."""
    real = _dequantized(node, 0)
    if node.attrs.channels_last:
        axes = node.int64(range(1, real.type.rank - 1), "axes")
        pooled = node.step("ReduceMean", [real, axes], _real_type(node))
    else:
        pooled = node.step("GlobalAveragePool", [real], _real_type(node))
    _finish_quantized(node, pooled, 3)


def export_q_linear_average_pool(node: NodeWriter) -> None:
    """AveragePool; channels that come last are moved to the front and back."""
    real, type = _dequantized(node, 0), _real_type(node)
    attrs = AveragePoolAttrs(**node.fields("channels_last"))
    if not node.attrs.channels_last:
        _finish_quantized(node, node.part("average_pool", [real], attrs, type), 3)
        return
    rank = real.type.rank
    to_front, to_back = (0, rank - 1, *range(1, rank - 1)), (0, *range(2, rank), 1)
    images = node.step("Transpose", [real], _permuted(real.type, to_front), perm=to_front)
    pooled = node.part("average_pool", [images], attrs, _permuted(type, to_front))
    _finish_quantized(node, node.step("Transpose", [pooled], type, perm=to_back), 3)


def _permuted(type: TensorType, perm: tuple[int, ...]) -> TensorType:
    return TensorType(tuple(type.shape[axis] for axis in perm), type.dtype)


def _real_type(node: NodeWriter) -> TensorType:
    """The type of the result before it is quantized."""
    scale = next(operand for operand in node.inputs if operand is not None and operand.type.dtype.is_float)
    return TensorType(node.output.type.shape, scale.type.dtype)


def _dequantized(node: NodeWriter, first: int, *, axis: int = 1) -> Operand:
    """Real values of the three inputs (stored, scale, zero point) from ``first`` on; scales lie along ``axis``."""
    stored, scale, zero_point = node.input(first), node.input(first + 1), node.optional(first + 2)
    scale = _one_element(node, scale)
    zero_point = None if zero_point is None else _one_element(node, zero_point)
    type = TensorType(stored.type.shape, scale.type.dtype)
    along = axis if scale.type.rank == 1 else None
    return node.step("DequantizeLinear", [stored, scale, zero_point], type, axis=along)


def _finish_quantized(node: NodeWriter, real: Operand, first: int) -> None:
    """The result: ``real`` stored with the scale and zero point at inputs ``first`` and ``first + 1``."""
    zero_point = node.optional(first + 1) or _zero(node, node.output.type.dtype)
    node.finish("QuantizeLinear", [real, _one_element(node, node.input(first)), _one_element(node, zero_point)])


def _zero(node: NodeWriter, dtype: DType) -> Operand:
    return node.constant(0, dtype, "zero_point")


def _one_element(node: NodeWriter, operand: Operand) -> Operand:
    """A scale or zero point; a vector of one element, which would mean one a channel, becomes a scalar."""
    if operand.array is None or operand.array.shape != (1,):
        return operand
    return node.model.new_constant(operand.array.reshape(()), operand.name)


def _real_bias(
    node: NodeWriter, stored: Operand | None, scales: list[Operand], alpha: float, columns: Any
) -> Operand | None:
    """An int32 bias dequantized by the product of ``scales`` and ``alpha``, one in all or one a column."""
    if stored is None:
        return None
    arrays = [scale.array for scale in scales if scale.array is not None]
    if len(arrays) < len(scales):
        node.refuse("its scales are computed, and its bias is stored in steps of them", "quantize with constant scales")
    first, second = arrays
    product: Array = (first.dtype.type(alpha) * np.multiply(first, second)).reshape(-1)
    if product.size > 1 and stored.type.shape[-1:] != (columns,):
        node.refuse(f"its bias {stored.type} has not one element for each of its {product.size} scales")
    scale = node.model.new_constant(product if product.size > 1 else product.reshape(()), f"{node.output.name}.scale")
    type = TensorType(stored.type.shape, scale.type.dtype)
    axis = stored.type.rank - 1 if product.size > 1 else None
    return node.step("DequantizeLinear", [stored, scale], type, axis=axis)


EXPORTERS: Mapping[str, Exporter] = {
    "lookup": export_lookup,
    "q_linear_add": partial(export_q_linear_binary, op_type="Add"),
    "q_linear_average_pool": export_q_linear_average_pool,
    "q_linear_concat": export_q_linear_concat,
    "q_linear_conv": export_q_linear_conv,
    "q_linear_gemm": export_q_linear_gemm,
    "q_linear_global_average_pool": export_q_linear_global_average_pool,
    "q_linear_leaky_relu": partial(export_q_linear_unary, op_type="LeakyRelu"),
    "q_linear_mul": partial(export_q_linear_binary, op_type="Mul"),
    "q_linear_sigmoid": partial(export_q_linear_unary, op_type="Sigmoid"),
    "requantize": export_requantize,
}
