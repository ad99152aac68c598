"""One call of an executor: walks the program's stages, binds memory, runs segments and host steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnc.dims import evaluate
from cnnc.errors import InternalError
from cnnc.frozen_dataclass import dataclass
from cnnc.runtime import worker_loop as loop
from cnnc.runtime.aligned_memory import Block, Bytes, address_of, aligned_block, aligned_slots, bytes_of
from cnnc.runtime.bound_plan import BoundPlan, Workspace
from cnnc.runtime.host_call import Deferred, bind_symbols, host_results, sizes_array
from cnnc.runtime.kernel import Variant
from cnnc.runtime.plan import HostCall, HostSizes, HostTensor
from cnnc.runtime.pool import Pool, fp_mode
from cnnc.runtime.program import KernelStep, Tensor

if TYPE_CHECKING:
    from cnnc.runtime.executor import Executor

SHARE_WORK = 60_000
"""Nanoseconds of estimated work of a stage below which waking workers costs more than they save."""
SHARE_SEGMENT_WORK = 20_000

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class RunSettings:
    """How a call runs: thread cap (None for all that the process may use), denormals kept or flushed to zero."""

    threads: int | None = None
    keep_denormals: bool = False


@dataclass(frozen=True, slots=True)
class StepTiming:
    """Seconds of one step in a profiled run; ``kernels`` are the variants of the choice that was taken."""

    step: int
    op: str
    label: str
    kernels: tuple[str, ...]
    macs: int
    seconds: float


MemoryOf = Callable[[int], Bytes]
"""The bytes of a buffer of the program."""

StepDone = Callable[[int, MemoryOf], None]
"""Told of every step when it is done: its index, and where to read the buffers that are live then."""


class Call:
    """Holds the memory, the symbols and perhaps the worker pool of one call until it ends."""

    def __init__(
        self,
        executor: Executor,
        settings: RunSettings,
        timings: list[StepTiming] | None,
        step_done: StepDone | None = None,
    ) -> None:
        self._executor = executor
        self._program = executor.program
        self._settings = settings
        self._timings = timings
        self._step_done = step_done
        self._pool: Pool = executor.resolvers.pool()
        self._threads = 0
        self._bindings: dict[str, int] = {}
        # Inputs and outputs by buffer, and the stages so far with their arenas.
        self._ports: dict[int, Block] = {}
        self._stages: list[tuple[BoundPlan, Block]] = []

    def run(self, inputs: Sequence[Array], bindings: Mapping[str, int]) -> list[Array]:
        """See ``Executor.run``."""
        self._bindings.update(bindings)
        try:
            deferred: Deferred = []
            while True:
                bound = self._executor.bound_plan(len(self._stages), self._bindings)
                self._enter(bound.work)
                if not self._stages:
                    self._take_inputs(inputs)
                self._allocate(bound)
                for tensor, array in deferred:
                    self._view(tensor.buffer, 0, array.shape, array.dtype)[...] = array
                deferred = self._execute(bound)
                if bound.plan.is_last:
                    return self._outputs(bound)
                bind_symbols(self._program, bound.plan.stop - 1, deferred, self._bindings)
        finally:
            if self._threads:
                self._pool.leave(self._threads)
            for _, arena in self._stages:
                self._executor.arenas.give(arena)

    def _enter(self, work: int) -> None:
        """Ask for a part of the worker pool, and say that this thread is at work, if the work is worth it."""
        if not self._threads and work >= SHARE_WORK:
            self._threads = self._pool.enter(self._settings.threads or self._pool.max_threads)

    def _take_inputs(self, inputs: Sequence[Array]) -> None:
        for port, array in zip(self._program.inputs, inputs, strict=True):
            if not (array.flags.c_contiguous and array.flags.aligned):
                array = np.array(array, order="C")
            self._ports[port.buffer] = Block(bytes_of(array), address_of(array))

    def _allocate(self, bound: BoundPlan) -> None:
        arena = self._executor.arenas.take(bound.plan.arena_bytes)
        self._stages.append((bound, arena))
        if self._executor.poison:
            arena.memory[:] = 0xFF
        for buffer in bound.plan.outputs:
            self._ports[buffer] = aligned_block(bound.plan.buffer_bytes[buffer])

    def _execute(self, bound: BoundPlan) -> Deferred:
        """Run all actions of the newest stage."""
        deferred: Deferred = []
        workspace = bound.take()
        try:
            self._bind(workspace)
            segment = 0
            for action in bound.plan.actions:
                if isinstance(action, HostCall):
                    deferred = self._run_host(action)
                else:
                    self._run_segment(bound, workspace, segment)
                    segment += 1
        finally:
            bound.give(workspace)
        return deferred

    def _bind(self, workspace: Workspace) -> None:
        addresses = workspace.addresses
        for buffer, block in self._ports.items():
            addresses[buffer] = block.address
        for earlier, arena in self._stages[:-1]:
            addresses[earlier.place_buffers] = arena.address + earlier.place_offsets
        workspace.bind(self._stages[-1][1].address)
        workspace.prepare_jobs(
            max(1, self._threads), fp_mode(self._settings.keep_denormals), self._pool.control_address
        )

    def _run_segment(self, bound: BoundPlan, workspace: Workspace, segment: int) -> None:
        is_shared = self._threads > 1 and bound.template.work[segment] >= SHARE_SEGMENT_WORK
        role = loop.ROLE_CALLER if is_shared else loop.ROLE_ALONE
        if self._timings is not None or self._step_done is not None:
            self._run_steps(bound, workspace, segment, role)
            return
        self._pool.entry(workspace.jobs_address + 8 * loop.JOB_SLOTS * segment, 0, role, 0)

    def _run_steps(self, bound: BoundPlan, workspace: Workspace, segment: int, role: int) -> None:
        """Run the rows of a segment step by step."""
        first, count = bound.template.segments[segment]
        row = first
        while row < first + count:
            step = bound.template.steps[row]
            stop = row
            while stop < first + count and bound.template.steps[stop] == step:
                stop += 1
            job = aligned_slots(loop.JOB_SLOTS)
            job[:] = workspace.jobs[segment]
            job[loop.JOB_TABLE] = address_of(workspace.table) + 8 * loop.ROW_SLOTS * row
            job[loop.JOB_COUNT] = stop - row
            start = time.perf_counter()
            self._pool.entry(address_of(job), 0, role, 0)
            seconds = time.perf_counter() - start
            self._tell(step, bound.template.variants[row:stop], seconds)
            row = stop

    def _tell(self, step: int, kernels: Sequence[Variant], seconds: float) -> None:
        """Tell whoever asked that a step is done."""
        if self._timings is not None:
            record = self._program.steps[step]
            macs = evaluate(record.macs, self._bindings) if isinstance(record, KernelStep) else 0
            self._timings.append(StepTiming(step, record.op, record.label, tuple(map(str, kernels)), macs, seconds))
        if self._step_done is not None:
            self._step_done(step, self._memory)

    def _run_host(self, call: HostCall) -> Deferred:
        function = self._executor.resolvers.host_function(call.function)
        operands = [self._operand(operand) for operand in call.inputs]
        start = time.perf_counter()
        deferred: Deferred = []
        for output, array in host_results(self._program, call, function, operands):
            if isinstance(output, Tensor):
                deferred.append((output, array))
            else:
                self._view(output.buffer, output.offset, output.shape, array.dtype)[...] = array
        self._tell(call.step, (), time.perf_counter() - start)
        return deferred

    def _operand(self, operand: HostTensor | HostSizes | None) -> Array | None:
        if operand is None:
            return None
        if isinstance(operand, HostSizes):
            return sizes_array(operand)
        view = self._view(operand.buffer, operand.offset, operand.shape, operand.dtype.numpy)
        # Inputs belong to the caller and constants to every call.
        view.flags.writeable = False
        return view

    def _view(self, buffer: int, offset: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        size = dtype.itemsize * prod(shape)
        memory = self._memory(buffer)
        if offset < 0 or offset + size > memory.size:
            raise InternalError(f"shape {shape} of {dtype} at byte {offset} does not fit buffer {buffer}")
        return memory[offset : offset + size].view(dtype).reshape(shape)

    def _memory(self, buffer: int) -> Bytes:
        """The bytes of any buffer that is placed by now."""
        owned = self._ports.get(buffer)
        if owned is not None:
            return owned.memory
        record = self._program.buffers[buffer]
        if record.kind == "constant":
            return self._executor.constants[record.constant]
        for bound, arena in self._stages:
            place = bound.places.get(buffer)
            if place is not None:
                return arena.memory[place.offset : place.offset + place.bytes]
        raise InternalError(f"buffer {buffer} {record.name!r} has no memory yet")

    def _outputs(self, bound: BoundPlan) -> list[Array]:
        arrays = []
        for (port, dtype, is_fresh), shape in zip(self._executor.output_views, bound.output_shapes, strict=True):
            array = self._view(port.buffer, 0, shape, dtype)
            arrays.append(array if is_fresh else array.copy())
        return arrays
