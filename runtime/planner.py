"""The planner: evaluates a program's sizes for given bindings, picks kernel choices and lays out memory.

    >>> plan(program, {"N": 2}).arena_bytes          # doctest: +SKIP
    1605632

Planning needs no compiler and no kernel, only numbers; it takes milliseconds. ``Planner`` keeps what does not depend
on sizes, so that a session pays for it once.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from cnnc.dims import Dim, Expr, evaluate
from cnnc.errors import InputError, InternalError, ModelError
from cnnc.runtime.arena_layout import Layout, aligned, best_fit
from cnnc.runtime.inplace import taken_over
from cnnc.runtime.plan import Address, HostCall, HostSizes, HostTensor, Instruction, Place, Plan, Segment
from cnnc.runtime.program import Arg, BufferArg, Call, HostStep, KernelStep, Program, Sizes, Tensor
from cnnc.runtime.stages import find_lifetimes, split_stages, step_name

MAX_CHUNKS = 128
MIN_CHUNK_WORK = 2_000
"""Nanoseconds of estimated work below which a chunk is not worth a claim."""
_MACS_PER_NS = 32
_BYTES_PER_NS = 8
_MAX_SIZE = 2**48


def plan(program: Program, bindings: Mapping[str, int], stage: int = 0, layout: Layout = best_fit) -> Plan:
    """Plan one stage of a program.

    Args:
        bindings: a size for every symbol of the inputs' shapes and, for a later stage, for every symbol that the
            stages before it bound.
        layout: ``best_fit``, or ``one_after_another`` to rule out reuse while debugging.

    Raises:
        InputError: the stage needs more memory than there is.
        InternalError: the program contradicts itself; the message names the step.
    """
    return Planner(program, layout).plan(bindings, stage)


class Planner:
    """Plans stages of one program. Immutable after construction: safe from many threads."""

    def __init__(self, program: Program, layout: Layout = best_fit) -> None:
        self.program = program
        self.stages = split_stages(program)
        self._lifetimes = find_lifetimes(program, self.stages)
        self._layout = layout

    def plan(self, bindings: Mapping[str, int], stage: int = 0) -> Plan:
        """See ``plan``."""
        return _StagePlanner(self, bindings, stage).plan()

    def place(self, buffer_bytes: list[int], stage: int) -> tuple[tuple[Place, ...], int]:
        """Places and arena size of a stage, given the bytes of each buffer."""
        wanted: dict[int, Place] = {}
        for buffer, lifetime in enumerate(self._lifetimes):
            if lifetime is None or lifetime.stage != stage or self.program.buffers[buffer].kind != "arena":
                continue
            wanted[buffer] = Place(buffer, 0, buffer_bytes[buffer], lifetime.first, lifetime.last)
        sources = taken_over(self.program, wanted, frozenset(self.stages[stage].deferred))
        return self._layout(list(wanted.values()), sources)

    def is_ready(self, buffer: int, stage: int) -> bool:
        """Whether a buffer has its size by the given stage."""
        lifetime = self._lifetimes[buffer]
        if lifetime is None:
            return self.program.buffers[buffer].kind in ("input", "constant")
        return lifetime.stage <= stage

    def outputs(self, stage: int) -> tuple[int, ...]:
        """Buffers of kind ``output`` that a stage allocates."""
        return tuple(
            buffer
            for buffer, lifetime in enumerate(self._lifetimes)
            if lifetime is not None and lifetime.stage == stage and self.program.buffers[buffer].kind == "output"
        )


class _StagePlanner:
    """The evaluation of one stage for one set of sizes."""

    def __init__(self, planner: Planner, bindings: Mapping[str, int], stage: int) -> None:
        self._planner = planner
        self._program = planner.program
        self._bindings = bindings
        self._number = stage
        self._stage = planner.stages[stage]
        self._known: dict[Expr, int] = {}

    def plan(self) -> Plan:
        planner, program, stage = self._planner, self._program, self._stage
        bytes_of = [
            self._size(buffer.bytes, f"buffer {buffer.name!r}") if planner.is_ready(index, self._number) else -1
            for index, buffer in enumerate(program.buffers)
        ]
        places, arena_bytes = planner.place(bytes_of, self._number)
        outputs = planner.outputs(self._number)
        actions: list[Segment | HostCall] = []
        run: list[Instruction] = []
        for index in range(stage.first, stage.stop):
            step = program.steps[index]
            if isinstance(step, KernelStep):
                run.extend(self._instructions(index, step, bytes_of))
                continue
            if run:
                actions.append(Segment(tuple(run)))
                run = []
            actions.append(self._host_call(index, step))
        if run:
            actions.append(Segment(tuple(run)))
        scratch = max((i.scratch_bytes for a in actions if isinstance(a, Segment) for i in a.instructions), default=0)
        _refuse_beyond_memory(arena_bytes + scratch + sum(bytes_of[buffer] for buffer in outputs), self._bindings)
        return Plan(
            stage=self._number,
            first=stage.first,
            stop=stage.stop,
            bindings=tuple(sorted(self._bindings.items())),
            buffer_bytes=tuple(bytes_of),
            places=places,
            outputs=outputs,
            actions=tuple(actions),
            arena_bytes=arena_bytes,
            scratch_bytes=aligned(scratch),
            is_last=self._number == len(planner.stages) - 1,
        )

    def _value(self, dim: Dim, what: str) -> int:
        if isinstance(dim, int):
            return dim
        known = self._known.get(dim)
        if known is not None:
            return known
        try:
            value = evaluate(dim, self._bindings)
        except KeyError as error:
            raise InternalError(f"{what} needs the size {error.args[0]!r}, which nothing has bound yet") from error
        except ModelError as error:
            raise InternalError(f"{what}: {error.what}") from error
        self._known[dim] = value
        return value

    def _size(self, dim: Dim, what: str) -> int:
        value = self._value(dim, what)
        if not 0 <= value < _MAX_SIZE:
            raise InputError(
                f"{what} would have {value} bytes for {_describe(self._bindings)}",
                hint="feed inputs of a size that the model can take",
            )
        return value

    def _count(self, dim: Dim, what: str) -> int:
        value = self._value(dim, what)
        if not 0 <= value < 2**62:
            raise InternalError(f"{what} is {value} for {_describe(self._bindings)}")
        return value

    def _instructions(self, index: int, step: KernelStep, bytes_of: list[int]) -> list[Instruction]:
        name = step_name(self._program, index)
        chosen = next((c for c in step.choices if all(self._value(guard, name) >= 0 for guard in c.when)), None)
        if chosen is None:
            raise InternalError(f"{name} has no choice for {_describe(self._bindings)}")
        touched = sum(max(bytes_of[buffer], 0) for buffer in {*step.reads, *step.writes})
        work = self._value(step.macs, name) // _MACS_PER_NS + touched // _BYTES_PER_NS
        made = (self._instruction(index, call, name, work // len(chosen.calls)) for call in chosen.calls)
        return [instruction for instruction in made if instruction.items > 0]

    def _instruction(self, index: int, call: Call, name: str, work: int) -> Instruction:
        items = self._count(call.items, f"{name}: the number of work items")
        chunks = max(1, min(items, MAX_CHUNKS, work // MIN_CHUNK_WORK))
        chunk_items = -(-items // chunks)
        return Instruction(
            step=index,
            variant=call.variant,
            args=tuple(self._arg(arg, name) for arg in call.args),
            items=items,
            chunk_items=chunk_items,
            chunks=-(-items // chunk_items) if items else 0,
            scratch_bytes=self._count(call.scratch_bytes, f"{name}: the scratch size"),
            work=work,
        )

    def _arg(self, arg: Arg, name: str) -> Address | int:
        if isinstance(arg, BufferArg):
            return Address(arg.buffer, self._value(arg.offset, name))
        return self._value(arg, name)

    def _host_call(self, index: int, step: HostStep) -> HostCall:
        name = step_name(self._program, index)
        inputs: list[HostTensor | HostSizes | None] = []
        for operand in step.inputs:
            if isinstance(operand, Sizes):
                inputs.append(HostSizes(tuple(self._value(dim, name) for dim in operand.dims), operand.scalar))
            else:
                inputs.append(None if operand is None else self._tensor(operand, name))
        outputs: list[HostTensor | Tensor | None] = []
        for output in step.outputs:
            if output is None or self._is_deferred(index, output):
                outputs.append(output)
            else:
                outputs.append(self._tensor(output, name))
        return HostCall(index, step.function, step.attributes, tuple(inputs), tuple(outputs))

    def _is_deferred(self, index: int, output: Tensor) -> bool:
        following = self._planner.stages[self._number + 1 : self._number + 2]
        return index == self._stage.stop - 1 and any(output.buffer in stage.deferred for stage in following)

    def _tensor(self, tensor: Tensor, name: str) -> HostTensor:
        shape = tuple(self._count(dim, f"{name}: a dimension") for dim in tensor.shape)
        return HostTensor(tensor.buffer, self._count(tensor.offset, f"{name}: an offset"), shape, tensor.dtype)


def _describe(bindings: Mapping[str, int]) -> str:
    return ", ".join(f"{name}={size}" for name, size in sorted(bindings.items())) or "these inputs"


def _refuse_beyond_memory(needed: int, bindings: Mapping[str, int]) -> None:
    # Small needs are not worth reading /proc for.
    if needed < 2**26:
        return
    free = available_memory()
    if free is not None and needed > free:
        raise InputError(
            f"running with {_describe(bindings)} needs {needed / 2**30:.2f} GiB of memory, "
            f"{free / 2**30:.2f} GiB are free",
            hint="feed a smaller batch or smaller images",
        )


def available_memory() -> int | None:
    """Bytes that a process may still allocate: what the kernel and the memory cgroup leave; None where unknown."""
    limits = []
    meminfo = Path("/proc/meminfo")
    if meminfo.is_file():
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                limits.append(int(line.split()[1]) * 1024)
    elif hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    group, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if group.is_file() and used.is_file():
        text = group.read_text().strip()
        if text.isdigit():
            limits.append(max(int(text) - int(used.read_text()), 0))
    return min(limits) if limits else None
