"""What a kernel's innermost loop does, read from its assembly: products, and bytes between registers and cache.

The assembly is x86-64 in AT&T syntax: the destination stands last, ``(%rax)`` is memory, ``%zmm`` a register of 64
bytes, ``%ymm`` one of 32, ``%xmm`` one of 16; ``...ps`` works on a vector of floats, ``...ss`` on one float.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_LABEL = re.compile(r"^(\.L\w+):")
_JUMP = re.compile(r"^\s+j\w+\s+(\.L\w+)")
_PRODUCT = re.compile(r"^v?(fn?madd\d+|mul)(ps|ss)$")
_MOVE = re.compile(r"^v?(mov[au]p[sd]|movss|broadcastss)$")
_VECTOR_BYTES = {"zmm": 64, "ymm": 32, "xmm": 16}
FLOAT = 4


@dataclass(frozen=True)
class InnerLoop:
    """One pass of the loop.

    Attributes:
        text: its assembly.
        products: of floats; a vector instruction makes as many as the vector has lanes.
        multiply_adds, fused: instructions that make them, and those that also add, rounding once.
        loads, stores: instructions that read and write floats in memory, the stack included.
        moved_bytes: by all of these.
        stack: instructions that touch the stack: what did not fit in registers.
    """

    text: str
    products: int
    multiply_adds: int
    fused: int
    loads: int
    stores: int
    moved_bytes: int
    stack: int

    @property
    def intensity(self) -> float:
        """Operations, two for a product, for each byte that moves between registers and the first-level cache."""
        return 2 * self.products / self.moved_bytes if self.moved_bytes else 0.0


def hottest(assembly: str) -> InnerLoop:
    """The innermost loop that makes most products in a pass; of equal ones the first."""
    return max(map(_read, _innermost(assembly.splitlines())), key=lambda loop: loop.products)


def _innermost(lines: list[str]) -> list[list[str]]:
    """The bodies of loops that hold no other: from a label to a jump back to it."""
    labels = {match.group(1): number for number, line in enumerate(lines) if (match := _LABEL.match(line))}
    jumps = [(number, labels.get(match.group(1))) for number, line in enumerate(lines) if (match := _JUMP.match(line))]
    loops = [(start, stop) for stop, start in jumps if start is not None and start < stop]
    return [
        lines[start : stop + 1]
        for start, stop in loops
        if not any(start <= a and b <= stop and (a, b) != (start, stop) for a, b in loops)
    ]


def _read(body: list[str]) -> InnerLoop:
    products = multiply_adds = fused = loads = stores = moved = stack = 0
    for line in body:
        mnemonic, _, operands = line.strip().partition("\t")
        is_product, is_move = _PRODUCT.match(mnemonic), _MOVE.match(mnemonic)
        if not (is_product or is_move):
            stack += "(%rsp" in operands
            continue
        scalar = mnemonic.endswith("ss")
        width = FLOAT if scalar else max(size for name, size in _VECTOR_BYTES.items() if name in operands)
        if is_product:
            products += width // FLOAT
            multiply_adds += 1
            fused += "madd" in mnemonic
        if "(" in operands:
            writes = operands.endswith(")")
            loads, stores = loads + (not writes), stores + writes
            # {1to16}: one float, in all lanes.
            moved += FLOAT if "{1to" in operands else width
            stack += "(%rsp" in operands
    text = "\n".join(line for line in body if not line.strip().startswith("#"))
    return InnerLoop(text, products, multiply_adds, fused, loads, stores, moved, stack)
