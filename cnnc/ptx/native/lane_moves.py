"""LLVM code of comparisons, selections, moves and conversions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir

from cnnc.ptx.module import Instruction, Pack
from cnnc.ptx.native.vectors import (
    Emit,
    Operation,
    bits_of,
    call_intrinsic,
    cast,
    compared,
    has_only,
    kinds_of,
    splat,
    vector_type,
)
from cnnc.ptx.registers import WARP
from cnnc.ptx.types import is_signed, size_of

_INTEGER_TESTS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_UNSIGNED_TESTS = {"lo": "<", "ls": "<=", "hi": ">", "hs": ">="}


def _test(kind: str, name: str) -> Emit | None:
    if kind in ("f32", "f64"):
        if name in ("num", "nan"):
            return lambda b, x, y: (b.fcmp_ordered if name == "num" else b.fcmp_unordered)(
                "ord" if name == "num" else "uno", x, y
            )
        ordered = name in _INTEGER_TESTS
        symbol = _INTEGER_TESTS.get(name if ordered else name.removesuffix("u"))
        if symbol is None:
            return None
        return lambda b, x, y: (b.fcmp_ordered if ordered else b.fcmp_unordered)(symbol, x, y)
    symbol = _INTEGER_TESTS.get(name) or _UNSIGNED_TESTS.get(name)
    return None if symbol is None or kind in ("f16", "bf16") else compared(kind, symbol)


def _set_predicate(instruction: Instruction) -> Operation | None:
    kinds = kinds_of(instruction)
    name, *others = instruction.modifiers
    combine = next((word for word in others if word in ("and", "or", "xor")), "")
    if len(kinds) != 1 or not set(others) <= {combine, *kinds}:
        return None
    kind = kinds[0]
    test = _test(kind, name)
    if test is None:
        return None
    pair = isinstance(instruction.operands[0], Pack)

    def emit(b: Any, x: Any, y: Any, *third: Any) -> Any:
        found = test(b, x, y)
        if combine:
            found = {"and": b.and_, "or": b.or_, "xor": b.xor}[combine](found, third[0])
        return (found, b.not_(found)) if pair else found

    sources = (kind, kind, "pred") if combine else (kind, kind)
    results = ("pred", "pred") if pair else ("pred",)
    return Operation(f"setp.{name}.{combine}.{kind}.{len(results)}", results, sources, emit)


def _select(instruction: Instruction) -> Operation | None:
    (kind,) = kinds_of(instruction)
    return Operation(f"selp.{kind}", (kind,), (kind, kind, "pred"), lambda b, x, y, choice: b.select(choice, x, y))


def _move(instruction: Instruction) -> Operation | None:
    (kind,) = kinds_of(instruction)
    target, source = instruction.operands
    if isinstance(source, Pack):
        return _joined(kind, len(source.parts))
    if isinstance(target, Pack):
        return _split(kind, len(target.parts))
    return Operation(f"mov.{kind}", (kind,), (kind,), lambda b, x: x)


def _joined(kind: str, count: int) -> Operation:
    part, whole = f"b{8 * size_of(kind) // count}", bits_of(kind)

    def emit(b: Any, *parts: Any) -> Any:
        total = splat(whole, 0)
        for number, value in enumerate(parts):
            shift = splat(whole, 8 * size_of(part) * number)
            total = b.or_(total, b.shl(b.zext(value, vector_type(whole)), shift))
        return total

    return Operation(f"join.{whole}.{count}", (whole,), (part,) * count, emit)


def _split(kind: str, count: int) -> Operation:
    part, whole = f"b{8 * size_of(kind) // count}", bits_of(kind)

    def emit(b: Any, word: Any) -> Any:
        shifted = [b.lshr(word, splat(whole, 8 * size_of(part) * number)) for number in range(count)]
        return tuple(b.trunc(value, vector_type(part)) for value in shifted)

    return Operation(f"split.{whole}.{count}", (part,) * count, (whole,), emit)


_ROUNDINGS = {"rni": "rint", "rzi": "trunc", "rmi": "floor", "rpi": "ceil"}


def _convert(instruction: Instruction) -> Operation | None:
    kinds = kinds_of(instruction)
    if len(kinds) != 2:
        return None
    target, source = kinds
    name = f"cvt.{instruction.name}"
    floats = ("f32", "f64")
    whole = {target, source} - set(floats)
    if any(kind[0] not in "sub" or kind == "bf16" for kind in whole):
        return None
    rounding = next((word for word in instruction.modifiers if word in _ROUNDINGS), "")
    if not has_only(instruction, rounding, *(("rn",) if target in floats else ())):
        return None
    result = vector_type(target)
    if source in floats and target in floats:
        narrower = size_of(target) < size_of(source)

        def emit(b: Any, x: Any) -> Any:
            if rounding:
                x = call_intrinsic(b, _ROUNDINGS[rounding], [x])
            if x.type == result:
                return x
            return b.fptrunc(x, result) if narrower else b.fpext(x, result)
    elif source in floats:
        if size_of(target) != 4:
            return None

        def emit(b: Any, x: Any) -> Any:
            whole_part = call_intrinsic(b, _ROUNDINGS[rounding or "rzi"], [x])
            sign, suffix = "s" if is_signed(target) else "u", source
            full = f"llvm.fpto{sign}i.sat.v{WARP}i32.v{WARP}{suffix}"
            kind = ir.FunctionType(result, [x.type])
            function = b.module.globals.get(full) or ir.Function(b.module, kind, full)
            return b.call(function, [whole_part])
    elif target in floats:

        def emit(b: Any, x: Any) -> Any:
            return (b.sitofp if is_signed(source) else b.uitofp)(x, result)
    else:

        def emit(b: Any, x: Any) -> Any:
            return cast(b, x, source, target)

    return Operation(name, (target,), (source,), emit)


RULES: dict[str, Callable[[Instruction], Operation | None]] = {
    "setp": _set_predicate,
    "selp": _select,
    "mov": _move,
    "cvt": _convert,
}
"""Opcode -> what it computes, None where it is not known here."""
