"""Facts about emitted x86-64 assembly that tests assert: register spills, multiply-adds, loads in the hottest loop."""

from __future__ import annotations

import re
from dataclasses import dataclass

_LABEL = re.compile(r"^(\.L\w+):")
_JUMP = re.compile(r"^\s+j\w+\s+(\.L\w+)")
_FMA = re.compile(r"^\s+v(fn?m(add|sub)\w*p[sd]|pdpbusd|pdpwssd|pmaddwd|dpbf16ps)\s")
_STACK = re.compile(r"^\s+\w+\s.*\(%rsp[,)]")
_LOAD = re.compile(r"^\s+v?(mov[au]p[sd]|movs[sd]|broadcasts[sd]|broadcastf\w+|pbroadcastd)\s+[^,]*\(")
_MEMORY_OPERAND = re.compile(r"^\s+\w+\s+[^%,]*\(")


@dataclass(frozen=True, slots=True)
class LoopFacts:
    """Counts in one loop body, or other piece of code.

    Attributes:
        instructions: all of them.
        multiply_adds: fused ones on vectors, or sums of products of integers.
        stack_moves: instructions with an operand on the stack: spilled registers.
        loads: instructions that only load a vector, or one element into all lanes.
        folded_loads: multiply-adds that take an operand from memory.
    """

    instructions: int
    multiply_adds: int
    stack_moves: int
    loads: int
    folded_loads: int


def hottest_loop(assembly: str) -> LoopFacts:
    """Facts of the innermost loop with the most multiply-adds in AT&T syntax assembly; zeros where none has any."""
    return max(_innermost_loops(assembly), key=lambda facts: facts.multiply_adds, default=LoopFacts(0, 0, 0, 0, 0))


def densest_loop(assembly: str) -> LoopFacts:
    """Facts of the innermost loop with the most multiply-adds for an instruction."""
    loops = _innermost_loops(assembly)
    return max(loops, key=lambda facts: facts.multiply_adds / facts.instructions, default=LoopFacts(0, 0, 0, 0, 0))


def whole_code(assembly: str) -> LoopFacts:
    """Facts of all instructions."""
    return _count(assembly.splitlines())


def hottest_block(assembly: str) -> LoopFacts:
    """Facts of the straight-line code, between labels and jumps, with the most multiply-adds."""
    blocks: list[list[str]] = [[]]
    for line in assembly.splitlines():
        if line.startswith(".L") or _JUMP.match(line):
            blocks.append([])
        else:
            blocks[-1].append(line)
    return max(map(_count, blocks), key=lambda facts: facts.multiply_adds)


def _innermost_loops(assembly: str) -> list[LoopFacts]:
    """Facts of each loop that has instructions and holds no other loop."""
    lines = assembly.splitlines()
    labels = {match.group(1): number for number, line in enumerate(lines) if (match := _LABEL.match(line))}
    found = []
    for number, line in enumerate(lines):
        jump = _JUMP.match(line)
        start = labels.get(jump.group(1), number) if jump else number
        if start >= number:
            continue
        body = lines[start:number]
        if any((inner := _JUMP.match(text)) and labels.get(inner.group(1), 0) in range(start, number) for text in body):
            continue
        facts = _count(body)
        if facts.instructions:
            found.append(facts)
    return found


def _count(body: list[str]) -> LoopFacts:
    code = [line for line in body if line.startswith("\t") and not line.startswith("\t.") and "#" not in line[:2]]
    multiply_adds = [line for line in code if _FMA.match(line)]
    return LoopFacts(
        instructions=len(code),
        multiply_adds=len(multiply_adds),
        stack_moves=sum(1 for line in code if _STACK.match(line)),
        loads=sum(1 for line in code if _LOAD.match(line)),
        folded_loads=sum(1 for line in multiply_adds if _MEMORY_OPERAND.match(line)),
    )
