"""Quantized operators of com.microsoft that onnxruntime's own tools write into CNN files.

They dequantize, compute in float32 and quantize again: that is their definition in onnxruntime (ContribOperators.md),
and what the quantized kernels are matched from.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np

from cnnc.errors import ModelError
from cnnc.frontends.onnx.activations import softmax
from cnnc.frontends.onnx.generic import generic_attrs
from cnnc.frontends.onnx.node import Converted, Converter, OnnxNode
from cnnc.ir.node import Value
from cnnc.types import DType


def _dequantize(node: OnnxNode, first: int, *, axis: int = 1) -> Value:
    """Real values of the three inputs (stored, scale, zero point) from ``first`` on; scales lie along ``axis``."""
    stored, scale, zero_point = node.input(first), node.input(first + 1), node.optional(first + 2)
    return node.step("dequantize_linear", [stored, scale, zero_point], axis=axis)


def _quantize(node: OnnxNode, real: Value, first: int, like: Value) -> Converted:
    """Real values stored with the scale and zero point at inputs ``first`` and ``first + 1``."""
    zero_point = node.optional(first + 1)
    if zero_point is None:
        zero_point = node.constant(0, like.type.dtype.numpy, "zero_point")
    return node.finish("quantize_linear", [real, node.input(first), zero_point])


def convert_quantized_binary(node: OnnxNode, *, op: str) -> Converted:
    """(A, scale, zero point, B, scale, zero point, C scale, C zero point) -> C."""
    real = node.step(op, [_dequantize(node, 0), _dequantize(node, 3)])
    return _quantize(node, real, 6, node.input(0))


def convert_quantized_unary(node: OnnxNode, *, op: str) -> Converted:
    """(X, scale, zero point, Y scale, Y zero point) -> Y."""
    real = node.step(op, [_dequantize(node, 0)], **generic_attrs(node, op))
    return _quantize(node, real, 3, node.input(0))


def convert_quantized_global_average_pool(node: OnnxNode) -> Converted:
    """(X, scale, zero point, Y scale, Y zero point) -> Y, over N C H W or, with channels_last, N H W C."""
    real = _dequantize(node, 0)
    if node.integer("channels_last", 0):
        axes = node.constant(range(1, real.type.rank - 1), np.int64, "axes")
        pooled = node.step("reduce_mean", [real, axes], keepdims=1)
    else:
        pooled = node.step("global_average_pool", [real])
    return _quantize(node, pooled, 3, node.input(0))


def convert_quantized_softmax(node: OnnxNode) -> Converted:
    """Softmax between dequantization and quantization, as of the default domain's opset that the node names."""
    return _quantize(node, softmax(node, _dequantize(node, 0), node.integer("opset")), 3, node.input(0))


def convert_quantized_reduce_mean(node: OnnxNode) -> Converted:
    """ReduceMean over axes that are attributes, between dequantization and quantization."""
    axes = node.constant(node.integers("axes") or (), np.int64, "axes")
    mean = node.step("reduce_mean", [_dequantize(node, 0), axes], keepdims=node.integer("keepdims", 1))
    return _quantize(node, mean, 3, node.input(0))


def convert_quantized_where(node: OnnxNode) -> Converted:
    """(condition, X, scale, zero point, Y, scale, zero point, Z scale, Z zero point) -> Z."""
    real = node.step("where", [node.input(0), _dequantize(node, 1), _dequantize(node, 4)])
    return _quantize(node, real, 7, node.input(1))


def convert_quantized_average_pool(node: OnnxNode) -> Converted:
    """AveragePool between dequantization and quantization."""
    if node.integer("channels_last", 0):
        node.refuse("channels_last pools are not supported")
    attrs = generic_attrs(node, "average_pool", dropped=frozenset({"channels_last"}))
    real = node.step("average_pool", [_dequantize(node, 0)], **attrs)
    return _quantize(node, real, 3, node.input(0))


def convert_quantized_concat(node: OnnxNode) -> Converted:
    """(Y scale, Y zero point, then X, scale, zero point of each part) -> Y."""
    if (len(node.inputs) - 2) % 3:
        raise ModelError(f"{len(node.inputs)} inputs are not two plus three for each part")
    parts = [_dequantize(node, first) for first in range(2, len(node.inputs), 3)]
    real = node.step("concat", parts, axis=node.integer("axis"))
    return _quantize(node, real, 0, node.input(2))


