"""What a tap of a resized axis reads, for Numba CUDA code. Tables: ``cnnc.runtime.cpu.resize_table``.

Imported only while a kernel is compiled.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnc.runtime.cpu.resize_table import ENTRY_BYTES
from cnnc.runtime.cuda.intrinsics import FLOAT, INT, inlined
from cnnc.runtime.cuda.memory_access import load, load_i32

_ONE = np.float32(1)


def _place(table: int, taps: int, at: int, tap: int) -> Any:
    if taps == 0:
        return at
    return load_i32(table + ENTRY_BYTES * at + 4 * tap)


def _weight(table: int, taps: int, at: int, tap: int) -> Any:
    if taps != 2:
        return _ONE
    return load(table + ENTRY_BYTES * at + 8 + 4 * tap)


place_of: Any = inlined(INT, [INT] * 4, _place)
"""place_of(table, taps, at, tap): along the axis of x, for element ``at`` of y; an axis without taps keeps it."""
weight_of: Any = inlined(FLOAT, [INT] * 4, _weight)
"""weight_of(table, taps, at, tap)."""
