"""The register file of some warps.

A warp's registers lie together, each as 32 elements: what a warp computes in a row stays in the cache. Predicates are
a word of 32 bits, one of a lane. Behind the registers lie values that do not change while the warps run: constants,
special registers and addresses of variables, each as 32 equal or different elements, so that an instruction finds all
of its operands in one place.
"""

from __future__ import annotations

import functools
import heapq
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnc.ptx.liveness import live_ranges
from cnnc.ptx.module import Entry
from cnnc.ptx.types import DTYPES

Array = np.ndarray[Any, Any]

WARP = 32
_CACHE_LINE = 64


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a value lies in the row of every warp; ``kind`` is its type."""

    offset: int
    kind: str

    @property
    def size(self) -> int:
        """Bytes."""
        return slot_bytes(self.kind)


def slot_bytes(kind: str) -> int:
    """Bytes of a warp's 32 elements of a type."""
    return 4 if kind == "pred" else WARP * DTYPES[kind].itemsize


@dataclass(frozen=True, slots=True)
class RegisterLayout:
    """Where every register of an entry lies, and how many bytes they are, a multiple of a cache line."""

    slots: Mapping[str, Slot]
    size: int


@functools.lru_cache(maxsize=256)
def register_layout(entry: Entry) -> RegisterLayout:
    """The layout of an entry's registers; those that are never alive together share a place.

    Threads that branch apart do not disturb each other: a register has an element for each of them. (Poletto and
    Sarkar, Linear scan register allocation, 1999.)
    """
    ranges = live_ranges(entry)
    occurring = [(ranges[name], name, kind) for name, kind in entry.registers.items() if name in ranges]
    slots: dict[str, Slot] = {}
    free: dict[int, list[int]] = {}
    ends: list[tuple[int, int, int]] = []
    size = 0
    for (first, last), name, kind in sorted(occurring):
        while ends and ends[0][0] < first:
            _, bytes_, offset = heapq.heappop(ends)
            free[bytes_].append(offset)
        bytes_ = slot_bytes(kind)
        places = free.setdefault(bytes_, [])
        if places:
            offset = places.pop()
        else:
            offset = -(-size // min(bytes_, _CACHE_LINE)) * min(bytes_, _CACHE_LINE)
            size = offset + bytes_
        slots[name] = Slot(offset, kind)
        heapq.heappush(ends, (last, bytes_, offset))
    return RegisterLayout(slots, -(-size // _CACHE_LINE) * _CACHE_LINE)


def aligned_rows(rows: int, size: int) -> Array:
    """Bytes [rows, size] of zeros that start on a cache line; ``size`` is a multiple of one."""
    raw = np.zeros(rows * size + _CACHE_LINE, np.uint8)
    first = -raw.ctypes.data % _CACHE_LINE
    return raw[first : first + rows * size].reshape(rows, size)


class RegisterFile:
    """Registers of ``warps`` warps.

    Args:
        extra: bytes of a row behind the registers.
    """

    def __init__(self, layout: RegisterLayout, warps: int, extra: int = 0) -> None:
        self.slots = layout.slots
        self.rows = aligned_rows(warps, layout.size + -(-extra // _CACHE_LINE) * _CACHE_LINE)

    def read(self, name: str) -> Array:
        """A register's values in every lane."""
        return self.value(self.slots[name])

    def value(self, slot: Slot) -> Array:
        """The values of a slot in every lane."""
        content = self.rows[:, slot.offset : slot.offset + slot.size]
        if slot.kind == "pred":
            return np.unpackbits(content, axis=1, bitorder="little").reshape(-1).view(bool)
        return content.view(DTYPES[slot.kind]).reshape(-1)

    def write(self, name: str, value: Array, active: Array | None) -> None:
        """Set a register in the active lanes, in all if ``active`` is None; ``value`` is of its type."""
        slot = self.slots[name]
        if slot.kind == "pred":
            lanes = np.broadcast_to(value, (len(self.rows) * WARP,))
            if active is not None:
                lanes = np.where(active, lanes, self.read(name))
            bits = np.packbits(lanes.reshape(-1, WARP), axis=1, bitorder="little")
            self.rows[:, slot.offset : slot.offset + slot.size] = bits
            return
        target = self.rows[:, slot.offset : slot.offset + slot.size].view(value.dtype)
        values = np.broadcast_to(value, (len(self.rows) * WARP,)).reshape(-1, WARP)
        if active is None:
            target[...] = values
        else:
            np.copyto(target, values, where=active.reshape(-1, WARP))
