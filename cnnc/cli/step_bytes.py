"""How many bytes each step must move at least: what its kernels' footprints say they read and write."""

from __future__ import annotations

from collections.abc import Mapping

from cnnc.runtime.cpu import kernel_def
from cnnc.runtime.plan import Instruction, Segment
from cnnc.runtime.planner import plan
from cnnc.runtime.program import Program


def step_bytes(program: Program, bindings: Mapping[str, int]) -> dict[int, int]:
    """Bytes by the number of the kernel step: each operand once for reading, each result once for writing.

    Steps behind a size that only values decide are left out, and so are host steps.
    """
    found: dict[int, int] = {}
    for action in plan(program, bindings).actions:
        if isinstance(action, Segment):
            for instruction in action.instructions:
                found[instruction.step] = found.get(instruction.step, 0) + _instruction_bytes(instruction)
    return found


def _instruction_bytes(instruction: Instruction) -> int:
    kernel = kernel_def(instruction.variant.kernel)
    sizes = {
        name: arg
        for name, arg in zip(kernel.sizes, instruction.args[len(kernel.buffers) :], strict=True)
        if isinstance(arg, int)
    }
    ranges: dict[tuple[str, bool], tuple[int, int]] = {}
    for access in kernel.footprint(sizes, instruction.variant.options):
        if access.start >= access.stop:
            continue
        key = (access.buffer, access.writes)
        start, stop = ranges.get(key, (access.start, access.stop))
        ranges[key] = (min(start, access.start), max(stop, access.stop))
    return sum(stop - start for start, stop in ranges.values())
