"""LLVM code of logic, shifts, bit fields and permutations of bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cnnc.ptx.module import Instruction, Integer
from cnnc.ptx.native.vectors import Emit, Operation, cast, kinds_of, of_integers, splat, vector_type
from cnnc.ptx.types import is_signed, size_of


def _logic(instruction: Instruction) -> Operation | None:
    (kind,) = kinds_of(instruction)
    emits: dict[str, tuple[int, Emit]] = {
        "and": (2, lambda b, x, y: b.and_(x, y)),
        "or": (2, lambda b, x, y: b.or_(x, y)),
        "xor": (2, lambda b, x, y: b.xor(x, y)),
        "not": (1, lambda b, x: b.not_(x)),
    }
    count, emit = emits[instruction.opcode]
    return of_integers(instruction, kind, count, emit)


def _shift(instruction: Instruction) -> Operation | None:
    """Shifts by the width or more give zeros, or the sign everywhere."""
    (kind,) = kinds_of(instruction)
    bits = 8 * size_of(kind)

    def emit(b: Any, x: Any, count: Any) -> Any:
        inside = b.icmp_unsigned("<", count, splat("u32", bits))
        amount = cast(b, b.select(inside, count, splat("u32", bits - 1)), "u32", kind)
        if instruction.opcode == "shr" and is_signed(kind):
            return b.ashr(x, amount)
        return b.select(inside, (b.shl if instruction.opcode == "shl" else b.lshr)(x, amount), splat(kind, 0))

    return Operation(f"{instruction.opcode}.{kind}", (kind,), (kind, "u32"), emit)


def _three_inputs(instruction: Instruction) -> Operation | None:
    """``lop3``: any function of three bits, by its table."""
    table = instruction.operands[-1]
    if not isinstance(table, Integer) or instruction.modifiers != ("b32",):
        return None
    rows = table.value & 255

    def emit(b: Any, x: Any, y: Any, z: Any, _: Any) -> Any:
        total = splat("b32", 0)
        for row in range(8):
            if rows >> row & 1:
                parts = [value if row & bit else b.not_(value) for value, bit in ((x, 4), (y, 2), (z, 1))]
                total = b.or_(total, b.and_(b.and_(parts[0], parts[1]), parts[2]))
        return total

    return Operation(f"lop3.{rows}", ("b32",), ("b32",) * 4, emit)


def _permute(instruction: Instruction) -> Operation | None:
    """``prmt``: four bytes picked out of eight, or filled with the sign of the picked one."""
    if instruction.modifiers != ("b32",):
        return None

    def emit(b: Any, x: Any, y: Any, control: Any) -> Any:
        wide, seven = vector_type("b64"), splat("b32", 7)
        both = b.or_(b.zext(x, wide), b.shl(b.zext(y, wide), splat("b64", 32)))
        total = splat("b32", 0)
        for position in range(4):
            nibble = b.lshr(control, splat("b32", 4 * position))
            distance = b.zext(b.shl(b.and_(nibble, seven), splat("b32", 3)), wide)
            byte = b.and_(b.trunc(b.lshr(both, distance), vector_type("b32")), splat("b32", 255))
            sign = b.and_(b.sub(splat("b32", 0), b.lshr(byte, seven)), splat("b32", 255))
            filled = b.icmp_unsigned("!=", b.and_(nibble, splat("b32", 8)), splat("b32", 0))
            total = b.or_(total, b.shl(b.select(filled, sign, byte), splat("b32", 8 * position)))
        return total

    return Operation("prmt", ("b32",), ("b32",) * 3, emit)


def _insert(instruction: Instruction) -> Operation | None:
    """``bfi`` at a constant place: the low bits of the first source, in the second."""
    (kind,) = kinds_of(instruction)
    position, length = instruction.operands[-2:]
    if not isinstance(position, Integer) or not isinstance(length, Integer):
        return None
    bits = 8 * size_of(kind)
    first = min(position.value & 255, bits)
    ones = (1 << min(length.value & 255, bits - first)) - 1

    def emit(b: Any, source: Any, base: Any, _: Any, __: Any) -> Any:
        field = b.shl(b.and_(source, splat(kind, ones)), splat(kind, min(first, bits - 1)))
        return b.or_(b.and_(base, splat(kind, ~(ones << first) & ((1 << bits) - 1))), field)

    return Operation(f"bfi.{kind}.{first}.{ones}", (kind,), (kind, kind, "u32", "u32"), emit)


RULES: dict[str, Callable[[Instruction], Operation | None]] = {
    **dict.fromkeys(("and", "or", "xor", "not"), _logic),
    **dict.fromkeys(("shl", "shr"), _shift),
    "lop3": _three_inputs,
    "prmt": _permute,
    "bfi": _insert,
}
"""Opcode -> what it computes, None where it is not known here."""
