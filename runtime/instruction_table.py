"""Instruction tables: a plan's segments as flat int64 arrays that the compiled worker loop reads.

A table is rows of ``ROW_SLOTS`` slots, one per instruction, then all argument blocks. The template is made once per
plan; a copy of it is bound to the addresses of one call's buffers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cnnc.runtime import worker_loop as loop
from cnnc.runtime.aligned_memory import address_of, aligned_slots
from cnnc.runtime.kernel import Variant
from cnnc.runtime.plan import Address, Plan, Segment

Ints = np.ndarray[Any, np.dtype[np.int64]]
KernelLoader = Callable[[Variant], int]
"""Address of a compiled kernel."""


class TableTemplate:
    """What does not depend on addresses. Immutable.

    Attributes:
        segments: first row and row count of each segment, in the order of the plan's actions.
        steps: the program's step of each row; ``variants``: its kernel.
        work: estimated nanoseconds of each segment.
    """

    def __init__(self, plan: Plan, fixed: frozenset[int], load_kernel: KernelLoader) -> None:
        """``fixed`` are the buffers whose addresses outlive a call: constants and the stage's arena."""
        segments = [action for action in plan.actions if isinstance(action, Segment)]
        instructions = [instruction for segment in segments for instruction in segment.instructions]
        first = 0
        spans = []
        for segment in segments:
            spans.append((first, len(segment.instructions)))
            first += len(segment.instructions)
        self.segments = tuple(spans)
        self.steps = tuple(instruction.step for instruction in instructions)
        self.variants = tuple(instruction.variant for instruction in instructions)
        self.work = tuple(segment.work for segment in segments)
        rows = len(instructions)
        slots = [0] * (rows * loop.ROW_SLOTS)
        addresses: list[tuple[int, int, int]] = []
        for row, instruction in enumerate(instructions):
            start = row * loop.ROW_SLOTS
            slots[start + loop.ROW_KERNEL] = load_kernel(instruction.variant)
            slots[start + loop.ROW_ARGS] = 8 * len(slots)
            slots[start + loop.ROW_ITEMS] = instruction.items
            slots[start + loop.ROW_CHUNK_ITEMS] = instruction.chunk_items
            slots[start + loop.ROW_CHUNKS] = instruction.chunks
            for arg in instruction.args:
                if isinstance(arg, Address):
                    addresses.append((len(slots), arg.buffer, arg.offset))
                slots.append(0 if isinstance(arg, Address) else arg)
        self._slots = np.array(slots, np.int64)
        self._arg_pointers = np.arange(rows, dtype=np.int64) * loop.ROW_SLOTS + loop.ROW_ARGS
        self._all = _Patch(addresses)
        self._changing = _Patch([entry for entry in addresses if entry[1] not in fixed])

    def instantiate(self) -> Ints:
        """A table whose argument blocks hold sizes but no addresses yet."""
        table = aligned_slots(len(self._slots))
        table[:] = self._slots
        table[self._arg_pointers] += address_of(table)
        return table

    def bind_all(self, table: Ints, addresses: Ints) -> None:
        """Write the addresses of all buffers, given by buffer index."""
        self._all.apply(table, addresses)

    def bind_changing(self, table: Ints, addresses: Ints) -> None:
        """Write the addresses of the buffers that change from call to call."""
        self._changing.apply(table, addresses)


class _Patch:
    """Slots to fill with buffer address plus offset."""

    def __init__(self, entries: list[tuple[int, int, int]]) -> None:
        columns = np.array(entries, np.int64).reshape(-1, 3).T
        self._slots, self._buffers, self._offsets = (np.ascontiguousarray(column) for column in columns)

    def apply(self, table: Ints, addresses: Ints) -> None:
        table[self._slots] = addresses[self._buffers] + self._offsets
