"""The innermost loop of a kernel that most instructions are issued in, as it stands in the PTX."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from cnnc.frozen_dataclass import dataclass
from cnnc.ptx import Counters, Entry
from cnnc.ptx.control_flow import branch_targets
from cnnc.ptx.counters import instruction_class

MULTIPLYING = frozenset(("fma", "tensor", "dot"))
"""Classes of instructions that multiply and add: what convolutions and matrix products are there for."""


@dataclass(frozen=True, slots=True)
class LoopCounts:
    """What is issued for warps in a loop.

    Attributes:
        first_line, last_line: of the PTX text.
        issued: instructions by class.
        share: of all that the kernel issues, 0 to 1.
    """

    first_line: int
    last_line: int
    issued: Mapping[str, int]
    share: float

    @property
    def total(self) -> int:
        return sum(self.issued.values())

    @property
    def multiplying_share(self) -> float:
        """Share of instructions that multiply and add, 0 to 1."""
        return sum(self.issued.get(name, 0) for name in MULTIPLYING) / self.total if self.total else 0.0


def hottest_loop(entry: Entry, counters: Counters) -> LoopCounts | None:
    """The loop of a launch; None if no loop was entered.

    A loop is what lies between a label and the last branch back to it. It is innermost if no other is inside of it.
    """
    ends: dict[int, int] = {}
    for index, instruction in enumerate(entry.body):
        if instruction.opcode == "bra":
            (target,) = branch_targets(entry, instruction)
            if target <= index:
                ends[target] = index
    innermost = [
        (first, last)
        for first, last in ends.items()
        if not any(first <= other and end <= last and (other, end) != (first, last) for other, end in ends.items())
    ]
    issued = counters.by_index
    best = max(innermost, key=lambda loop: _issues(loop, issued), default=None)
    total = sum(issued.values())
    if best is None or not _issues(best, issued):
        return None
    classes: Counter[str] = Counter()
    for index in range(best[0], best[1] + 1):
        instruction = entry.body[index]
        classes[instruction_class(instruction.opcode, instruction.modifiers)] += issued[index]
    lines = entry.body[best[0]].line, entry.body[best[1]].line
    return LoopCounts(*lines, dict(+classes), _issues(best, issued) / total)


def _issues(loop: tuple[int, int], issued: Mapping[int, int]) -> int:
    return sum(issued.get(index, 0) for index in range(loop[0], loop[1] + 1))
