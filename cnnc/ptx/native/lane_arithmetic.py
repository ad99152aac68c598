"""LLVM code of arithmetic on the lanes of a warp."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir

from cnnc.ptx.module import Instruction
from cnnc.ptx.native.vectors import (
    Emit,
    Operation,
    call_intrinsic,
    cast,
    compared,
    has_only,
    kinds_of,
    of_integers,
    splat,
    vector_type,
)
from cnnc.ptx.registers import WARP
from cnnc.ptx.types import is_signed, size_of


def _float_arithmetic(count: int, emit: Emit) -> Callable[[Instruction], Operation | None]:
    def rule(instruction: Instruction) -> Operation | None:
        kinds = kinds_of(instruction)
        if kinds not in (["f32"], ["f64"]) or not has_only(instruction, "rn", "approx", "full"):
            return None
        return Operation(f"{instruction.opcode}.{kinds[0]}", (kinds[0],), (kinds[0],) * count, emit)

    return rule


def _fused(b: Any, x: Any, y: Any, z: Any) -> Any:
    return call_intrinsic(b, "fma", [x, y, z])


def _reciprocal(b: Any, x: Any) -> Any:
    return b.fdiv(ir.Constant(x.type, [1.0] * WARP), x)


def _extreme(smaller: bool) -> Emit:
    """Of a number and NaN the number; -0 is less than +0."""

    def emit(b: Any, x: Any, y: Any) -> Any:
        bits = ir.VectorType(ir.IntType(32 if x.type.element == ir.FloatType() else 64), WARP)
        merge = b.or_ if smaller else b.and_
        equal = b.bitcast(merge(b.bitcast(x, bits), b.bitcast(y, bits)), x.type)
        chosen = b.select(b.fcmp_ordered("<" if smaller else ">", x, y), x, y)
        chosen = b.select(b.fcmp_ordered("==", x, y), equal, chosen)
        return b.select(b.fcmp_unordered("uno", y, y), x, b.select(b.fcmp_unordered("uno", x, x), y, chosen))

    return emit


_FLOAT_RULES = {
    "add": _float_arithmetic(2, lambda b, x, y: b.fadd(x, y)),
    "sub": _float_arithmetic(2, lambda b, x, y: b.fsub(x, y)),
    "mul": _float_arithmetic(2, lambda b, x, y: b.fmul(x, y)),
    "div": _float_arithmetic(2, lambda b, x, y: b.fdiv(x, y)),
    "fma": _float_arithmetic(3, _fused),
    "mad": _float_arithmetic(3, _fused),
    "rcp": _float_arithmetic(1, _reciprocal),
    "sqrt": _float_arithmetic(1, lambda b, x: call_intrinsic(b, "sqrt", [x])),
    "neg": _float_arithmetic(1, lambda b, x: b.fneg(x)),
    "abs": _float_arithmetic(1, lambda b, x: call_intrinsic(b, "fabs", [x])),
    "min": _float_arithmetic(2, _extreme(True)),
    "max": _float_arithmetic(2, _extreme(False)),
}


def _quotient(kind: str) -> Emit:
    """Rounded to zero; a division by zero gives all ones."""

    def emit(b: Any, x: Any, y: Any) -> Any:
        zero, one, ones = splat(kind, 0), splat(kind, 1), splat(kind, -1)
        by_zero = b.icmp_unsigned("==", y, zero)
        if not is_signed(kind):
            return b.select(by_zero, ones, b.udiv(x, b.select(by_zero, one, y)))
        by_minus_one = b.icmp_unsigned("==", y, ones)
        quotient = b.sdiv(x, b.select(b.or_(by_zero, by_minus_one), one, y))
        return b.select(by_zero, ones, b.select(by_minus_one, b.sub(zero, x), quotient))

    return emit


def _remainder(kind: str) -> Emit:
    def emit(b: Any, x: Any, y: Any) -> Any:
        rest = b.sub(x, b.mul(_quotient(kind)(b, x, y), y))
        return b.select(b.icmp_unsigned("==", y, splat(kind, 0)), x, rest)

    return emit


def _integer_arithmetic(instruction: Instruction, kind: str) -> Operation | None:
    opcode = instruction.opcode
    if opcode in ("mul", "mad"):
        return _product(instruction, kind)
    if opcode in ("min", "max"):
        chosen = compared(kind, "<" if opcode == "min" else ">")
        return of_integers(instruction, kind, 2, lambda b, x, y: b.select(chosen(b, x, y), x, y))
    if opcode == "abs":
        zero = splat(kind, 0)
        return of_integers(instruction, kind, 1, lambda b, x: b.select(b.icmp_signed("<", x, zero), b.sub(zero, x), x))
    simple: dict[str, tuple[int, Emit]] = {
        "add": (2, lambda b, x, y: b.add(x, y)),
        "sub": (2, lambda b, x, y: b.sub(x, y)),
        "neg": (1, lambda b, x: b.neg(x)),
        "div": (2, _quotient(kind)),
        "rem": (2, _remainder(kind)),
    }
    if opcode not in simple:
        return None
    count, emit = simple[opcode]
    return of_integers(instruction, kind, count, emit)


def _product(instruction: Instruction, kind: str) -> Operation | None:
    """``mul`` and ``mad``, with ``lo``, ``wide`` or ``hi``."""
    half = next((word for word in instruction.modifiers if word in ("lo", "wide", "hi")), "lo")
    size = size_of(kind)
    if not has_only(instruction, half) or (half != "lo" and size == 8):
        return None
    wide = f"{kind[0]}{16 * size}" if half != "lo" else kind
    result = wide if half == "wide" else kind
    adds = instruction.opcode == "mad"

    def emit(b: Any, x: Any, y: Any, *added: Any) -> Any:
        found = b.mul(cast(b, x, kind, wide), cast(b, y, kind, wide))
        if half == "hi":
            found = b.trunc(b.lshr(found, splat(wide, 8 * size)), vector_type(kind))
        return b.add(found, added[0]) if adds else found

    sources = (kind, kind, result) if adds else (kind, kind)
    return Operation(f"{instruction.opcode}.{half}.{kind}", (result,), sources, emit)


def _arithmetic(instruction: Instruction) -> Operation | None:
    kinds = kinds_of(instruction)
    if not kinds:
        return None
    if kinds[-1] in ("f32", "f64"):
        rule = _FLOAT_RULES.get(instruction.opcode)
        return None if rule is None else rule(instruction)
    if len(kinds) != 1 or kinds[0][0] not in "sub" or kinds[0] == "bf16":
        return None
    return _integer_arithmetic(instruction, kinds[0])


def _rsqrt(instruction: Instruction) -> Operation | None:
    """By way of float64, as its NumPy meaning."""
    if kinds_of(instruction) != ["f32"] or not has_only(instruction, "approx"):
        return None

    def emit(b: Any, x: Any) -> Any:
        root = call_intrinsic(b, "sqrt", [b.fpext(x, vector_type("f64"))])
        return b.fptrunc(b.fdiv(splat("f64", 1.0), root), vector_type("f32"))

    return Operation("rsqrt.f32", ("f32",), ("f32",), emit)


def _dot(instruction: Instruction) -> Operation | None:
    """``dp4a``: four products of bytes, added to a 32-bit sum."""
    left, right = kinds_of(instruction)

    def byte(b: Any, word: Any, number: int, kind: str) -> Any:
        high = b.shl(word, splat("b32", 24 - 8 * number))
        return (b.ashr if is_signed(kind) else b.lshr)(high, splat("b32", 24))

    def emit(b: Any, x: Any, y: Any, total: Any) -> Any:
        for number in range(4):
            total = b.add(total, b.mul(byte(b, x, number, left), byte(b, y, number, right)))
        return total

    return Operation(f"dp4a.{left}.{right}", ("b32",), ("b32", "b32", "b32"), emit)


RULES: dict[str, Callable[[Instruction], Operation | None]] = {
    **dict.fromkeys((*_FLOAT_RULES, "rem"), _arithmetic),
    "rsqrt": _rsqrt,
    "dp4a": _dot,
}
"""Opcode -> what it computes, None where it is not known here."""
