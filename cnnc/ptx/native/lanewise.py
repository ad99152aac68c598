"""LLVM code of the instructions that work lane by lane: one vector operation over the 32 lanes of a warp.

``operation_of(instruction)`` says what an instruction computes; None if only the NumPy meaning knows it. Values are
vectors of 32 elements, predicates vectors of 32 bits. What is emitted gives NumPy's results bit for bit, except for
the payload of NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from cnnc.ptx.module import Instruction, Integer, Pack
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
        return builder.icmp_unsigned("!=", _as_bits(builder, value, source), splat(_bits(source), 0))
    if source == "pred":
        return builder.bitcast(builder.zext(value, vector_type(_bits(target))), wanted)
    bits = _as_bits(builder, value, source)
    if size_of(source) > size_of(target):
        bits = builder.trunc(bits, vector_type(_bits(target)))
    elif size_of(source) < size_of(target):
        extend = builder.sext if is_signed(source) else builder.zext
        bits = extend(bits, vector_type(_bits(target)))
    return bits if bits.type == wanted else builder.bitcast(bits, wanted)


def operation_of(instruction: Instruction) -> Operation | None:
    """What the instruction computes, None if it is not lane-wise or not known here."""
    rule = _RULES.get(instruction.opcode)
    return None if rule is None else rule(instruction)


def _bits(kind: str) -> str:
    return f"b{8 * size_of(kind)}"


def _as_bits(builder: Any, value: Any, kind: str) -> Any:
    return builder.bitcast(value, vector_type(_bits(kind))) if kind in ("f32", "f64") else value


def _call(builder: Any, name: str, values: Sequence[Any]) -> Any:
    """An LLVM intrinsic on vectors, named by the type of its first operand."""
    element = values[0].type.element
    suffix = {ir.FloatType(): "f32", ir.DoubleType(): "f64"}.get(element) or f"i{element.width}"
    kind = ir.FunctionType(values[0].type, [value.type for value in values])
    full = f"llvm.{name}.v{WARP}{suffix}"
    function = builder.module.globals.get(full) or ir.Function(builder.module, kind, full)
    return builder.call(function, list(values))


def _kinds(instruction: Instruction) -> list[str]:
    return [word for word in instruction.modifiers if word in DTYPES]


def _only(instruction: Instruction, *allowed: str) -> bool:
    """Whether all modifiers are types or among ``allowed``."""
    return all(word in DTYPES or word in allowed for word in instruction.modifiers)


# Arithmetic


def _float_arithmetic(count: int, emit: Emit) -> Callable[[Instruction], Operation | None]:
    def rule(instruction: Instruction) -> Operation | None:
        kinds = _kinds(instruction)
        if kinds not in (["f32"], ["f64"]) or not _only(instruction, "rn", "approx", "full"):
            return None
        return Operation(f"{instruction.opcode}.{kinds[0]}", (kinds[0],), (kinds[0],) * count, emit)

    return rule


def _fused(b: Any, x: Any, y: Any, z: Any) -> Any:
    return _call(b, "fma", [x, y, z])


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
    "sqrt": _float_arithmetic(1, lambda b, x: _call(b, "sqrt", [x])),
    "neg": _float_arithmetic(1, lambda b, x: b.fneg(x)),
    "abs": _float_arithmetic(1, lambda b, x: _call(b, "fabs", [x])),
    "min": _float_arithmetic(2, _extreme(True)),
    "max": _float_arithmetic(2, _extreme(False)),
}


def _integer_operation(instruction: Instruction, kind: str, count: int, emit: Emit) -> Operation | None:
    if not _only(instruction):
        return None
    return Operation(f"{instruction.opcode}.{kind}", (kind,), (kind,) * count, emit)


def _compared(kind: str, name: str) -> Emit:
    def emit(b: Any, x: Any, y: Any) -> Any:
        compare = b.icmp_signed if is_signed(kind) else b.icmp_unsigned
        return compare(name, x, y)

    return emit


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
        chosen = _compared(kind, "<" if opcode == "min" else ">")
        return _integer_operation(instruction, kind, 2, lambda b, x, y: b.select(chosen(b, x, y), x, y))
    if opcode == "abs":
        zero = splat(kind, 0)
        return _integer_operation(
            instruction, kind, 1, lambda b, x: b.select(b.icmp_signed("<", x, zero), b.sub(zero, x), x)
        )
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
    return _integer_operation(instruction, kind, count, emit)


def _product(instruction: Instruction, kind: str) -> Operation | None:
    """``mul`` and ``mad``, with ``lo``, ``wide`` or ``hi``."""
    half = next((word for word in instruction.modifiers if word in ("lo", "wide", "hi")), "lo")
    size = size_of(kind)
    if not _only(instruction, half) or (half != "lo" and size == 8):
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
    kinds = _kinds(instruction)
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
    if _kinds(instruction) != ["f32"] or not _only(instruction, "approx"):
        return None

    def emit(b: Any, x: Any) -> Any:
        root = _call(b, "sqrt", [b.fpext(x, vector_type("f64"))])
        return b.fptrunc(b.fdiv(splat("f64", 1.0), root), vector_type("f32"))

    return Operation("rsqrt.f32", ("f32",), ("f32",), emit)


def _dot(instruction: Instruction) -> Operation | None:
    """``dp4a``: four products of bytes, added to a 32-bit sum."""
    left, right = _kinds(instruction)

    def byte(b: Any, word: Any, number: int, kind: str) -> Any:
        high = b.shl(word, splat("b32", 24 - 8 * number))
        return (b.ashr if is_signed(kind) else b.lshr)(high, splat("b32", 24))

    def emit(b: Any, x: Any, y: Any, total: Any) -> Any:
        for number in range(4):
            total = b.add(total, b.mul(byte(b, x, number, left), byte(b, y, number, right)))
        return total

    return Operation(f"dp4a.{left}.{right}", ("b32",), ("b32", "b32", "b32"), emit)


# Bits


def _logic(instruction: Instruction) -> Operation | None:
    (kind,) = _kinds(instruction)
    emits: dict[str, tuple[int, Emit]] = {
        "and": (2, lambda b, x, y: b.and_(x, y)),
        "or": (2, lambda b, x, y: b.or_(x, y)),
        "xor": (2, lambda b, x, y: b.xor(x, y)),
        "not": (1, lambda b, x: b.not_(x)),
    }
    count, emit = emits[instruction.opcode]
    return _integer_operation(instruction, kind, count, emit)


def _shift(instruction: Instruction) -> Operation | None:
    """Shifts by the width or more give zeros, or the sign everywhere."""
    (kind,) = _kinds(instruction)
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
    """``prmt`` by a constant: four bytes picked out of eight."""
    control = instruction.operands[-1]
    if not isinstance(control, Integer) or instruction.modifiers != ("b32",) or control.value & 0x8888:
        return None
    picked = [control.value >> 4 * position & 7 for position in range(4)]

    def emit(b: Any, x: Any, y: Any, _: Any) -> Any:
        total = splat("b32", 0)
        for position, byte in enumerate(picked):
            word = b.lshr(x if byte < 4 else y, splat("b32", 8 * (byte % 4)))
            total = b.or_(total, b.shl(b.and_(word, splat("b32", 255)), splat("b32", 8 * position)))
        return total

    return Operation(f"prmt.{control.value & 0xFFFF}", ("b32",), ("b32",) * 3, emit)


# Comparisons

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
    return None if symbol is None or kind in ("f16", "bf16") else _compared(kind, symbol)


def _set_predicate(instruction: Instruction) -> Operation | None:
    kinds = _kinds(instruction)
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
    (kind,) = _kinds(instruction)
    return Operation(f"selp.{kind}", (kind,), (kind, kind, "pred"), lambda b, x, y, choice: b.select(choice, x, y))


# Moves and conversions


def _move(instruction: Instruction) -> Operation | None:
    (kind,) = _kinds(instruction)
    target, source = instruction.operands
    if isinstance(source, Pack):
        return _joined(kind, len(source.parts))
    if isinstance(target, Pack):
        return _split(kind, len(target.parts))
    return Operation(f"mov.{kind}", (kind,), (kind,), lambda b, x: x)


def _joined(kind: str, count: int) -> Operation:
    part, whole = f"b{8 * size_of(kind) // count}", _bits(kind)

    def emit(b: Any, *parts: Any) -> Any:
        total = splat(whole, 0)
        for number, value in enumerate(parts):
            shift = splat(whole, 8 * size_of(part) * number)
            total = b.or_(total, b.shl(b.zext(value, vector_type(whole)), shift))
        return total

    return Operation(f"join.{whole}.{count}", (whole,), (part,) * count, emit)


def _split(kind: str, count: int) -> Operation:
    part, whole = f"b{8 * size_of(kind) // count}", _bits(kind)

    def emit(b: Any, word: Any) -> Any:
        shifted = [b.lshr(word, splat(whole, 8 * size_of(part) * number)) for number in range(count)]
        return tuple(b.trunc(value, vector_type(part)) for value in shifted)

    return Operation(f"split.{whole}.{count}", (part,) * count, (whole,), emit)


_ROUNDINGS = {"rni": "rint", "rzi": "trunc", "rmi": "floor", "rpi": "ceil"}


def _convert(instruction: Instruction) -> Operation | None:
    kinds = _kinds(instruction)
    if len(kinds) != 2:
        return None
    target, source = kinds
    name = f"cvt.{instruction.name}"
    floats = ("f32", "f64")
    whole = {target, source} - set(floats)
    if any(kind[0] not in "sub" or kind == "bf16" for kind in whole):
        return None
    rounding = next((word for word in instruction.modifiers if word in _ROUNDINGS), "")
    if not _only(instruction, rounding, *(("rn",) if target in floats else ())):
        return None
    result = vector_type(target)
    if source in floats and target in floats:
        narrower = size_of(target) < size_of(source)

        def emit(b: Any, x: Any) -> Any:
            if rounding:
                x = _call(b, _ROUNDINGS[rounding], [x])
            if x.type == result:
                return x
            return b.fptrunc(x, result) if narrower else b.fpext(x, result)
    elif source in floats:
        if size_of(target) != 4:
            return None

        def emit(b: Any, x: Any) -> Any:
            whole_part = _call(b, _ROUNDINGS[rounding or "rzi"], [x])
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


_RULES: dict[str, Callable[[Instruction], Operation | None]] = {
    **dict.fromkeys((*_FLOAT_RULES, "rem"), _arithmetic),
    **dict.fromkeys(("and", "or", "xor", "not"), _logic),
    **dict.fromkeys(("shl", "shr"), _shift),
    "rsqrt": _rsqrt,
    "dp4a": _dot,
    "lop3": _three_inputs,
    "prmt": _permute,
    "setp": _set_predicate,
    "selp": _select,
    "mov": _move,
    "cvt": _convert,
}
