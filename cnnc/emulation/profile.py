"""What a kernel call of a program would be charged with on a device: counted on the emulator, on a sample of blocks.

The first and the last block stand for themselves, where tiles hang over the border; those between are sampled evenly
and stand for all of them. Buffers that are no constants hold zeros: kernels of this library do the same whatever their
numbers are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from cnnc.emulation.loops import LoopCounts, hottest_loop
from cnnc.errors import InputError
from cnnc.frozen_dataclass import dataclass
from cnnc.ptx import Counters, Emulator, Entry, parse_ptx
from cnnc.ptx.types import DTYPES
from cnnc.runtime.cuda import kernel_def
from cnnc.runtime.cuda.compile import ENTRY
from cnnc.runtime.cuda.cubin import Cubin, ResourceUse
from cnnc.runtime.cuda.kernel_library import compiled_cubin, compiled_ptx
from cnnc.runtime.cuda.machine_code import InstructionCounts, listing
from cnnc.runtime.cuda.machine_code import hottest_loop as hottest_machine_loop
from cnnc.runtime.executable import Executable
from cnnc.runtime.kernel import Target, Variant
from cnnc.runtime.plan import Address, Instruction, Plan, Segment
from cnnc.runtime.planner import plan

DEFAULT_BLOCKS = 6
"""Blocks of a call that are run."""


@dataclass(frozen=True)
class CallProfile:
    """One kernel call.

    Attributes:
        step: number of the step in the program.
        blocks, threads: of the grid, and of a block.
        sampled: blocks that were run.
        counters: estimated for all blocks.
        loop: the hottest loop in the PTX; None if there is none.
        machine_loop: the same in the machine code.
        resources: registers and memory of a block.
        tensor_type: of the factors of products on tensor cores, such as ``f16``; "" where there are none.
        constant_bytes, tensor_bytes: that the call must read or write at least once: weights, and activations.
    """

    step: int
    variant: Variant
    blocks: int
    threads: int
    sampled: int
    counters: Counters
    loop: LoopCounts | None
    machine_loop: InstructionCounts
    resources: ResourceUse
    tensor_type: str
    constant_bytes: int
    tensor_bytes: int


class Profiler:
    """Profiles calls of one executable for a GPU; calls of the same variant share its compiled kernel.

    Args:
        bindings: a size for every symbol of the inputs' shapes.
        blocks: about how many blocks of each call are run.

    Raises:
        InputError: ``blocks`` is not positive.
    """

    def __init__(
        self,
        executable: Executable,
        target: Target,
        bindings: Mapping[str, int],
        *,
        blocks: int = DEFAULT_BLOCKS,
    ) -> None:
        if blocks < 1:
            raise InputError(f"{blocks} blocks, at least one is needed", where="blocks")
        self._executable, self._target, self._sample = executable, target, blocks
        self._plan: Plan = plan(executable.program, bindings)
        self._machine_loops: dict[Variant, InstructionCounts] = {}

    @property
    def arena_bytes(self) -> int:
        """Of all activations together."""
        return self._plan.arena_bytes

    def instructions(self, step: int | None = None) -> tuple[Instruction, ...]:
        """Kernel calls of a step, or of all; none behind a size that only values decide."""
        segments = (action for action in self._plan.actions if isinstance(action, Segment))
        found = (instruction for segment in segments for instruction in segment.instructions)
        return tuple(instruction for instruction in found if step in (None, instruction.step) and instruction.items)

    def profile(self, instruction: Instruction) -> CallProfile:
        """Run a sample of a call's blocks.

        Raises:
            OptionError: a compiler or assembler of kernels is not installed.
            AccessError: the kernel touches what it must not.
        """
        variant = instruction.variant
        cubin = compiled_cubin(variant, self._target)
        module = parse_ptx(compiled_ptx(variant, self._target))
        emulator = Emulator(module)
        arguments = list(self._arguments(emulator, instruction))
        threads = kernel_def(variant.kernel).threads(variant.options)
        total, sampled = Counters(), 0
        for numbers, weight in samples(instruction.items, self._sample):
            found = emulator.launch(ENTRY, (instruction.items,), (threads,), arguments, blocks=numbers)
            total.add(scaled(found, weight))
            sampled += len(numbers)
        constants, tensors = self._least_bytes(instruction)
        entry = module.entries[ENTRY]
        loop = hottest_loop(entry, total)
        machine_loop = self._machine_loop(variant, cubin)
        return CallProfile(
            *(instruction.step, variant, instruction.items, threads, sampled, total, loop, machine_loop),
            *(cubin.resources, tensor_type(entry), constants, tensors),
        )

    def _machine_loop(self, variant: Variant, cubin: Cubin) -> InstructionCounts:
        if variant not in self._machine_loops:
            self._machine_loops[variant] = hottest_machine_loop(listing(cubin.image))
        return self._machine_loops[variant]

    def _arguments(self, emulator: Emulator, instruction: Instruction) -> Iterator[int]:
        addresses: dict[int, int] = {}
        buffers = self._executable.program.buffers
        for argument in instruction.args:
            if not isinstance(argument, Address):
                yield argument
                continue
            number = argument.buffer
            if number not in addresses:
                buffer = buffers[number]
                if buffer.kind == "constant":
                    array = self._executable.constants[buffer.constant]
                else:
                    array = np.zeros(max(1, self._plan.buffer_bytes[number]), np.uint8)
                addresses[number] = emulator.memory.allocate(array, buffer.name)
            yield addresses[number] + argument.offset

    def _least_bytes(self, instruction: Instruction) -> tuple[int, int]:
        """Bytes of constants and of other buffers that the call's footprint has."""
        kernel = kernel_def(instruction.variant.kernel)
        slots = dict(zip(kernel.args, instruction.args, strict=True))
        sizes = {name: size for name in kernel.sizes if isinstance(size := slots[name], int)}
        ranges: dict[tuple[str, bool], tuple[int, int]] = {}
        for access in kernel.footprint(sizes, instruction.variant.options):
            if access.start < access.stop:
                start, stop = ranges.get((access.buffer, access.writes), (access.start, access.stop))
                ranges[access.buffer, access.writes] = min(start, access.start), max(stop, access.stop)
        found = {True: 0, False: 0}
        for (name, _), (start, stop) in ranges.items():
            address = slots[name]
            if isinstance(address, Address):
                is_constant = self._executable.program.buffers[address.buffer].kind == "constant"
                found[is_constant] += stop - start
        return found[True], found[False]


