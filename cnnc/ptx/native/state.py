"""What the interpreter knows of a machine: arrays that it shares with the NumPy meaning, and its own."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]


class Status(IntEnum):
    """Of a warp."""

    READY = 0
    AT_BARRIER = 1
    AT_NUMPY = 2
    """It waits for an instruction that only the NumPy meaning can do."""
    DONE = 3
    ENDLESS = 4


class Total(IntEnum):
    """Places in ``totals``."""

    SECTORS = 0
    LEAST_SECTORS = 1
    SHARED_CYCLES = 2
    LEAST_SHARED_CYCLES = 3
    BRANCHES = 4
    DIVERGENT_BRANCHES = 5
    BARRIERS = 6


class Room(IntEnum):
    """Places of int64 in ``Memory.room``: what is known of the lanes of one access."""

    ADDRESSES = 0
    UNITS = 32
    SEEN = 64
    GROUPS = 128
    LOADS = 160
    END = 192


class Memory(NamedTuple):
    """What an access needs: addresses in this process, and numbers of bytes.

    ``starts``, ``sizes`` and ``hosts`` are of the ``allocations`` in global memory: their addresses, their bytes, and
    where they lie in this process. A pitch is from one block, warp or lane to the next.
    """

    rows: int
    row_bytes: int
    warps_of_block: int
    shared: int
    shared_pitch: int
    shared_bytes: int
    local: int
    local_pitch: int
    local_bytes: int
    allocations: int
    starts: int
    sizes: int
    hosts: int
    races: int
    races_pitch: int
    block_period: int
    warp_period: int
    totals: int
    room: int


class State(NamedTuple):
    """What the interpreter needs. Masks have a bit for every lane of a warp.

    A warp has a stack of paths: ``next`` instruction, the one where it ``meets`` the path below, and the ``mask`` of
    its threads; ``paths`` are how many.
    """

    memory: Memory
    table: Array
    next: Array
    meets: Array
    masks: Array
    paths: Array
    live: Array
    status: Array
    stopped: Array
    """Mask of the threads that a warp waits with."""
    left: Array
    """Instructions that a warp may still execute."""
    block_period: Array
    warp_period: Array
    issued: Array
    threads: Array
    """Of every instruction: how often it was issued, and for how many threads."""
    totals: Array
    owned: tuple[Array, Array]
    """Arrays whose addresses are in ``memory``: they live as long as it does."""
