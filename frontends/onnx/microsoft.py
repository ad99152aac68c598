"""Operators on floats of com.microsoft that onnxruntime's own tools write into CNN files."""

from __future__ import annotations

from collections.abc import Mapping

from cnnc.frontends.onnx.generic import generic_attrs
from cnnc.frontends.onnx.node import Converted, Converter, OnnxNode
from cnnc.ir.node import Value

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
    "QuickGelu": convert_quick_gelu,
}