def convert_quantized_gemm(node: OnnxNode) -> Converted:
    """(A, scale, zero point, B, scale, zero point, C int32, Y scale, Y zero point) -> Y, real without a Y scale.

    B may have a scale for each output column; C is stored with scale ``alpha * A scale * B scale`` and no zero point.
    """
    alpha, transposed = node.real("alpha", 1.0), node.integer("transB", 0)
    if node.optional(7) is not None:
        inputs = [node.input(index) if index != 6 else node.optional(index) for index in range(8)]
        zero_point = node.optional(8)
        if zero_point is None:
            zero_point = node.constant(0, node.input(0).type.dtype.numpy, "zero_point")
        return node.finish("q_linear_gemm", [*inputs, zero_point], **generic_attrs(node, "q_linear_gemm"))
    a, b = _dequantize(node, 0), _dequantize(node, 3, axis=0 if transposed else 1)
    real = node.step("gemm", [a, b], alpha=alpha, transA=node.integer("transA", 0), transB=transposed)
    stored = node.optional(6)
    if stored is None:
        return node.finish("identity", [real])
    scale = node.step("mul", [node.input(1), node.input(4)])
    scale = node.step("mul", [scale, node.constant(alpha, np.float32, "alpha")])
    bias = node.step("mul", [node.step("cast", [stored], to=DType.F32), scale])
    return node.finish("add", [real, bias])


def convert_quantize_linear(node: OnnxNode) -> Converted:
    """As of the default domain, whose older opsets have it for bytes alone."""
    return node.finish("quantize_linear", node.inputs, **generic_attrs(node, "quantize_linear"))


def convert_dequantize_linear(node: OnnxNode) -> Converted:
    """As of the default domain, whose older opsets have it for bytes alone."""
    return node.finish("dequantize_linear", node.inputs, **generic_attrs(node, "dequantize_linear"))


def convert_matmul_integer_to_float(node: OnnxNode) -> Converted:
    """(A, B, A scale, B scale, A zero point, B zero point, bias) -> the real product of A and B, and the bias."""
    a = node.step("dequantize_linear", [node.input(0), node.input(2), node.optional(4)])
    return _product(node, a, node.input(1), node.input(3), node.optional(5), node.optional(6))


def convert_dynamic_quantize_matmul(node: OnnxNode) -> Converted:
    """(A real, B, B scale, B zero point, bias): A is quantized over its own range, and multiplied by B."""
    stored, scale, zero_point = node.steps("dynamic_quantize_linear", [node.input(0)], 3)
    a = node.step("dequantize_linear", [stored, scale, zero_point])
    return _product(node, a, node.input(1), node.input(2), node.optional(3), node.optional(4))


def _product(
    node: OnnxNode, a: Value, b: Value, b_scale: Value, b_zero_point: Value | None, bias: Value | None
) -> Converted:
    """``a`` times the dequantized ``b`` [..., K, N], which may have a scale for each of the N columns."""
    real = node.step("matmul", [a, node.step("dequantize_linear", [b, b_scale, b_zero_point], axis=b.type.rank - 1)])
    return node.finish("identity", [real]) if bias is None else node.finish("add", [real, bias])


CONVERTERS: Mapping[str, Converter] = {
    "DequantizeLinear": convert_dequantize_linear,
    "DynamicQuantizeMatMul": convert_dynamic_quantize_matmul,
    "MatMulIntegerToFloat": convert_matmul_integer_to_float,
    "QGemm": convert_quantized_gemm,
    "QLinearAdd": partial(convert_quantized_binary, op="add"),
    "QLinearAveragePool": convert_quantized_average_pool,
    "QLinearConcat": convert_quantized_concat,
    "QLinearGlobalAveragePool": convert_quantized_global_average_pool,
    "QLinearLeakyRelu": partial(convert_quantized_unary, op="leaky_relu"),
    "QLinearMul": partial(convert_quantized_binary, op="mul"),
    "QLinearReduceMean": convert_quantized_reduce_mean,
    "QLinearSigmoid": partial(convert_quantized_unary, op="sigmoid"),
    "QLinearSoftmax": convert_quantized_softmax,
    "QLinearWhere": convert_quantized_where,
    "QuantizeLinear": convert_quantize_linear,
}