def tensor_type(entry: Entry) -> str:
    """Type of the left factors of an entry's ``mma``, which all have the same; "" without."""
    for instruction in entry.body:
        if instruction.opcode == "mma":
            return [word for word in instruction.modifiers if word in DTYPES][1]
    return ""


def samples(blocks: int, wanted: int) -> Iterator[tuple[Sequence[int], float]]:
    """Numbers of blocks to run, and how many blocks each of them stands for."""
    if blocks <= max(wanted, 2):
        yield range(blocks), 1.0
        return
    yield (0, blocks - 1), 1.0
    inner = max(1, wanted - 2)
    numbers = np.unique(np.linspace(1, blocks - 2, inner + 2).round().astype(int)[1:-1])
    yield [int(number) for number in numbers], (blocks - 2) / len(numbers)


def scaled(counters: Counters, factor: float) -> Counters:
    """Counts of ``factor`` times as many blocks, rounded."""

    def times(number: int) -> int:
        return round(number * factor)

    names = ("flops", "sectors", "least_sectors", "shared_cycles", "least_shared_cycles")
    others = ("branches", "divergent_branches", "barriers")
    return Counters(
        Counter({name: times(count) for name, count in counters.issued.items()}),
        Counter({index: times(count) for index, count in counters.by_index.items()}),
        **{name: times(getattr(counters, name)) for name in (*names, *others)},
    )
