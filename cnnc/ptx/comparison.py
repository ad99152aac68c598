"""Comparisons and selections: ``setp``, ``set``, ``selp``, ``slct``, ``testp`` (PTX ISA, comparison and selection)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cnnc.errors import ModelError
from cnnc.ptx.arithmetic import Operation, flushed, kind_of
from cnnc.ptx.machine import Array, Machine, place
from cnnc.ptx.module import Instruction, Pack
from cnnc.ptx.pairs import split
from cnnc.ptx.types import DTYPES, is_float

_ORDERED: dict[str, Callable[..., Array]] = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "lo": np.less,
    "ls": np.less_equal,
    "hi": np.greater,
    "hs": np.greater_equal,
}
"""Comparisons that are false when an operand is NaN; ``ne`` of floats is made so below."""

_COMBINE: dict[str, Callable[..., Array]] = {"and": np.logical_and, "or": np.logical_or, "xor": np.logical_xor}


def compared(name: str, a: Array, b: Array, floats: bool) -> Array:
    """The comparison ``name``; with a ``u`` behind it, of floats, it is true where either is NaN."""
    if not floats:
        return np.asarray(_ORDERED[name](a, b))
    unordered = np.isnan(a) | np.isnan(b)
    if name == "num":
        return ~unordered
    if name == "nan":
        return unordered
    if name in _ORDERED:
        return _ORDERED[name](a, b) & ~unordered
    return _ORDERED[name[:-1]](a, b) | unordered


def _test(machine: Machine, instruction: Instruction) -> Array:
    """The comparison of a ``setp`` or ``set``, combined with its third source."""
    kind = kind_of(instruction)
    name, *others = instruction.modifiers
    a, b = (machine.read(operand, kind, instruction) for operand in instruction.operands[1:3])
    if kind == "bf16":
        a, b = split(a, kind)[0], split(b, kind)[0]
    if "ftz" in others:
        a, b = flushed(a), flushed(b)
    floats = is_float(kind) or kind == "bf16"
    known = {*_ORDERED, *(f"{each}u" for each in _ORDERED), "num", "nan"} if floats else set(_ORDERED)
    if name not in known:
        raise ModelError(f"there is no comparison {name}", where=place(instruction))
    result = compared(name, a, b, floats)
    for word in others:
        if word in _COMBINE:
            result = _COMBINE[word](result, machine.read(instruction.operands[3], "pred", instruction))
    return np.asarray(result)


def _set_predicate(machine: Machine, instruction: Instruction, active: Array | None) -> None:
    target = instruction.operands[0]
    result = _test(machine, instruction)
    if isinstance(target, Pack):
        machine.write(target.parts[0], result, active, instruction)
        machine.write(target.parts[1], ~result, active, instruction)
    else:
        machine.write(target, result, active, instruction)


def _set(machine: Machine, instruction: Instruction, active: Array | None) -> None:
    """All ones or 1.0 where the comparison holds; the first type is the result's, the last one the sources'."""
    wanted = next(word for word in instruction.modifiers if word in DTYPES)
    result = _test(machine, instruction)
    if is_float(wanted):
        value = result.astype(DTYPES[wanted])
    else:
        value = np.where(result, ~np.zeros((), DTYPES[wanted]), np.zeros((), DTYPES[wanted]))
    machine.write(instruction.operands[0], value, active, instruction)


def _select(machine: Machine, instruction: Instruction, active: Array | None) -> None:
    kind = kind_of(instruction)
    a, b = (machine.read(operand, kind, instruction) for operand in instruction.operands[1:3])
    choice = machine.read(instruction.operands[3], "pred", instruction)
    machine.write(instruction.operands[0], np.where(choice, a, b), active, instruction)


def _select_by_sign(machine: Machine, instruction: Instruction, active: Array | None) -> None:
    """``slct.type.s32`` or ``.f32``: the first source where the third is not negative."""
    value_kind, sign_kind = (word for word in instruction.modifiers if word in DTYPES)
    a, b = (machine.read(operand, value_kind, instruction) for operand in instruction.operands[1:3])
    choice = machine.read(instruction.operands[3], sign_kind, instruction) >= 0
    machine.write(instruction.operands[0], np.where(choice, a, b), active, instruction)


_PROPERTIES: dict[str, Callable[[Array], Array]] = {
    "finite": np.isfinite,
    "infinite": np.isinf,
    "number": lambda value: ~np.isnan(value),
    "notanumber": np.isnan,
    "normal": lambda value: np.isfinite(value) & (np.abs(value) >= np.finfo(value.dtype).tiny),
    "subnormal": lambda value: (value != 0) & (np.abs(value) < np.finfo(value.dtype).tiny),
}


def _property(machine: Machine, instruction: Instruction, active: Array | None) -> None:
    name = instruction.modifiers[0]
    if name not in _PROPERTIES:
        raise ModelError(f"there is no property {name}", where=place(instruction))
    value = machine.read(instruction.operands[1], kind_of(instruction), instruction)
    machine.write(instruction.operands[0], _PROPERTIES[name](value), active, instruction)


OPERATIONS: dict[str, Operation] = {
    "setp": _set_predicate,
    "set": _set,
    "selp": _select,
    "slct": _select_by_sign,
    "testp": _property,
}
"""Opcode -> what it does."""
