"""Layers between dequantize_linear and quantize_linear -> q_linear_conv, q_linear_gemm, q_linear_matmul."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnc.ir import ANY, Match, Op, Patch, Rule, Value, known_array
from cnnc.ops.quantized import QLinearGemmAttrs, QuantizedConvAttrs
from cnnc.passes.quantized_operand import Float64, Quantized, read_operand, read_result
from cnnc.types import DType

_BYTES = (DType.I8, DType.U8)
_INT32 = np.iinfo(np.int32)

BIAS_SCALE_TOLERANCE = 1e-6
"""Relative: a bias is stored in steps of x_scale * w_scale, which its own float32 scale holds but for rounding."""

LARGEST_BIAS_ERROR = 1 / 64
"""Of a step of the result: what rounding a bias to steps of the sums may add, which are much finer mostly."""


def read_bias(value: Value | None, steps: Float64, y: Quantized, patch: Patch) -> Value | str | None:
    """The bias behind ``value`` as int32 in steps of ``steps``; None where the layer has none.

    One that is stored so is taken as it is; of other constants, floats or in other steps, the nearest steps.
    """
    if value is None:
        return None
    bias = read_operand(value, axis=value.type.rank - 1)
    if isinstance(bias, str):
        array = known_array(value)
        if array is None or array.dtype != np.float32 or not np.isfinite(array).all():
            return f"the bias {bias}"
        return _in_steps(value, array.astype(np.float64), steps, y, patch)
    stored = known_array(bias.stored)
    zero_point = None if bias.zero_point is None else known_array(bias.zero_point)
    scales = bias.scales
    if stored is None:
        return "the bias is computed"
    fits = scales.size in (1, steps.size) or steps.size == 1
    if not fits:
        return f"the bias has {scales.size} scales for {steps.size} of the weights"
    is_plain = bias.dtype is DType.I32 and (zero_point is None or not zero_point.any())
    if is_plain and np.allclose(scales, steps, rtol=BIAS_SCALE_TOLERANCE, atol=0):
        return bias.stored
    zeros = 0.0 if zero_point is None else zero_point.reshape(-1).astype(np.float64)
    return _in_steps(bias.stored, (stored.astype(np.float64) - zeros) * scales, steps, y, patch)


def _in_steps(value: Value, real: Float64, steps: Float64, y: Quantized, patch: Patch) -> Value | str:
    """``real`` in whole ``steps``, along its last axis."""
    counted = np.rint(real / steps)
    if np.abs(counted * steps - real).max(initial=0) > LARGEST_BIAS_ERROR * y.scales[0]:
        return "the bias is not near whole steps of the product of the scales of input and weights"
    if np.abs(counted).max(initial=0) > _INT32.max:
        return "the bias is beyond int32 in steps of the product of the scales of input and weights"
    return patch.constant(counted.astype(np.int32), f"{value.name}.stored")


def read_sides(found: Match, weights_axis: int | None) -> tuple[Quantized, Quantized, Quantized] | str:
    """Input, weights and result of the layer, or why one of them is not quantized as the integer op needs it."""
    layer = found.node("layer")
    x, w, y = read_operand(layer.input(0)), read_operand(layer.input(1), axis=weights_axis), read_result(found.root)
    for side in (x, w, y):
        if isinstance(side, str):
            return side
    assert not isinstance(x, str) and not isinstance(w, str) and not isinstance(y, str)
    if any(side.dtype not in _BYTES for side in (x, w, y)):
        return f"the sums of {layer.op} are exact for bytes, not for {x.dtype.value}, {w.dtype.value}, {y.dtype.value}"
    return x, w, y


def _apply_conv(found: Match, patch: Patch) -> str | None:
    conv = found.node("layer")
    attrs: Any = conv.attrs
    if not attrs.activation.is_identity or conv.optional(3) is not None:
        return f"conv {conv.name!r} has an epilogue already"
    sides = read_sides(found, weights_axis=0)
    if isinstance(sides, str):
        return sides
    x, w, y = sides
    bias = read_bias(conv.optional(2), x.scales * w.scales, y, patch)
    if isinstance(bias, str):
        return bias
    keywords = {name: getattr(attrs, name) for name in QuantizedConvAttrs.__dataclass_fields__}
    inputs = [*x.triple(patch), *w.triple(patch), *y.pair(patch), bias]
    made = patch.node("q_linear_conv", inputs, QuantizedConvAttrs(**keywords), loc=found.loc)
    patch.replace(found.root.output, made)
    return None


def _apply_gemm(found: Match, patch: Patch) -> str | None:
    gemm = found.node("layer")
    attrs: Any = gemm.attrs
    if not attrs.activation.is_identity:
        return f"gemm {gemm.name!r} has an activation already"
    given = gemm.optional(2)
    if given is not None and attrs.beta != 1:
        return f"gemm {gemm.name!r} multiplies its bias by {attrs.beta:g}"
    sides = read_sides(found, weights_axis=0 if attrs.transB else 1)
    if isinstance(sides, str):
        return sides
    a, b, y = sides
    bias = read_bias(given, a.scales * b.scales * attrs.alpha, y, patch)
    if isinstance(bias, str):
        return bias
    flags = QLinearGemmAttrs(attrs.alpha, attrs.transA, attrs.transB)
    inputs = [*a.triple(patch), *b.triple(patch), bias, *y.pair(patch)]
    patch.replace(found.root.output, patch.node("q_linear_gemm", inputs, flags, loc=found.loc))
    return None


def _apply_matmul(found: Match, patch: Patch) -> str | None:
    product = found.node("layer")
    sides = read_sides(found, weights_axis=1 if product.input(1).type.rank == 2 else None)
    if isinstance(sides, str):
        return sides
    a, b, y = sides
    inputs = [*a.triple(patch), *b.triple(patch), *y.pair(patch)]
    patch.replace(found.root.output, patch.node("q_linear_matmul", inputs, loc=found.loc))
    return None


def _rule(op: str, apply: Any) -> Rule:
    layer = Op(op, ANY, ANY, rest=True, name="layer")
    return Rule("fuse-quantized-ops", Op("quantize_linear", layer, rest=True), apply)


LAYER_RULES = (_rule("conv", _apply_conv), _rule("gemm", _apply_gemm), _rule("matmul", _apply_matmul))
