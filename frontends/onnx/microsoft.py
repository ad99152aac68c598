"""Operators of com.microsoft that onnxruntime's own tools write into CNN files.

The quantized ones (QLinearAdd and its kind) dequantize, compute in float32 and quantize again: that is their
definition in onnxruntime (ContribOperators.md), and what the quantized kernels are matched from.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np

from cnnc.errors import ModelError
from cnnc.frontends.onnx.generic import generic_attrs
from cnnc.frontends.onnx.node import Converted, Converter, OnnxNode
from cnnc.ir.node import Value
from cnnc.types import DType

_ACTIVATION_ATTRIBUTES = frozenset({"activation", "activation_params"})


def convert_fused_conv(node: OnnxNode) -> Converted:
    """Conv, then the addition of a fourth input, then an activation."""
    attrs = generic_attrs(node, "conv", dropped=_ACTIVATION_ATTRIBUTES)
    inputs = [node.input(0), node.input(1), node.optional(2)]
    residual = node.optional(3)
    result = node.step("conv", inputs, **attrs)
    if residual is not None:
        result = node.step("add", [result, residual])
    return _activation(node, result, node.text("activation", ""), node.reals("activation_params") or ())


def convert_fused_gemm(node: OnnxNode) -> Converted:
    """Gemm, then an activation."""
    names = frozenset({"activation", "activation_alpha", "activation_beta", "activation_gamma"})
    result = node.step("gemm", node.inputs, **generic_attrs(node, "gemm", dropped=names))
    params = tuple(node.real(name) for name in ("activation_alpha", "activation_beta") if node.has(name))
    return _activation(node, result, node.text("activation", ""), params)


def _activation(node: OnnxNode, x: Value, kind: str, params: tuple[float, ...]) -> Converted:
    dtype = x.type.dtype.numpy
    match kind, params:
        case "", _:
            return node.finish("identity", [x])
        case "Relu" | "Tanh" | "Sigmoid", _:
            return node.finish(kind.lower(), [x])
        case "LeakyRelu", (alpha, *_):
            return node.finish("leaky_relu", [x], alpha=alpha)
        case "Clip", (low, high, *_):
            return node.finish("clip", [x, node.constant(low, dtype, "min"), node.constant(high, dtype, "max")])
        case "HardSigmoid", (alpha, beta, *_):
            return node.finish("hard_sigmoid", [x], alpha=alpha, beta=beta)
    return node.refuse(f"activation {kind!r} with {len(params)} parameters is not supported")


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


def convert_fused_matmul(node: OnnxNode) -> Converted:
    """MatMul of operands whose last two axes may be swapped, times ``alpha``."""
    if node.integer("transBatchA", 0) or node.integer("transBatchB", 0):
        node.refuse("a transposed batch axis is not supported")
    a, b = (_swap(node, index, name) for index, name in enumerate(("transA", "transB")))
    alpha = node.constant(node.real("alpha", 1.0), a.type.dtype.numpy, "alpha")
    return node.finish("mul", [node.step("matmul", [a, b]), alpha])


def _swap(node: OnnxNode, index: int, name: str) -> Value:
    """Input ``index``, its last two axes swapped where the attribute says so."""
    value = node.input(index)
    rank = value.type.rank
    if not node.integer(name, 0) or rank < 2:
        return value
    return node.step("transpose", [value], perm=(*range(rank - 2), rank - 1, rank - 2))


def convert_gelu(node: OnnxNode) -> Converted:
    """The exact GELU."""
    return node.finish("gelu", [node.input(0)])


def convert_bias_gelu(node: OnnxNode) -> Converted:
    """GELU of a sum."""
    return node.finish("gelu", [node.step("add", [node.input(0), node.input(1)])])


def convert_fast_gelu(node: OnnxNode) -> Converted:
    """GELU by tanh, of a sum where a bias is given."""
    x, bias = node.input(0), node.optional(1)
    return node.finish("gelu", [x if bias is None else node.step("add", [x, bias])], approximate="tanh")


def convert_quick_gelu(node: OnnxNode) -> Converted:
    """x * sigmoid(alpha * x)."""
    x = node.input(0)
    alpha = node.constant(node.real("alpha", 1.702), x.type.dtype.numpy, "alpha")
    return node.finish("mul", [x, node.step("sigmoid", [node.step("mul", [x, alpha])])])


CONVERTERS: Mapping[str, Converter] = {
    "BiasGelu": convert_bias_gelu,
    "FastGelu": convert_fast_gelu,
    "FusedConv": convert_fused_conv,
    "FusedGemm": convert_fused_gemm,
    "FusedMatMul": convert_fused_matmul,
    "Gelu": convert_gelu,
    "QGemm": convert_quantized_gemm,
    "QLinearAdd": partial(convert_quantized_binary, op="add"),
    "QLinearAveragePool": convert_quantized_average_pool,
    "QLinearConcat": convert_quantized_concat,
    "QLinearGlobalAveragePool": convert_quantized_global_average_pool,
    "QLinearLeakyRelu": partial(convert_quantized_unary, op="leaky_relu"),
    "QLinearMul": partial(convert_quantized_binary, op="mul"),
    "QLinearSigmoid": partial(convert_quantized_unary, op="sigmoid"),
    "QuickGelu": convert_quick_gelu,
}
