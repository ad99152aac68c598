"""x to the power y of float32 vectors, computed in float64, so that the result is right to about one unit.

|x|^y = 2^(y * log2 |x|); log2 by the series of atanh (s = (m-1)/(m+1), nine terms), 2^r by its Taylor series. Special
values follow C (IEEE 754 pow): x^0 = 1^y = 1 even for NaN, a negative x with a y that is no integer gives NaN.
"""

from __future__ import annotations

import math
from typing import Any

from llvmlite import ir

from cnnc.runtime.cpu.vector import I64, VectorBuilder

_LOG2E = 1.0 / math.log(2.0)
_ATANH = [2.0 * _LOG2E / (2 * term + 1) for term in range(8, -1, -1)]
_EXP2 = [math.log(2.0) ** degree / math.factorial(degree) for degree in range(11, -1, -1)]
_SQRT_HALF_BITS = 0x3FE6A09E667F3BCD


def power(b: VectorBuilder, x: Any, y: Any) -> Any:
    """x^y, lane by lane."""
    double = ir.VectorType(ir.DoubleType(), b.lanes)
    magnitude = b.abs(x)
    t = b.ir.fmul(b.ir.fpext(y, double), _log2(b, b.ir.fpext(magnitude, double)))
    result = b.ir.fptrunc(_exp2(b, t), b.vector)
    one, zero, infinity = b.const(1.0), b.zero(), b.const(math.inf)
    # Zero and infinity have no logarithm: larger |x| with larger y grows, the other pairs shrink.
    extreme = b.ir.or_(b.compare("==", magnitude, zero), b.compare("==", magnitude, infinity))
    grows = b.ir.xor(b.compare("==", magnitude, infinity), b.compare("<", y, zero))
    result = b.select(extreme, b.select(grows, infinity, zero), result)
    result = b.select(b.compare("==", magnitude, one), one, result)
    integral = b.compare("==", b.floor(y), y)
    half = b.mul(y, b.const(0.5))
    odd = b.ir.and_(integral, b.compare("!=", b.floor(half), half))
    result = b.select(odd, b.copysign(result, x), result)
    root_of_negative = b.ir.and_(b.compare("<", x, zero), b.ir.not_(integral))
    result = b.select(b.ir.and_(root_of_negative, b.ir.not_(extreme)), b.const(math.nan), result)
    result = b.select(b.ir.fcmp_unordered("uno", x, y), b.const(math.nan), result)
    return b.select(b.ir.or_(b.compare("==", y, zero), b.compare("==", x, one)), one, result)


def _log2(b: VectorBuilder, x: Any) -> Any:
    """log2 of positive doubles that came from floats (so none is denormal)."""
    integers = ir.VectorType(I64, b.lanes)
    shifted = b.ir.sub(b.ir.bitcast(x, integers), _splat(integers, _SQRT_HALF_BITS))
    exponent = b.ir.sitofp(b.ir.trunc(b.ir.ashr(shifted, _splat(integers, 52)), b.integers), x.type)
    fraction = b.ir.and_(shifted, _splat(integers, (1 << 52) - 1))
    mantissa = b.ir.bitcast(b.ir.add(fraction, _splat(integers, _SQRT_HALF_BITS)), x.type)
    one = _splat(x.type, 1.0)
    s = b.ir.fdiv(b.ir.fsub(mantissa, one), b.ir.fadd(mantissa, one))
    return b.ir.fadd(exponent, b.ir.fmul(s, _polynomial(b, b.ir.fmul(s, s), _ATANH)))


def _exp2(b: VectorBuilder, t: Any) -> Any:
    """2^t of doubles; the argument is bounded, as 2^200 and 2^-200 are infinity and zero in float32."""
    integers = ir.VectorType(I64, b.lanes)
    high, low = _splat(t.type, 200.0), _splat(t.type, -200.0)
    t = b.ir.select(b.ir.fcmp_ordered("<", t, high), t, high)
    t = b.ir.select(b.ir.fcmp_ordered(">", t, low), t, low)
    # Adding 1.5 * 2^52 leaves the nearest integer in the low bits.
    rounding = _splat(t.type, 6755399441055744.0)
    shifted = b.ir.fadd(t, rounding)
    r = b.ir.fsub(t, b.ir.fsub(shifted, rounding))
    exponent = b.ir.shl(b.ir.bitcast(shifted, integers), _splat(integers, 52))
    mantissa = b.ir.bitcast(_polynomial(b, r, _EXP2), integers)
    return b.ir.bitcast(b.ir.add(mantissa, exponent), t.type)


def _polynomial(b: VectorBuilder, x: Any, coefficients: list[float]) -> Any:
    """Horner's rule, highest degree first; products and sums round apart, as x86-64-v2 has no fused multiply-add."""
    value = _splat(x.type, coefficients[0])
    for coefficient in coefficients[1:]:
        value = b.ir.fadd(b.ir.fmul(value, x), _splat(x.type, coefficient))
    return value


def _splat(kind: Any, value: float) -> Any:
    return ir.Constant(kind, [value] * kind.count)
