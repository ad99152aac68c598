"""Proves a plan safe to run, without trusting the planner that made it or the file the program came from.

What is proven, for every step of the plan:
- each byte range that a kernel's footprint or a host tensor names lies inside its buffer;
- the buffer is declared by the step, is live at it, was written before it is read, and is never a constant or an input
  when it is written;
- every arena buffer lies inside the arena, and no two that are live at one step overlap, unless one takes over the
  other's bytes: the step declares the pair, its kernel allows it for these sizes, and the other buffer ends there;
- argument blocks have the kernel's length, fit 64 bits, and ask for no more items, and no less scratch, than the kernel
  says for these sizes.
Together with the guard-page tests of footprints this means that no instruction touches a foreign byte.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, Mapping
from math import prod

from cnnc.dims import evaluate
from cnnc.errors import InternalError, ModelError
from cnnc.runtime.inplace import inplace_pairs
from cnnc.runtime.kernel import Access, KernelDef
from cnnc.runtime.plan import ALIGNMENT, Address, HostCall, HostTensor, Instruction, Place, Plan, Segment
from cnnc.runtime.program import HostStep, KernelStep, Port, Program
from cnnc.runtime.stages import step_name

KernelTable = Callable[[str], KernelDef]


def check_plan(program: Program, plan: Plan, kernel_def: KernelTable) -> None:
    """Check everything the module's docstring lists.

    Raises:
        InternalError: the first rule that is broken; the message names the step and the buffer.
    """
    _PlanChecker(program, plan, kernel_def).check()


def _port_bytes(port: Port, bindings: Mapping[str, int]) -> int:
    try:
        shape = [evaluate(dim, bindings) for dim in port.shape]
    except KeyError as error:
        raise InternalError(f"nothing binds {error.args[0]!r} of {port.name!r}") from error
    except ModelError as error:
        raise InternalError(f"the shape of {port.name!r} makes no sense: {error.what}") from error
    if any(size < 0 for size in shape):
        raise InternalError(f"{port.name!r} has shape {shape}")
    return prod(shape) * port.dtype.size


class _PlanChecker:
    def __init__(self, program: Program, plan: Plan, kernel_def: KernelTable) -> None:
        self._program = program
        self._plan = plan
        self._kernel_def = kernel_def
        self._places = {place.buffer: place for place in plan.places}
        self._written: set[int] = set()

    def check(self) -> None:
        self._check_places()
        self._check_ports()
        self._check_kept()
        self._check_overlaps()
        self._written = self._written_before(self._plan.first)
        position = self._plan.first
        for action in self._plan.actions:
            for index, accesses in self._accesses(action):
                if not position <= index < self._plan.stop:
                    raise InternalError(f"{step_name(self._program, index)} is out of order in its plan")
                position = index
                for access, buffer in accesses:
                    self._check_access(index, buffer, access)

    def _check_places(self) -> None:
        if len(self._places) != len(self._plan.places):
            raise InternalError("a buffer is placed twice")
        for place in self._plan.places:
            name = self._buffer_name(place.buffer)
            if self._program.buffers[place.buffer].kind != "arena":
                raise InternalError(f"{name} is placed in the arena but is no arena buffer")
            if place.offset % ALIGNMENT or place.offset < 0 or place.offset + place.bytes > self._plan.arena_bytes:
                raise InternalError(
                    f"{name} at {place.offset}..{place.offset + place.bytes} is not an aligned part of an arena of "
                    f"{self._plan.arena_bytes} bytes"
                )
            if place.bytes != self._plan.buffer_bytes[place.buffer]:
                raise InternalError(
                    f"{name} has {self._plan.buffer_bytes[place.buffer]} bytes, placed as {place.bytes}"
                )

    def _check_ports(self) -> None:
        """The caller's arrays hold what input buffers promise, and output buffers hold what the caller gets."""
        bindings = dict(self._plan.bindings)
        for port in self._program.inputs:
            size, wanted = self._plan.buffer_bytes[port.buffer], _port_bytes(port, bindings)
            if size > wanted or self._program.buffers[port.buffer].kind != "input":
                raise InternalError(f"input {port.name!r} has {wanted} bytes, its buffer {size}")
        if not self._plan.is_last:
            return
        for port in self._program.outputs:
            size, wanted = self._plan.buffer_bytes[port.buffer], _port_bytes(port, bindings)
            if size < wanted:
                raise InternalError(f"output {port.name!r} has {wanted} bytes, its buffer {size}")
            if port.buffer not in self._written_before(len(self._program.steps)) and wanted:
                raise InternalError(f"output {port.name!r} is never written")

    def _check_kept(self) -> None:
        """Buffers that later stages, or the caller, use must not be freed inside this one."""
        later = {buffer for step in self._program.steps[self._plan.stop :] for buffer in (*step.reads, *step.writes)}
        later |= {port.buffer for port in self._program.outputs}
        for buffer in later:
            place = self._places.get(buffer)
            if place is not None and place.last < self._plan.stop - 1:
                raise InternalError(
                    f"{self._buffer_name(buffer)} is freed after {step_name(self._program, place.last)} but used later"
                )

    def _check_overlaps(self) -> None:
        """Sweep over steps with the live intervals sorted by offset: only neighbours can overlap first."""
        given = self._given_bytes()
        events: list[tuple[int, int, Place]] = []
        for place in self._plan.places:
            if place.bytes:
                events.append((place.first, 1, place))
                events.append((place.last + (place.buffer not in given), 0, place))
        live: list[tuple[int, int, int]] = []
        for step, starts, place in sorted(events, key=lambda event: (event[0], event[1], event[2].buffer)):
            interval = (place.offset, place.offset + place.bytes, place.buffer)
            if not starts:
                del live[bisect_left(live, interval)]
                continue
            position = bisect_left(live, interval)
            for neighbour in live[max(position - 1, 0) : position + 1]:
                if neighbour[0] < interval[1] and interval[0] < neighbour[1]:
                    raise InternalError(
                        f"{self._buffer_name(place.buffer)} and {self._buffer_name(neighbour[2])} overlap in the arena "
                        f"at {self._step_text(step)}"
                    )
            insort(live, interval)

    def _given_bytes(self) -> set[int]:
        """Buffers all bytes of which a buffer written in place takes over, at the last step that uses them.

        To the sweep such a buffer ends one step earlier: whatever overlaps it at that step overlaps its successor too.
        """
        filled = self._written_before(self._plan.first)
        given: set[int] = set()
        for new in self._plan.places:
            step = self._program.steps[new.first] if self._plan.first <= new.first < self._plan.stop else None
            if not isinstance(step, KernelStep) or new.buffer in filled:
                continue
            for written, read in step.inplace:
                old = self._places.get(read)
                if written != new.buffer or old is None or read in given:
                    continue
                is_same = (old.offset, old.bytes) == (new.offset, new.bytes)
                if is_same and old.first < old.last == new.first and self._allows(new.first, written, read):
                    given.add(read)
                    break
        return given

    def _allows(self, step: int, written: int, read: int) -> bool:
        """Whether the instruction that a step is planned as may write one buffer over the other."""
        segments = (action for action in self._plan.actions if isinstance(action, Segment))
        found = [each for segment in segments for each in segment.instructions if each.step == step]
        if len(found) > 1:
            return False
        try:
            return all(
                (written, read) in inplace_pairs(self._kernel_def(each.variant.kernel), each.args, each.variant.options)
                for each in found
            )
        except Exception as error:  # the kernel's formulas meet arguments from an untrusted file here
            raise InternalError(
                f"{self._step_text(step)}: its sizes make no sense ({type(error).__name__}: {error})"
            ) from error

    def _written_before(self, step: int) -> set[int]:
        """Buffers that hold data when a step starts: inputs, constants, and what earlier steps wrote."""
        held = {i for i, buffer in enumerate(self._program.buffers) if buffer.kind in ("input", "constant")}
        for earlier in self._program.steps[:step]:
            held.update(earlier.writes)
        return held

    def _accesses(self, action: Segment | HostCall) -> Iterator[tuple[int, list[tuple[Access, int]]]]:
        if isinstance(action, Segment):
            for instruction in action.instructions:
                yield instruction.step, self._kernel_accesses(instruction)
            return
        step = self._program.steps[action.step]
        if not isinstance(step, HostStep):
            raise InternalError(f"{self._step_text(action.step)} is planned as a host step but is none")
        found = []
        for writes, operands in ((False, action.inputs), (True, action.outputs)):
            for operand in operands:
                if isinstance(operand, HostTensor):
                    size = prod(operand.shape) * operand.dtype.size
                    found.append((Access("", operand.offset, operand.offset + size, writes), operand.buffer))
        yield action.step, found

    def _kernel_accesses(self, instruction: Instruction) -> list[tuple[Access, int]]:
        name = f"{self._step_text(instruction.step)}, kernel {instruction.variant}"
        kernel = self._kernel_def(instruction.variant.kernel)
        if len(instruction.args) != len(kernel.args):
            raise InternalError(f"{name}: {len(instruction.args)} arguments instead of {len(kernel.args)}")
        addresses = dict(zip(kernel.buffers, instruction.args, strict=False))
        sizes: dict[str, int] = {}
        for slot, arg in zip(kernel.sizes, instruction.args[len(kernel.buffers) :], strict=True):
            if isinstance(arg, Address) or not -(2**63) <= arg < 2**63:
                raise InternalError(f"{name}: argument {slot!r} is {arg}, not a 64-bit integer")
            sizes[slot] = arg
        options = instruction.variant.options
        try:
            items = kernel.items(sizes, options)
            scratch = kernel.scratch_bytes(sizes, options)
            footprint = kernel.footprint(sizes, options)
        except Exception as error:  # the kernel's formulas meet sizes from an untrusted file here
            raise InternalError(f"{name}: its sizes make no sense ({type(error).__name__}: {error})") from error
        if not isinstance(items, int) or instruction.items > items:
            raise InternalError(f"{name}: {instruction.items} work items, but its sizes give {items}")
        if not isinstance(scratch, int) or max(instruction.scratch_bytes, 0) < scratch:
            raise InternalError(f"{name}: {instruction.scratch_bytes} bytes of scratch, but its sizes need {scratch}")
        found = []
        for access in footprint:
            if access.start >= access.stop:
                continue
            base = addresses.get(access.buffer)
            if not isinstance(base, Address):
                raise InternalError(f"{name}: touches argument {access.buffer!r}, which is {base}, not a buffer")
            shifted = Access(access.buffer, base.offset + access.start, base.offset + access.stop, access.writes)
            found.append((shifted, base.buffer))
        return found

    def _check_access(self, index: int, buffer: int, access: Access) -> None:
        name = f"{self._step_text(index)}: {self._buffer_name(buffer)}"
        if access.buffer:
            name += f" as {access.buffer!r}"
        size = self._plan.buffer_bytes[buffer]
        if access.start < 0 or access.stop > size:
            raise InternalError(f"{name}: bytes {access.start}..{access.stop} of {size} are touched")
        step = self._program.steps[index]
        kind = self._program.buffers[buffer].kind
        if access.start == access.stop:
            return
        if access.writes:
            if buffer not in step.writes:
                raise InternalError(f"{name} is written, but the step does not declare it")
            if kind in ("input", "constant"):
                raise InternalError(f"{name} is written, but it is of kind {kind}")
            self._written.add(buffer)
        elif buffer not in step.reads and buffer not in step.writes:
            raise InternalError(f"{name} is read, but the step does not declare it")
        elif buffer not in self._written:
            raise InternalError(f"{name} is read before anything wrote it")
        place = self._places.get(buffer)
        if place is not None and not place.first <= index <= place.last:
            raise InternalError(f"{name} is used outside its lifetime, steps {place.first}..{place.last}")

    def _buffer_name(self, buffer: int) -> str:
        if not 0 <= buffer < len(self._program.buffers):
            raise InternalError(f"there is no buffer {buffer}")
        return f"buffer {buffer} {self._program.buffers[buffer].name!r}"

    def _step_text(self, index: int) -> str:
        return step_name(self._program, index) if 0 <= index < len(self._program.steps) else f"step {index}"
