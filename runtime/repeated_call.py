"""Calls that repeat the input shapes of the call before: everything is bound already, so that little Python runs.

A general call (``runtime.call``) looks a plan up, takes an arena, asks NumPy for addresses and writes them into the
instruction table. That is more than a small network computes. A repeated call keeps arena, table and the memory of
small inputs and outputs; what is left is to check the inputs, copy them in, enter the compiled loop and copy out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cnnc.dims import evaluate
from cnnc.runtime import worker_loop as loop
from cnnc.runtime.aligned_memory import address_of, aligned_block
from cnnc.runtime.bound_plan import BoundPlan
from cnnc.runtime.call import SHARE_WORK, RunSettings
from cnnc.runtime.plan import HostCall
from cnnc.runtime.pool import fp_mode

if TYPE_CHECKING:
    from cnnc.runtime.executor import Executor

STAGED_BYTES = 16 << 10
"""An input or output of at most so many bytes has memory of its own at a fixed address and is copied: that costs less
than to ask NumPy for the address of the caller's array, or of a new one, and to write it into the table."""

Array = np.ndarray[Any, Any]


class _Port(NamedTuple):
    """An input or output with sizes; ``staged`` is its memory, or None where it is bound at every call."""

    name: str
    buffer: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    staged: Array | None


def can_repeat(executor: Executor, bound: BoundPlan) -> bool:
    """Whether a plan is one compiled segment whose outputs are memory of their own."""
    is_compiled = len(bound.plan.actions) == 1 and not isinstance(bound.plan.actions[0], HostCall)
    is_whole = bound.plan.stage == 0 and bound.plan.is_last
    return is_whole and is_compiled and not executor.poison and all(fresh for _, _, fresh in executor.output_views)


class RepeatedCall:
    """A plan bound to an arena, a workspace and staged ports. Runs one call at a time."""

    def __init__(self, executor: Executor, bound: BoundPlan, settings: RunSettings) -> None:
        """``bound`` is a plan that ``can_repeat``."""
        self.bound = bound
        self._executor = executor
        self._settings = settings
        self.arena = executor.arenas.take(bound.plan.arena_bytes)
        self._workspace = bound.take()
        program, sizes = executor.program, dict(bound.plan.bindings)
        self._inputs = tuple(
            self._port(port.name, port.buffer, tuple(evaluate(dim, sizes) for dim in port.shape), port.dtype.numpy)
            for port in program.inputs
        )
        self._outputs = tuple(
            self._port(port.name, port.buffer, shape, dtype)
            for (port, dtype, _), shape in zip(executor.output_views, bound.output_shapes, strict=True)
        )
        self._is_changing = any(port.staged is None for port in (*self._inputs, *self._outputs))
        self._is_counted = bound.work >= SHARE_WORK
        self._workspace.bind(self.arena.address)
        pool = executor.resolvers.pool()
        self._entry = pool.entry
        self._fp_mode = fp_mode(settings.keep_denormals)
        self._workspace.prepare_jobs(1, self._fp_mode, pool.control_address)

    def _port(self, name: str, buffer: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> _Port:
        size = prod(shape) * dtype.itemsize
        if size > STAGED_BYTES:
            return _Port(name, buffer, shape, dtype, None)
        block = aligned_block(self.bound.plan.buffer_bytes[buffer])
        self._workspace.addresses[buffer] = block.address
        return _Port(name, buffer, shape, dtype, block.memory[:size].view(dtype).reshape(shape))

    def accepts(self, feeds: Mapping[str, Any]) -> bool:
        """Whether ``feeds`` are plain arrays of this call's names, shapes and dtypes."""
        if len(feeds) != len(self._inputs):
            return False
        for name, _, shape, dtype, _ in self._inputs:
            array = feeds.get(name)
            if type(array) is not np.ndarray or array.shape != shape or array.dtype != dtype:
                return False
        return True

    def run(self, feeds: Mapping[str, Any]) -> list[Array]:
        """Fresh outputs for ``feeds`` that it ``accepts``."""
        kept = []
        addresses = self._workspace.addresses
        for name, buffer, _, _, staged in self._inputs:
            array = feeds[name]
            if staged is not None:
                staged[...] = array
                continue
            if not (array.flags.c_contiguous and array.flags.aligned):
                array = np.array(array, order="C")
            addresses[buffer] = address_of(array)
            kept.append(array)
        outputs = [self._output(port) if port.staged is None else port.staged for port in self._outputs]
        if self._is_changing:
            self._workspace.bind(self.arena.address)
        self._execute()
        for index, port in enumerate(self._outputs):
            if port.staged is not None:
                outputs[index] = port.staged.copy()
        return outputs

    def release(self) -> None:
        """Hand arena and workspace back; the call cannot run any more."""
        self._executor.arenas.give(self.arena)
        self.bound.give(self._workspace)

    def _output(self, port: _Port) -> Array:
        """A fresh array, bound."""
        block = aligned_block(self.bound.plan.buffer_bytes[port.buffer])
        self._workspace.addresses[port.buffer] = block.address
        return np.ndarray(port.shape, port.dtype, block.memory)

    def _execute(self) -> None:
        if not self._is_counted:
            self._entry(self._workspace.jobs_address, 0, loop.ROLE_ALONE, 0)
            return
        pool = self._executor.resolvers.pool()
        threads = pool.enter(self._settings.threads or pool.max_threads)
        try:
            self._workspace.prepare_jobs(threads, self._fp_mode, pool.control_address)
            role = loop.ROLE_CALLER if threads > 1 else loop.ROLE_ALONE
            pool.entry(self._workspace.jobs_address, 0, role, 0)
        finally:
            pool.leave(threads)


class RepeatedCalls:
    """The idle repeated calls of a session, all for the same input shapes: as many as ever ran at the same time.

    Safe from many threads.
    """

    def __init__(self, executor: Executor, settings: RunSettings) -> None:
        self._executor = executor
        self._settings = settings
        self._idle: deque[RepeatedCall] = deque()
        self._kept: BoundPlan | None = None
        self._last: BoundPlan | None = None

    def run(self, feeds: Mapping[str, Any]) -> list[Array] | None:
        """Fresh outputs; None where no idle call accepts ``feeds``."""
        try:
            call = self._idle.pop()
        except IndexError:
            return None
        try:
            if not call.accepts(feeds):
                return None
            self._last = call.bound
            return call.run(feeds)
        finally:
            self._give(call)

    def prepare(self, bindings: Mapping[str, int]) -> None:
        """Be ready for the sizes of a call that just ended, if the one before had them too: others take turns."""
        bound = self._executor.bound_plan(0, bindings)
        repeats, self._last = bound is self._last, bound
        if not repeats or not can_repeat(self._executor, bound):
            return
        self._kept = bound
        self._give(RepeatedCall(self._executor, bound, self._settings))
        for _ in range(len(self._idle)):
            try:
                self._give(self._idle.popleft())
            except IndexError:  # another thread took it
                return

    def _give(self, call: RepeatedCall) -> None:
        """Keep a call for later, or let it go where other sizes are wanted by now."""
        if call.bound is self._kept:
            self._idle.append(call)
            return
        call.release()
