"""Runs an entry: thread blocks by the batch, one instruction at a time for all of their threads.

Threads that branch apart are executed one side after the other, and go on together where their paths meet
(``control_flow``). A barrier asks that all threads of a block are there. A launch that executes too many instructions
is stopped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnc.errors import InputError, ModelError, UnsupportedError
from cnnc.ptx import arithmetic, bits, comparison, conversion, matrix, transfer, warp
from cnnc.ptx.arithmetic import Operation
from cnnc.ptx.control_flow import LEAVES, branch_targets, meeting_points
from cnnc.ptx.counters import WARP, Counters, charge
from cnnc.ptx.machine import Array, Launch, Machine, place
from cnnc.ptx.memory import GlobalMemory
from cnnc.ptx.module import Entry, Instruction, Module
from cnnc.ptx.types import DTYPES
from cnnc.ptx.undefined import undefined_reads

OPERATIONS: Mapping[str, Operation] = {
    **arithmetic.OPERATIONS,
    **bits.OPERATIONS,
    **comparison.OPERATIONS,
    **conversion.OPERATIONS,
    **transfer.OPERATIONS,
    **warp.OPERATIONS,
    **matrix.OPERATIONS,
}
"""Opcode -> what it does to a machine. Control flow and barriers are the executor's own."""

MAX_THREADS = 1024
"""Of a block, on every device."""

DEFAULT_LANES = 1 << 15
"""Threads that run together: enough that NumPy's overhead a call is small, and the arrays stay in the caches."""

DEFAULT_STEPS = 1 << 24
"""Instructions of a batch of blocks before it counts as endless."""


@dataclass
class _Path:
    """Threads that execute the same instruction next; they leave the path at ``meets``."""

    next: int
    meets: int
    active: Array


