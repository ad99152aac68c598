"""Integer arithmetic for Numba CUDA code. Numba computes in 64 bits, where GPUs divide slowly: these use 32.

Imported only while a kernel is compiled.
"""

from __future__ import annotations

from typing import Any

from numba.core import cgutils
from numba.cuda import types

from cnnc.runtime.cuda.intrinsics import BOOL, F32, FLOAT, I32, I64, INT, assembly, device_function


def _divide(builder: Any, a: Any, b: Any) -> Any:
    """(quotient, remainder)."""
    dividend, divisor = builder.trunc(a, I32), builder.trunc(b, I32)
    quotient = builder.udiv(dividend, divisor)
    remainder = builder.sub(dividend, builder.mul(quotient, divisor))
    return cgutils.pack_array(builder, [builder.zext(quotient, I64), builder.zext(remainder, I64)])


def _below(builder: Any, a: Any, b: Any) -> Any:
    return builder.icmp_unsigned("<", a, b)


def _float_of_bits(builder: Any, bits: Any) -> Any:
    return builder.bitcast(builder.trunc(bits, I32), F32)


def _bits_of_float(builder: Any, value: Any) -> Any:
    return builder.zext(builder.bitcast(value, I32), I64)


divide = device_function(types.UniTuple(types.int64, 2), [INT, INT], _divide)
"""divide(a, b): (a // b, a % b) of numbers from 0 to 2**32 - 1."""
narrow = device_function(types.int32, [INT], lambda builder, a: builder.trunc(a, I32))
"""narrow(a): its lower 32 bits. Numba adds numbers of 32 bits in 64: ``add`` does not."""
add = device_function(types.int32, [types.int32] * 2, lambda builder, a, b: builder.add(a, b))
below = device_function(BOOL, [types.int32] * 2, _below)
"""below(a, b): a < b of unsigned numbers, which is 0 <= a < b where b is not negative."""
word = device_function(INT, [INT], lambda builder, a: builder.zext(builder.trunc(a, I32), I64))
"""word(a): a, which is from 0 to 2**32 - 1: it takes one register then, not two."""
opaque = device_function(INT, [INT], lambda builder, a: assembly(builder, I64, "mov.b64 $0, $1;", "=l,l", [a]))
"""opaque(a): a. The compiler does not compute it again where it is used, as in a loop."""
block_again = device_function(
    INT,
    [],
    lambda builder: builder.zext(assembly(builder, I32, "mov.u32 $0, %ctaid.x;", "=r", [], has_effect=True), I64),
)
"""block_again(): the block's number. What follows from it is computed anew, where keeping it would take registers."""
float_of_bits = device_function(FLOAT, [INT], _float_of_bits)
"""The float32 that an argument slot holds as bits."""
bits_of_float = device_function(INT, [FLOAT], _bits_of_float)
