"""Vectors of LLVM code: the 32 lanes of a warp, their types, and what instructions say of theirs.

A value is a vector of 32 elements, a predicate one of 32 bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from cnnc.ptx.module import Instruction
from cnnc.ptx.registers import WARP
from cnnc.ptx.types import DTYPES, is_signed, size_of

Emit = Callable[..., Any]
"""``emit(builder, *values)`` gives the result's value, or a tuple of several."""


@dataclass(frozen=True, slots=True)
class Operation:
    """What a lane-wise instruction computes.

    Attributes:
        name: with the types, all that the code depends on.
        results, sources: types of its operands.
    """

    name: str
    results: tuple[str, ...]
    sources: tuple[str, ...]
    emit: Emit


def element_type(kind: str) -> Any:
    """LLVM's type of an element; 16-bit floats are bits."""
    if kind == "pred":
        return ir.IntType(1)
    if kind == "f32":
        return ir.FloatType()
    if kind == "f64":
        return ir.DoubleType()
    return ir.IntType(8 * size_of(kind))


def vector_type(kind: str) -> Any:
    """32 of them."""
    return ir.VectorType(element_type(kind), WARP)


def splat(kind: str, value: float) -> Any:
    """A constant vector of equal elements."""
    return ir.Constant(vector_type(kind), [value] * WARP)


def cast(builder: Any, value: Any, source: str, target: str) -> Any:
    """The bits of a value as another type: cut to its size, or extended by its sign or by zeros."""
    wanted = vector_type(target)
    if value.type == wanted:
        return value
    if target == "pred":
        return builder.icmp_unsigned("!=", as_bits(builder, value, source), splat(bits_of(source), 0))
    if source == "pred":
        return builder.bitcast(builder.zext(value, vector_type(bits_of(target))), wanted)
    bits = as_bits(builder, value, source)
    if size_of(source) > size_of(target):
        bits = builder.trunc(bits, vector_type(bits_of(target)))
    elif size_of(source) < size_of(target):
        extend = builder.sext if is_signed(source) else builder.zext
        bits = extend(bits, vector_type(bits_of(target)))
    return bits if bits.type == wanted else builder.bitcast(bits, wanted)


def bits_of(kind: str) -> str:
    """The type of bits of a type's size."""
    return f"b{8 * size_of(kind)}"


def as_bits(builder: Any, value: Any, kind: str) -> Any:
    """The bits of a value of a type."""
    return builder.bitcast(value, vector_type(bits_of(kind))) if kind in ("f32", "f64") else value


def call_intrinsic(builder: Any, name: str, values: Sequence[Any]) -> Any:
    """An LLVM intrinsic on vectors, named by the type of its first operand."""
    element = values[0].type.element
    suffix = {ir.FloatType(): "f32", ir.DoubleType(): "f64"}.get(element) or f"i{element.width}"
    kind = ir.FunctionType(values[0].type, [value.type for value in values])
    full = f"llvm.{name}.v{WARP}{suffix}"
    function = builder.module.globals.get(full) or ir.Function(builder.module, kind, full)
    return builder.call(function, list(values))


def kinds_of(instruction: Instruction) -> list[str]:
    """The types among an instruction's modifiers."""
    return [word for word in instruction.modifiers if word in DTYPES]


def has_only(instruction: Instruction, *allowed: str) -> bool:
    """Whether all modifiers are types or among ``allowed``."""
    return all(word in DTYPES or word in allowed for word in instruction.modifiers)


def of_integers(instruction: Instruction, kind: str, count: int, emit: Emit) -> Operation | None:
    """An operation of ``count`` sources of one type, which has no modifiers besides it."""
    if not has_only(instruction):
        return None
    return Operation(f"{instruction.opcode}.{kind}", (kind,), (kind,) * count, emit)


def compared(kind: str, name: str) -> Emit:
    """A comparison of integers, ``name`` being ``==``, ``<`` and so on."""

    def emit(b: Any, x: Any, y: Any) -> Any:
        compare = b.icmp_signed if is_signed(kind) else b.icmp_unsigned
        return compare(name, x, y)

    return emit
