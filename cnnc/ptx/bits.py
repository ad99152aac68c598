"""Logic, shifts, bit fields and permutations of bytes (PTX ISA, sections on logic and shift, bit field, ``prmt``)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cnnc.errors import UnsupportedError
from cnnc.ptx.arithmetic import Operation, kind_of
from cnnc.ptx.machine import Array, Machine, place
from cnnc.ptx.module import Instruction, Integer
from cnnc.ptx.types import is_signed, unsigned


def _logic(function: Callable[..., Array]) -> Operation:
    def run(machine: Machine, instruction: Instruction, active: Array | None) -> None:
        kind = kind_of(instruction)
        values = [machine.read(operand, kind, instruction) for operand in instruction.operands[1:]]
        machine.write(instruction.operands[0], np.asarray(function(*values)), active, instruction)

    return run


def _shift(machine: Machine, instruction: Instruction, active: Array | None) -> None:
    """Shifts by the width or more give zeros, or the sign everywhere."""
    kind = kind_of(instruction)
    value = machine.read(instruction.operands[1], kind, instruction)
    count = machine.read(instruction.operands[2], "u32", instruction)
    bits = 8 * value.dtype.itemsize
    inside = np.minimum(count, bits - 1).astype(value.dtype)
    if instruction.opcode == "shl":
        result = np.where(count < bits, value << inside, value.dtype.type(0))
    elif is_signed(kind):
        result = value >> inside
    else:
        result = np.where(count < bits, value >> inside, value.dtype.type(0))
    machine.write(instruction.operands[0], np.asarray(result), active, instruction)


def _funnel(machine: Machine, instruction: Instruction, active: Array | None) -> None:
    """``shf``: a word out of two, shifted."""
    low, high, count = (machine.read(operand, "b32", instruction) for operand in instruction.operands[1:])
    count = count & np.uint32(31) if "wrap" in instruction.modifiers else np.minimum(count, np.uint32(32))
    both = low.astype(np.uint64) | (high.astype(np.uint64) << np.uint64(32))
    wide = count.astype(np.uint64)
    if "l" in instruction.modifiers:
        result = ((both << wide) >> np.uint64(32)).astype(np.uint32)
        result = np.where(count == 32, low, result)
    else:
        result = (both >> wide).astype(np.uint32)
    machine.write(instruction.operands[0], result, active, instruction)


def _three_inputs(machine: Machine, instruction: Instruction, active: Array | None) -> None:
    """``lop3``: any function of three bits, by its table."""
    a, b, c = (machine.read(operand, "b32", instruction) for operand in instruction.operands[1:4])
    table = instruction.operands[4]
    if not isinstance(table, Integer):
        raise UnsupportedError("its table is no constant", where=place(instruction))
    result = np.zeros(np.broadcast_shapes(a.shape, b.shape, c.shape), np.uint32)
    for row in range(8):
        if table.value >> row & 1:
            result = result | (a if row & 4 else ~a) & (b if row & 2 else ~b) & (c if row & 1 else ~c)
    machine.write(instruction.operands[0], result, active, instruction)


def _range(machine: Machine, instruction: Instruction, first: int) -> list[Array]:
    """Position and length of a bit field: the low bytes of two operands."""
    operands = instruction.operands[first : first + 2]
    return [(machine.read(operand, "u32", instruction) & np.uint32(255)).astype(np.int64) for operand in operands]


def _ones(length: Array) -> Array:
    """The lowest ``length`` bits of 64."""
    some = (np.uint64(1) << np.minimum(length, 63).astype(np.uint64)) - np.uint64(1)
    return np.where(length >= 64, ~np.uint64(0), some)


def _extract(machine: Machine, instruction: Instruction, active: Array | None) -> None:
    """``bfe``: bits ``position .. position + length - 1``, extended by their sign in signed types."""
    kind = kind_of(instruction)
    value = machine.read(instruction.operands[1], kind, instruction)
    bits = 8 * value.dtype.itemsize
    position, length = _range(machine, instruction, 2)
    word = value.view(unsigned(kind)).astype(np.uint64)
    shifted = np.where(position < bits, word >> np.minimum(position, 63).astype(np.uint64), np.uint64(0))
    found = shifted & _ones(length)
    if is_signed(kind):
        last = np.clip(np.minimum(position + length - 1, bits - 1), 0, 63).astype(np.uint64)
        sign = (word >> last & np.uint64(1) != 0) & (length > 0)
        present = np.clip(bits - position, 0, None)
        filled = np.minimum(length, present).astype(np.uint64)
        found = np.where(sign, found | (~np.uint64(0) << np.minimum(filled, np.uint64(63))), found)
    machine.write(instruction.operands[0], found.astype(unsigned(kind)), active, instruction)


def _insert(machine: Machine, instruction: Instruction, active: Array | None) -> None:
    """``bfi``: the low ``length`` bits of the first source, at ``position`` of the second."""
    kind = kind_of(instruction)
    source, base = (machine.read(operand, kind, instruction) for operand in instruction.operands[1:3])
    bits = 8 * source.dtype.itemsize
    position, length = _range(machine, instruction, 3)
    length = np.minimum(length, np.clip(bits - position, 0, None))
    at = np.minimum(position, 63).astype(np.uint64)
    mask = _ones(length) << at
    result = base.astype(np.uint64) & ~mask | (source.astype(np.uint64) << at) & mask
    machine.write(instruction.operands[0], result.astype(source.dtype), active, instruction)


def _count(machine: Machine, instruction: Instruction, active: Array | None) -> None:
    """``popc``, ``clz``, ``brev``, ``bfind``."""
    kind = kind_of(instruction)
    value = machine.read(instruction.operands[1], kind, instruction)
    bits = 8 * value.dtype.itemsize
    if instruction.opcode == "bfind" and is_signed(kind):
        value = np.where(value < 0, ~value, value)
    word = value.view(unsigned(kind))
    digits = [(word >> word.dtype.type(place)) & word.dtype.type(1) for place in range(bits)]
    if instruction.opcode == "popc":
        result = np.sum(digits, axis=0, dtype=np.uint32)
    elif instruction.opcode == "brev":
        result = np.zeros_like(word)
        for place_, digit in enumerate(digits):
            result = result | digit << word.dtype.type(bits - 1 - place_)
    else:
        highest = np.full(word.shape, -1, np.int32)
        for place_, digit in enumerate(digits):
            highest = np.where(digit != 0, np.int32(place_), highest)
        if instruction.opcode == "clz":
            result = (bits - 1 - highest).astype(np.uint32)
        elif "shiftamt" in instruction.modifiers:
            result = np.where(highest < 0, np.int32(-1), bits - 1 - highest).view(np.uint32)
        else:
            result = highest.view(np.uint32)
    machine.write(instruction.operands[0], np.asarray(result), active, instruction)


def _permute(machine: Machine, instruction: Instruction, active: Array | None) -> None:
    """``prmt``: four bytes picked out of eight, or filled with the sign of the picked one."""
    if any(word != "b32" for word in instruction.modifiers):
        raise UnsupportedError("modes of prmt are not supported", where=place(instruction))
    a, b, control = (machine.read(operand, "b32", instruction) for operand in instruction.operands[1:])
    both = a.astype(np.uint64) | (b.astype(np.uint64) << np.uint64(32))
    result = np.zeros(np.broadcast_shapes(both.shape, control.shape), np.uint32)
    for position in range(4):
        nibble = (control >> np.uint32(4 * position)) & np.uint32(15)
        byte = (both >> (nibble & np.uint32(7)).astype(np.uint64) * np.uint64(8)).astype(np.uint32) & np.uint32(255)
        filled = np.where(byte & np.uint32(128) != 0, np.uint32(255), np.uint32(0))
        byte = np.where(nibble & np.uint32(8) != 0, filled, byte)
        result = result | byte << np.uint32(8 * position)
    machine.write(instruction.operands[0], result, active, instruction)


OPERATIONS: dict[str, Operation] = {
    "and": _logic(np.bitwise_and),
    "or": _logic(np.bitwise_or),
    "xor": _logic(np.bitwise_xor),
    "not": _logic(np.invert),
    "cnot": _logic(lambda value: (value == 0).astype(value.dtype)),
    "shl": _shift,
    "shr": _shift,
    "shf": _funnel,
    "lop3": _three_inputs,
    "bfe": _extract,
    "bfi": _insert,
    "popc": _count,
    "clz": _count,
    "brev": _count,
    "bfind": _count,
    "prmt": _permute,
}
"""Opcode -> what it does."""
