"""How many bytes each step must move at least: what its kernels' footprints say they read and write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cnnc.runtime.kernel import Target
from cnnc.runtime.kernel_table import KernelTable, kernel_table
from cnnc.runtime.plan import Address, Instruction, Plan, Segment
from cnnc.runtime.planner import plan
from cnnc.runtime.program import Program


@dataclass(frozen=True, slots=True)
class StepBytes:
    """What a step moves at least: each operand once for reading, each result once for writing.

    Attributes:
        read, written: of activations.
        weights: of constants.
    """

    read: int = 0
    written: int = 0
    weights: int = 0

    @property
    def total(self) -> int:
        return self.read + self.written + self.weights

    def __add__(self, other: StepBytes) -> StepBytes:
        return StepBytes(self.read + other.read, self.written + other.written, self.weights + other.weights)


def step_bytes(program: Program, bindings: Mapping[str, int], target: Target | None = None) -> dict[int, StepBytes]:
    """By the number of the kernel step; host steps and steps behind a size that only values decide are left out.

    Args:
        bindings: a size for every symbol of the inputs' shapes.
        target: what the program is for; None for this machine's CPU.
    """
    return planned_bytes(program, plan(program, bindings), target)


def planned_bytes(program: Program, made: Plan, target: Target | None = None) -> dict[int, StepBytes]:
    """The same for a plan of the program."""
    kernel_def = kernel_table(target)
    found: dict[int, StepBytes] = {}
    for action in made.actions:
        if isinstance(action, Segment):
            for instruction in action.instructions:
                moved = _instruction_bytes(program, instruction, kernel_def)
                found[instruction.step] = found.get(instruction.step, StepBytes()) + moved
    return found


def _instruction_bytes(program: Program, instruction: Instruction, kernel_def: KernelTable) -> StepBytes:
    kernel = kernel_def(instruction.variant.kernel)
    slots = dict(zip(kernel.args, instruction.args, strict=True))
    sizes = {name: size for name in kernel.sizes if isinstance(size := slots[name], int)}
    ranges: dict[tuple[str, bool], tuple[int, int]] = {}
    for access in kernel.footprint(sizes, instruction.variant.options):
        if access.start >= access.stop:
            continue
        key = (access.buffer, access.writes)
        start, stop = ranges.get(key, (access.start, access.stop))
        ranges[key] = (min(start, access.start), max(stop, access.stop))
    moved = StepBytes()
    for (name, writes), (start, stop) in ranges.items():
        slot, size = slots[name], stop - start
        if isinstance(slot, Address) and program.buffers[slot.buffer].kind == "constant":
            moved += StepBytes(weights=size)
        else:
            moved += StepBytes(written=size) if writes else StepBytes(read=size)
    return moved