class Emulator:
    """A module on a device that does not exist.

    Args:
        memory: where the launches' arrays lie; one of its own if None.
        lanes: about how many threads run together.
        steps: most instructions of a batch of blocks, or of a warp where machine code runs.
        native: machine code does what it can (``cnnc.ptx.native``); False to run all on the NumPy meaning.
    """

    def __init__(
        self,
        module: Module,
        memory: GlobalMemory | None = None,
        *,
        lanes: int = DEFAULT_LANES,
        steps: int = DEFAULT_STEPS,
        native: bool = True,
    ) -> None:
        self.module, self.lanes, self.steps, self.native = module, lanes, steps, native
        self.memory = GlobalMemory() if memory is None else memory
        self.constants: dict[str, int] = {}
        for variable in module.variables.values():
            if variable.space in ("global", "const"):
                content = np.frombuffer(variable.content.ljust(variable.size, b"\0"), np.uint8).copy()
                self.constants[variable.name] = self.memory.allocate(content, variable.name)

    def launch(
        self,
        name: str,
        grid: Sequence[int],
        block: Sequence[int],
        arguments: Sequence[Any],
        *,
        dynamic_shared: int = 0,
        blocks: Sequence[int] | None = None,
    ) -> Counters:
        """Run entry ``name``; arrays in memory are changed in place.

        Args:
            grid, block: up to three sizes.
            arguments: a number for each parameter; addresses come from ``memory.allocate``.
            blocks: only these blocks of the grid, x fastest; all by default.

        Raises:
            InputError: sizes or arguments do not fit the entry.
            ModelError, UnsupportedError: the entry does what it must not, or what the emulator cannot.
            AccessError: an access outside of memory, not aligned, or a race.
        """
        if name not in self.module.entries:
            entries = ", ".join(self.module.entries) or "none"
            raise InputError(f"there is no entry {name!r}, the module has {entries}", where="launch")
        entry = self.module.entries[name]
        shape = Launch(_dimensions(grid), _dimensions(block), dynamic_shared)
        if not 0 < shape.threads <= (entry.most_threads or MAX_THREADS):
            most = entry.most_threads or MAX_THREADS
            raise InputError(f"a block of {shape.threads} threads, at most {most} are allowed", where=name)
        params = packed_params(entry, arguments)
        count = shape.blocks
        chosen = range(count) if blocks is None else blocks
        if blocks is not None and any(not 0 <= number < count for number in blocks):
            raise InputError(f"the grid has {count} blocks", where=name)
        padded = -(-shape.threads // WARP) * WARP
        batch = max(1, self.lanes // padded)
        counters = Counters()
        for first in range(0, len(chosen), batch):
            some = chosen[first : first + batch]
            counters.add(self._run(entry, shape, some, params))
        return counters

    def _run(self, entry: Entry, shape: Launch, blocks: Sequence[int], params: bytes) -> Counters:
        """Run some blocks together."""
        if not self.native or entry.tables:  # branch tables are left to the NumPy meaning
            machine = Machine(self.module, entry, shape, blocks, self.memory, params, self.constants)
            _Run(machine, meeting_points(entry), self.steps).run()
            return machine.counters
        from cnnc.ptx.native import scheduler

        program = scheduler.encoded(entry)
        machine = Machine(self.module, entry, shape, blocks, self.memory, params, self.constants, program.extra)
        with np.errstate(all="ignore"):
            scheduler.run(machine, program, _perform, self.steps)
        return machine.counters


def _dimensions(sizes: Sequence[int]) -> tuple[int, int, int]:
    if not 1 <= len(sizes) <= 3 or min(sizes) < 1:
        raise InputError(f"sizes {tuple(sizes)}, expected one to three positive numbers", where="launch")
    x, y, z = (*(int(size) for size in sizes), 1, 1)[:3]
    return x, y, z


def packed_params(entry: Entry, arguments: Sequence[Any]) -> bytes:
    """The arguments as bytes, each at a multiple of its alignment."""
    if len(arguments) != len(entry.params):
        raise InputError(f"{len(arguments)} arguments for {len(entry.params)} parameters", where=entry.name)
    data = bytearray()
    for variable, argument in zip(entry.params, arguments, strict=True):
        data.extend(b"\0" * (-len(data) % variable.align))
        if isinstance(argument, bytes):
            value = argument
        else:
            dtype = DTYPES[variable.type]
            number = np.asarray(argument)
            value = (number.astype(f"i{dtype.itemsize}") if dtype.kind == "u" else number.astype(dtype)).tobytes()
        if len(value) != variable.size:
            raise InputError(f"{len(value)} bytes for {variable.name}, which has {variable.size}", where=entry.name)
        data += value
    return bytes(data)


def _perform(machine: Machine, instruction: Instruction, active: Array) -> None:
    """What an instruction does that is neither control flow nor a barrier."""
    if instruction.opcode == "trap":
        raise ModelError("a thread trapped", where=place(instruction))
    if instruction.opcode in OPERATIONS:
        # What padding lanes hold does not matter: with all threads active no mask is needed.
        whole = bool((active == machine.live).all())
        OPERATIONS[instruction.opcode](machine, instruction, None if whole else active)
    elif instruction.opcode not in ("nop", "nanosleep", "pmevent"):
        raise UnsupportedError(f"there is no {instruction.name}", where=place(instruction))


class _Run:
    def __init__(self, machine: Machine, meets: Mapping[int, int], steps: int) -> None:
        self.machine, self.meets, self.steps = machine, meets, steps
        self.body = machine.entry.body
        self.undefined = undefined_reads(machine.entry)
        self.paths = [_Path(0, len(self.body), machine.live.copy())]

    def run(self) -> None:
        machine = self.machine
        with np.errstate(all="ignore"):
            for _ in range(self.steps):
                while self.paths and self._is_done(self.paths[-1]):
                    self.paths.pop()
                if not self.paths:
                    return
                self._step(self.paths[-1])
        what = f"more than {self.steps} instructions of a block"
        raise ModelError(what, where=machine.entry.name, hint="find the loop that does not end, or allow more steps")

    def _is_done(self, path: _Path) -> bool:
        return path.next == path.meets or not path.active.any()

    def _step(self, path: _Path) -> None:
        machine, instruction = self.machine, self.body[path.next]
        active = path.active
        if path.next in self.undefined:
            raise ModelError(f"{self.undefined[path.next]} is read before it is written", where=place(instruction))
        if instruction.guard is not None:
            active = active & machine.read(instruction.guard, "pred", instruction)
        if instruction.opcode in ("bra", "brx"):
            self._branch(path, instruction, active)
            return
        self._charge(path, instruction, active)
        path.next += 1
        if instruction.guard is not None and not active.any():
            return
        if instruction.opcode in LEAVES:
            self._leave(instruction, active)
        elif instruction.opcode in ("bar", "barrier"):
            self._barrier(instruction, active)
        else:
            _perform(machine, instruction, active)

    def _charge(self, path: _Path, instruction: Instruction, active: Array) -> None:
        """A warp is charged with an instruction also if none of its threads passes the guard."""
        warps = int(path.active.reshape(-1, WARP).any(axis=1).sum())
        charge(self.machine.counters, path.next, instruction, warps, int(active.sum()))

    def _branch(self, path: _Path, instruction: Instruction, taken: Array) -> None:
        self._charge(path, instruction, taken)
        machine, entry = self.machine, self.machine.entry
        counters = machine.counters
        here = path.next
        targets = branch_targets(entry, instruction)
        went = taken.reshape(-1, WARP).any(axis=1)
        stayed = (path.active & ~taken).reshape(-1, WARP).any(axis=1)
        counters.branches += int((went | stayed).sum())
        sides: list[tuple[int, Array]] = []
        if instruction.opcode == "brx":
            index = machine.spread(machine.read(instruction.operands[0], "u32", instruction))
            if (taken & (index >= len(targets))).any():
                raise ModelError("the index is behind the end of its table", where=place(instruction))
            sides = [(target, taken & (index == number)) for number, target in enumerate(targets)]
        else:
            sides = [(targets[0], taken)]
        sides.append((here + 1, path.active & ~taken))
        sides = [(target, active) for target, active in sides if active.any()]
        if len(sides) == 1:
            path.next = sides[0][0]
            return
        several = sum(active.reshape(-1, WARP).any(axis=1).astype(int) for _, active in sides)
        counters.divergent_branches += int(np.sum(np.asarray(several) > 1))
        path.next = self.meets[here]
        for target, active in sides:
            self.paths.append(_Path(target, path.next, active))

    def _leave(self, instruction: Instruction, active: Array) -> None:
        if instruction.opcode == "trap":
            raise ModelError("a thread trapped", where=place(instruction))
        # ``live`` shrinks: barriers and masks count the threads that are left.
        self.machine.live = self.machine.live & ~active
        for path in self.paths:
            path.active = path.active & ~active

    def _barrier(self, instruction: Instruction, active: Array) -> None:
        machine = self.machine
        if "warp" in instruction.modifiers:
            machine.races.warp_barrier(np.unique(machine.warp_of[active]))
            return
        if "sync" not in instruction.modifiers or len(instruction.operands) > 1:
            raise UnsupportedError(f"there is no {instruction.name} of some threads", where=place(instruction))
        present = active.reshape(machine.block_count, -1)
        blocks = present.any(axis=1)
        if (present != machine.live.reshape(machine.block_count, -1))[blocks].any():
            raise ModelError("a barrier that not all threads of a block reach", where=place(instruction))
        machine.counters.barriers += int(blocks.sum())
        machine.races.barrier(np.flatnonzero(blocks))


__all__ = ["OPERATIONS", "Emulator", "packed_params"]
