"""What a resized axis reads of x for an element of y, for Numba CUDA code. Tables: ``cnnc.runtime.cpu.resize_table``.

Imported only while a kernel is compiled.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.cuda import types

from cnnc.runtime.cpu.resize_table import ENTRY_BYTES
from cnnc.runtime.cuda.integers import bits_of_float
from cnnc.runtime.cuda.intrinsics import FLOAT, INT, inlined
from cnnc.runtime.cuda.memory_access import load_quad

_ZERO, _ONE = np.float32(0), np.float32(1)


def _taps_of(table: int, taps: int, at: int) -> Any:
    if taps == 0:
        return at, at, _ONE, _ZERO
    entry = load_quad(table + ENTRY_BYTES * at)
    first, second = bits_of_float(entry[0]), bits_of_float(entry[1])
    if taps == 1:
        return first, first, _ONE, _ZERO
    return first, second, entry[2], entry[3]


taps_of: Any = inlined(types.Tuple((INT, INT, FLOAT, FLOAT)), [INT] * 3, _taps_of)
"""taps_of(table, taps, at): (place, place, weight, weight) along the axis of x for element ``at`` of y."""
