"""Which registers hold a value that is still to be read, and from where to where in the text each of them does.

Code from a compiler has a register for every value, thousands of them, of which few are alive at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cnnc.ptx.control_flow import successors
from cnnc.ptx.module import Address, Entry, Instruction, Operand, Pack, Register

_NO_RESULT = frozenset(
    (
        *("st", "red", "cp", "prefetch", "prefetchu", "fence", "membar"),
        *("bra", "brx", "ret", "exit", "trap", "bar", "barrier", "nanosleep", "pmevent"),
    )
)
"""Opcodes whose first operand is no result."""


def live_ranges(entry: Entry) -> Mapping[str, tuple[int, int]]:
    """First and last index of the instructions around which a register must keep its value; for those that occur.

    A guarded instruction may leave what its result held, so it starts no life.
    """
    names = list(entry.registers)
    numbers = {name: number for number, name in enumerate(names)}
    reads = [register_bits(numbers, sources(instruction)) for instruction in entry.body]
    writes = [register_bits(numbers, results(instruction)) for instruction in entry.body]
    live = _live_before(entry, reads, writes)
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    before = 0
    for index, (read, write) in enumerate(zip(reads, writes, strict=True)):
        present = live[index] | read | write
        for number in _numbers(present & ~before):
            first.setdefault(number, index)
        for number in _numbers(before & ~present):
            last[number] = index - 1
        before = present
    for number in _numbers(before):
        last[number] = len(entry.body) - 1
    return {names[number]: (start, last[number]) for number, start in first.items()}


def _live_before(entry: Entry, reads: list[int], writes: list[int]) -> list[int]:
    """For every instruction the registers, as bits, that are read at it or behind it before they are written."""
    after = successors(entry)
    before: list[list[int]] = [[] for _ in range(len(entry.body) + 1)]
    for index, targets in enumerate(after):
        for target in targets:
            before[target].append(index)
    live = [0] * (len(entry.body) + 1)
    todo = list(range(len(entry.body)))
    while todo:
        index = todo.pop()
        found = 0
        for following in after[index]:
            found |= live[following]
        if entry.body[index].guard is None:
            found &= ~writes[index]
        found |= reads[index]
        if found != live[index]:
            live[index] = found
            todo += before[index]
    return live


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


def register_bits(numbers: Mapping[str, int], names: Iterator[str]) -> int:
    """A set of registers as the bits of an integer."""
    total = 0
    for name in names:
        total |= 1 << numbers[name]
    return total


def _numbers(bits: int) -> Iterator[int]:
    while bits:
        yield (bits & -bits).bit_length() - 1
        bits &= bits - 1
