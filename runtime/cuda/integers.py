"""Integer arithmetic for Numba CUDA code. Numba computes in 64 bits, where GPUs divide slowly: these use 32.

Imported only while a kernel is compiled.
"""

from __future__ import annotations

from typing import Any

from numba.core import cgutils
from numba.cuda import types

from cnnc.runtime.cuda.intrinsics import F32, FLOAT, I32, I64, INT, device_function


def _divide(builder: Any, a: Any, b: Any) -> Any:
    """(quotient, remainder)."""
    dividend, divisor = builder.trunc(a, I32), builder.trunc(b, I32)
    quotient = builder.udiv(dividend, divisor)
    remainder = builder.sub(dividend, builder.mul(quotient, divisor))
    return cgutils.pack_array(builder, [builder.zext(quotient, I64), builder.zext(remainder, I64)])


def _float_of_bits(builder: Any, bits: Any) -> Any:
    return builder.bitcast(builder.trunc(bits, I32), F32)


divide = device_function(types.UniTuple(types.int64, 2), [INT, INT], _divide)
"""divide(a, b): (a // b, a % b) of numbers from 0 to 2**32 - 1."""
float_of_bits = device_function(FLOAT, [INT], _float_of_bits)
"""The float32 that an argument slot holds as bits."""
