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
    """Places in ``State.totals``."""

    SECTORS = 0
    LEAST_SECTORS = 1
    SHARED_CYCLES = 2
    LEAST_SHARED_CYCLES = 3
    BRANCHES = 4
    DIVERGENT_BRANCHES = 5
    BARRIERS = 6


class State(NamedTuple):
    """Addresses are of this process; masks have a bit for every lane of a warp.

    A warp has a stack of paths: ``next`` instruction, the one where it ``meets`` the path below, and the ``mask`` of
    its threads; ``paths`` are how many.
    """

    table: Array
    rows: int
    row_bytes: int
    warps_of_block: int

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

    shared: int
    shared_pitch: int
    shared_bytes: int
    local: int
    local_pitch: int
    local_bytes: int
    starts: Array
    sizes: Array
    hosts: Array
    """Of the allocations in global memory: addresses, bytes, and where they lie in this process."""

    writer: Array
    reader: Array
    written: Array
    read_at: Array
    block_period: Array
    warp_period: Array

    issued: Array
    threads: Array
    """Of every instruction: how often it was issued, and for how many threads."""
    totals: Array

    addresses: Array
    units: Array
    seen: Array
    stamps: Array
    loads: Array
    """Room for the lanes of one access."""


NO_UNIT = np.iinfo(np.int64).min
