"""Finds instructions that read a register which nothing has written, whatever path led there."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping

from cnnc.ptx.control_flow import successors
from cnnc.ptx.module import Address, Entry, Instruction, Operand, Pack, Register

_NO_RESULT = frozenset(("st", "red", "bra", "brx", "ret", "exit", "trap", "bar", "barrier", "cp", "prefetch", "fence"))
"""Opcodes whose first operand is no result; those that write nothing and read nothing are not told apart."""


@functools.lru_cache(maxsize=256)
def undefined_reads(entry: Entry) -> Mapping[int, str]:
    """Index of an instruction -> the register that it reads and that no path to it has written."""
    numbers = {name: number for number, name in enumerate(entry.registers)}
    reads = [_bits(numbers, sources(instruction)) for instruction in entry.body]
    writes = [_bits(numbers, results(instruction)) for instruction in entry.body]
    after = successors(entry)
    written = [-1] * (len(entry.body) + 1)  # -1: not reached yet
    written[0] = 0
    todo = [0]
    while todo:
        index = todo.pop()
        if index == len(entry.body):
            continue
        found = written[index] | writes[index]
        for following in after[index]:
            merged = found if written[following] < 0 else written[following] | found
            if merged != written[following]:
                written[following] = merged
                todo.append(following)
    names = list(numbers)
    return {
        index: names[(missing & -missing).bit_length() - 1]
        for index, read in enumerate(reads)
        if written[index] >= 0 and (missing := read & ~written[index])
    }


def sources(instruction: Instruction) -> Iterator[str]:
    """Registers that it reads; those of addresses too."""
    if instruction.guard is not None:
        yield instruction.guard.name
    first = 0 if instruction.opcode in _NO_RESULT else 1
    for number, operand in enumerate(instruction.operands):
        if number >= first:
            yield from _registers(operand)
        elif isinstance(operand, Address):
            yield from _registers(operand)


def results(instruction: Instruction) -> Iterator[str]:
    """Registers that it writes."""
    if instruction.opcode not in _NO_RESULT and instruction.operands:
        yield from _registers(instruction.operands[0])


def _registers(operand: Operand | None) -> Iterator[str]:
    if isinstance(operand, Register):
        yield operand.name
    elif isinstance(operand, Address):
        yield from _registers(operand.base)
    elif isinstance(operand, Pack):
        for part in operand.parts:
            yield from _registers(part)


def _bits(numbers: Mapping[str, int], names: Iterator[str]) -> int:
    total = 0
    for name in names:
        total |= 1 << numbers[name]
    return total
