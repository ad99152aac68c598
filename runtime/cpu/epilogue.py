"""Activations applied to sums while they are in registers.

Parameters come at run time as float32 bits in the argument block (``alpha``, ``beta``), so that one compiled kernel
serves every slope and bound. Formulas are ONNX's; NaN stays NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from llvmlite import ir

from cnnc.runtime.cpu import vector_math
from cnnc.runtime.cpu.vector import VectorBuilder

Emit = Callable[[VectorBuilder, ir.Value, ir.Value, ir.Value], ir.Value]
"""(builder, x, alpha, beta) -> activation of x; all vectors."""


def _relu(b: VectorBuilder, x: ir.Value, alpha: ir.Value, beta: ir.Value) -> ir.Value:
    return b.at_least(x, b.zero())


def _clip(b: VectorBuilder, x: ir.Value, alpha: ir.Value, beta: ir.Value) -> ir.Value:
    return b.clamp(x, alpha, beta)


def _leaky_relu(b: VectorBuilder, x: ir.Value, alpha: ir.Value, beta: ir.Value) -> ir.Value:
    return b.select(b.compare("<", x, b.zero()), b.mul(x, alpha), x)


def _thresholded_relu(b: VectorBuilder, x: ir.Value, alpha: ir.Value, beta: ir.Value) -> ir.Value:
    return b.select(b.compare("<=", x, alpha), b.zero(), x)


def _sigmoid(b: VectorBuilder, x: ir.Value, alpha: ir.Value, beta: ir.Value) -> ir.Value:
    return vector_math.sigmoid(b, x)


def _tanh(b: VectorBuilder, x: ir.Value, alpha: ir.Value, beta: ir.Value) -> ir.Value:
    return vector_math.tanh(b, x)


def _hard_sigmoid(b: VectorBuilder, x: ir.Value, alpha: ir.Value, beta: ir.Value) -> ir.Value:
    return b.clamp(b.fma(x, alpha, beta), b.zero(), b.const(1.0))


def _hard_swish(b: VectorBuilder, x: ir.Value, alpha: ir.Value, beta: ir.Value) -> ir.Value:
    return b.mul(x, b.clamp(b.fma(x, b.const(1.0 / 6.0), b.const(0.5)), b.zero(), b.const(1.0)))


def _silu(b: VectorBuilder, x: ir.Value, alpha: ir.Value, beta: ir.Value) -> ir.Value:
    return vector_math.silu(b, x)


def _mish(b: VectorBuilder, x: ir.Value, alpha: ir.Value, beta: ir.Value) -> ir.Value:
    # tanh(log(1 + e^x)) = n / (n + 2) with n = e^x * (e^x + 2); it is 1 from x = 20 on.
    e = vector_math.exp(b, b.at_most(x, b.const(20.0)))
    n = b.mul(e, b.add(e, b.const(2.0)))
    return b.mul(x, b.div(n, b.add(n, b.const(2.0))))


def _gelu(b: VectorBuilder, x: ir.Value, alpha: ir.Value, beta: ir.Value) -> ir.Value:
    return b.mul(b.mul(x, b.const(0.5)), b.add(b.const(1.0), vector_math.erf(b, b.mul(x, b.const(math.sqrt(0.5))))))


def _gelu_tanh(b: VectorBuilder, x: ir.Value, alpha: ir.Value, beta: ir.Value) -> ir.Value:
    cubic = b.mul(x, b.fma(b.mul(x, x), b.const(0.044715), b.const(1.0)))
    return b.mul(
        b.mul(x, b.const(0.5)), b.add(b.const(1.0), vector_math.tanh(b, b.mul(cubic, b.const(math.sqrt(2 / math.pi)))))
    )


def _softplus(b: VectorBuilder, x: ir.Value, alpha: ir.Value, beta: ir.Value) -> ir.Value:
    return vector_math.softplus(b, x)


def _softsign(b: VectorBuilder, x: ir.Value, alpha: ir.Value, beta: ir.Value) -> ir.Value:
    return b.div(x, b.add(b.const(1.0), b.abs(x)))


def _elu(b: VectorBuilder, x: ir.Value, alpha: ir.Value, beta: ir.Value) -> ir.Value:
    return b.select(b.compare("<", x, b.zero()), b.mul(alpha, vector_math.expm1(b, x)), x)


def _selu(b: VectorBuilder, x: ir.Value, alpha: ir.Value, beta: ir.Value) -> ir.Value:
    return b.mul(beta, _elu(b, x, alpha, beta))


def _celu(b: VectorBuilder, x: ir.Value, alpha: ir.Value, beta: ir.Value) -> ir.Value:
    return b.select(b.compare("<", x, b.zero()), b.mul(alpha, vector_math.expm1(b, b.div(x, alpha))), x)


_EMIT: dict[str, Emit] = {
    "none": lambda b, x, alpha, beta: x,
    "relu": _relu,
    "clip": _clip,  # alpha: least, beta: greatest
    "leaky_relu": _leaky_relu,  # alpha: slope
    "thresholded_relu": _thresholded_relu,  # alpha: threshold
    "sigmoid": _sigmoid,
    "tanh": _tanh,
    "hard_sigmoid": _hard_sigmoid,  # alpha * x + beta
    "hard_swish": _hard_swish,
    "silu": _silu,
    "mish": _mish,
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "softplus": _softplus,
    "softsign": _softsign,
    "elu": _elu,  # alpha
    "selu": _selu,  # alpha, beta: gamma
    "celu": _celu,  # alpha
}


def emit_activation(
    b: VectorBuilder, kind: str, x: ir.Value, alpha: ir.Value, beta: ir.Value, slope: ir.Value | None = None
) -> ir.Value:
    """Activation ``kind`` of vector ``x``; ``slope`` holds the slopes of PReLU for the lanes."""
    if kind == "prelu":
        return _leaky_relu(b, x, slope, beta)
    return _EMIT[kind](b, x, alpha, beta)


@dataclass(frozen=True, slots=True)
class Activation:
    """A kind with its parameters as vectors; ``slope`` is None but for prelu."""

    kind: str
    alpha: ir.Value
    beta: ir.Value
    slope: ir.Value | None = None


def emit_output(
    b: VectorBuilder,
    activation: Activation,
    total: ir.Value,
    y: ir.Value,
    residual: ir.Value | None,
    offset: ir.Value | int,
    mask: ir.Value | None = None,
) -> None:
    """Store activation(total + residual) at address ``y`` + offset; ``residual`` is an address or None."""
    if residual is not None:
        total = b.add(total, b.load(residual, offset) if mask is None else b.load_masked(residual, mask, offset))
    total = emit_activation(b, activation.kind, total, activation.alpha, activation.beta, activation.slope)
    if mask is None:
        b.store(total, y, offset)
    else:
        b.store_masked(total, y, mask, offset)
