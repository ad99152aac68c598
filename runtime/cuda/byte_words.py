"""Arithmetic on words of four bytes, for Numba CUDA code. Imported only while a kernel is compiled."""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from cnnc.runtime.cuda.byte_access import WORD
from cnnc.runtime.cuda.intrinsics import F32, I32, assembly, device_function

BYTES = 4
"""Of a word."""


def dot_type(element: str) -> str:
    """PTX's name of the type of four bytes u8 or i8."""
    return {"u8": "u32", "i8": "s32"}[element]


def emit_dot(builder: Any, weights: Any, bytes: Any, total: Any, element: str) -> Any:
    """``total`` plus the four products of int8 weights with bytes of type ``element`` (``dp4a``)."""
    text = f"dp4a.s32.{dot_type(element)} $0, $1, $2, $3;"
    return assembly(builder, I32, text, "=r,r,r,r", [weights, bytes, total])


def emit_bytes(builder: Any, word: Any, element: str) -> list[Any]:
    """The four bytes of a word as 32-bit integers: shifts that ``prmt`` and ``bfe`` do in one instruction."""
    extend = builder.sext if element == "i8" else builder.zext
    byte = ir.IntType(8)
    return [extend(builder.trunc(builder.lshr(word, I32(8 * number)), byte), I32) for number in range(BYTES)]


def emit_word(builder: Any, bytes: list[Any]) -> Any:
    """The low bytes of four 32-bit integers as a word: three permutations."""

    def permuted(a: Any, b: Any, control: int) -> Any:
        return assembly(builder, I32, f"prmt.b32 $0, $1, $2, {control};", "=r,r,r", [a, b])

    low, high = permuted(bytes[0], bytes[1], 0x0040), permuted(bytes[2], bytes[3], 0x0040)
    return permuted(low, high, 0x5410)


def emit_float(builder: Any, word: Any) -> Any:
    """A 32-bit integer as float32, rounded to the nearest."""
    return builder.sitofp(word, F32)


def _funnel(builder: Any, low: Any, high: Any, shift: Any) -> Any:
    return assembly(builder, I32, "shf.r.wrap.b32 $0, $1, $2, $3;", "=r,r,r,r", [low, high, shift])


funnel = device_function(WORD, [WORD] * 3, _funnel)
"""funnel(low, high, shift): 32 bits from bit ``shift`` of two words on."""
joined = device_function(WORD, [WORD] * 4, lambda builder, *bytes: emit_word(builder, list(bytes)))
"""joined(b0, b1, b2, b3): their low bytes as a word."""
