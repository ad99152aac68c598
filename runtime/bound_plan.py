"""A checked plan with its compiled kernels, ready to be bound to memory; and the bounded cache of such plans."""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable

import numpy as np

from cnnc.dims import evaluate
from cnnc.runtime import worker_loop as loop
from cnnc.runtime.aligned_memory import Block, address_of, aligned_block, aligned_slots
from cnnc.runtime.instruction_table import Ints, KernelLoader, TableTemplate
from cnnc.runtime.plan import Plan
from cnnc.runtime.program import Program

SCRATCH_GAP = 128
"""Bytes between the scratch areas of two workers, against false sharing by prefetched neighbour lines."""


class Workspace:
    """What one running call of one plan needs: a bound table, a job block per segment, and scratch.

    ``jobs`` is [segments, JOB_SLOTS]. ``addresses`` is indexed by buffer.
    """

    def __init__(self, bound: BoundPlan) -> None:
        self._bound = bound
        self.addresses: Ints = bound.constant_addresses.copy()
        self.table = bound.template.instantiate()
        segments = bound.template.segments
        self.jobs: Ints = aligned_slots(max(len(segments), 1) * loop.JOB_SLOTS).reshape(-1, loop.JOB_SLOTS)
        for number, (first, count) in enumerate(segments):
            self.jobs[number, loop.JOB_TABLE] = address_of(self.table) + 8 * loop.ROW_SLOTS * first
            self.jobs[number, loop.JOB_COUNT] = count
        self.jobs_address = address_of(self.jobs)
        self._arena_address = -1
        self._scratch_workers = 0
        self._scratch: Block | None = None
        self._prepared = (0, 0, 0)

    def bind(self, arena: int) -> None:
        """Write buffer addresses into the table, for an arena at address ``arena``.

        ``addresses`` holds those that change from call to call.
        """
        template, bound = self._bound.template, self._bound
        if arena == self._arena_address:
            template.bind_changing(self.table, self.addresses)
            return
        self.addresses[bound.place_buffers] = arena + bound.place_offsets
        template.bind_all(self.table, self.addresses)
        self._arena_address = arena

    def prepare_jobs(self, threads: int, fp_mode: int, control: int) -> None:
        """Set what all job blocks of a call share, with scratch for ``threads`` workers."""
        stride = self._bound.plan.scratch_bytes + SCRATCH_GAP
        if (threads, fp_mode, control) == self._prepared:
            return
        if threads > self._scratch_workers:
            self._scratch = aligned_block(stride * threads)
            self._scratch_workers = threads
            self.jobs[:, loop.JOB_SCRATCH] = self._scratch.address
            self.jobs[:, loop.JOB_SCRATCH_STRIDE] = stride
        self.jobs[:, loop.JOB_FP_MODE] = fp_mode
        self.jobs[:, loop.JOB_CONTROL] = control
        self._prepared = (threads, fp_mode, control)


class BoundPlan:
    """A plan, its table template and a free list of workspaces. Safe from many threads."""

    def __init__(self, program: Program, plan: Plan, constants: Ints, load_kernel: KernelLoader) -> None:
        """``constants`` holds the addresses of constant buffers by buffer index, 0 elsewhere."""
        self.plan = plan
        self.work = plan.work
        self.constant_addresses = constants
        self.place_buffers = np.array([place.buffer for place in plan.places], np.int64)
        self.place_offsets = np.array([place.offset for place in plan.places], np.int64)
        self.places = {place.buffer: place for place in plan.places}
        fixed = frozenset(self.places) | {i for i, b in enumerate(program.buffers) if b.kind == "constant"}
        bindings = dict(plan.bindings)
        ports = program.outputs if plan.is_last else ()
        self.output_shapes = tuple(tuple(evaluate(dim, bindings) for dim in port.shape) for port in ports)
        self.template = TableTemplate(plan, fixed, load_kernel)
        self._free: deque[Workspace] = deque()

    def take(self) -> Workspace:
        """A workspace for one call."""
        try:
            return self._free.pop()
        except IndexError:
            return Workspace(self)

    def give(self, workspace: Workspace) -> None:
        self._free.append(workspace)


class ArenaPool:
    """Arenas between calls: at most one per call that ever ran at the same time, each as large as was ever needed."""

    def __init__(self) -> None:
        self._free: deque[Block] = deque()

    def take(self, size: int) -> Block:
        """An arena of at least ``size`` bytes, of undefined content."""
        try:
            arena = self._free.pop()
        except IndexError:
            return aligned_block(size)
        if arena.memory.size >= size:
            return arena
        del arena  # before its successor is allocated, so that both never exist at once
        return aligned_block(size)

    def give(self, arena: Block) -> None:
        self._free.append(arena)

    def clear(self) -> None:
        """Free all arenas that no call holds."""
        self._free.clear()


class PlanCache:
    """Least recently used plans by key, at most ``bound`` of them. Safe from many threads and across a fork."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._plans: OrderedDict[Hashable, BoundPlan] = OrderedDict()
        self._lock = threading.Lock()
        _caches.add(self)

    def __len__(self) -> int:
        return len(self._plans)

    def get(self, key: Hashable, make: Callable[[], BoundPlan]) -> BoundPlan:
        """The plan for ``key``, made outside the lock: two threads may both make a missing one."""
        with self._lock:
            found = self._plans.get(key)
            if found is not None:
                self._plans.move_to_end(key)
                return found
        made = make()
        with self._lock:
            kept = self._plans.setdefault(key, made)
            self._plans.move_to_end(key)
            while len(self._plans) > self._bound:
                self._plans.popitem(last=False)
            return kept

    def renew_lock(self) -> None:
        """In a forked child, where the lock's holder may not exist."""
        self._lock = threading.Lock()


_caches: weakref.WeakSet[PlanCache] = weakref.WeakSet()


def _renew_locks() -> None:
    for cache in _caches:
        cache.renew_lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)
