"""Floats to bytes for Numba CUDA code: rint(x) + zero point, saturated, as QuantizeLinear rounds.

``zero`` is the zero point and ``least`` the smallest value of the type, 0 or -128; the largest is 255 more. Both are
32-bit integers. Imported only while a kernel is compiled.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from cnnc.runtime.cuda.intrinsics import F32, I32, assembly

_RANGE = 255
_MAGIC = 12582912.0
"""1.5 * 2^23: floats of this size are integers, so that adding it rounds, half to even, and the low bits of the sum are
the integer."""


def _clamped(builder: Any, value: Any, low: Any) -> Any:
    high = builder.add(low, I32(_RANGE))
    bounded = builder.select(builder.icmp_signed("<", value, low), low, value)
    return builder.select(builder.icmp_signed(">", bounded, high), high, bounded)


def emit_stored(builder: Any, real: Any, zero: Any, least: Any) -> Any:
    """The byte of a float, as a 32-bit integer; NaN becomes the zero point.

    The conversion saturates, and gives 0 for NaN. Sums with the zero point fit 32 bits once they are clamped.
    """
    nearest = assembly(builder, I32, "cvt.rni.s32.f32 $0, $1;", "=r,f", [real])
    return builder.add(_clamped(builder, nearest, builder.sub(least, zero)), zero)


def emit_rounded(builder: Any, shifted: Any, zero: Any, least: Any) -> Any:
    """The same of a float that holds the zero point already: ties go where shifted - zero is even.

    The difference is not computed, as its own rounding could make a tie. An odd number is added instead of an even one:
    then ties go to odd integers.
    """
    low, high = builder.sitofp(least, F32), builder.sitofp(builder.add(least, I32(_RANGE)), F32)
    bounded = assembly(builder, F32, "max.f32 $0, $1, $2;", "=f,f,f", [shifted, low])
    bounded = assembly(builder, F32, "min.f32 $0, $1, $2;", "=f,f,f", [bounded, high])
    odd = builder.and_(zero, I32(1))
    magic = builder.fadd(ir.Constant(F32, _MAGIC), builder.sitofp(odd, F32))
    total = assembly(builder, F32, "add.rn.f32 $0, $1, $2;", "=f,f,f", [bounded, magic])
    return builder.sub(builder.sub(builder.bitcast(total, I32), odd), I32(0x4B400000))
