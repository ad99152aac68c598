"""Exercise 10, solved."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from cnnc.ir import Array
from cnnc.runtime.cpu.registers import registers
from cnnc.runtime.jit.target import host_target

_TARGET = host_target()
_REGISTERS = registers(_TARGET)
load, store, splat, fma = _REGISTERS.load, _REGISTERS.store, _REGISTERS.splat, _REGISTERS.fma

BYTES = _TARGET.vector_bytes
PIXELS = 2 * _TARGET.lanes
BLOCK = 4


def blocks_left(density: float) -> float:
    """All four are zero with probability (1 - density)^4."""
    return 1 - (1 - density) ** BLOCK


def pack(w: Array) -> tuple[Array, Array, Array]:
    """Pad the outputs to whole blocks; an entry for each input with a weight that is not zero."""
    outputs, inputs = w.shape
    padded = np.pad(w, ((0, -outputs % BLOCK), (0, 0)))
    blocks = padded.reshape(-1, BLOCK, inputs).transpose(0, 2, 1)  # [B, I, 4]
    kept = (blocks != 0).any(axis=2)
    starts = np.concatenate([[0], np.count_nonzero(kept, axis=1).cumsum()]).astype(np.int64)
    return starts, np.nonzero(kept)[1].astype(np.int64), np.ascontiguousarray(blocks[kept])


@njit
def multiply(starts: Array, positions: Array, values: Array, x: Array, y: Array) -> None:
    """As the lesson's ``dense``, over lists."""
    outputs = y.shape[0]
    pitch = x.shape[1] * 4
    for pixel in range(0, x.shape[1], PIXELS):
        first, place = x.ctypes.data + pixel * 4, y.ctypes.data + pixel * 4
        for block in range(starts.size - 1):
            zero = splat(np.float32(0))
            a0, a1, b0, b1, c0, c1, d0, d1 = zero, zero, zero, zero, zero, zero, zero, zero
            for n in range(starts[block], starts[block + 1]):
                row = first + positions[n] * pitch
                x0, x1 = load(row), load(row + BYTES)
                ka, kb, kc, kd = splat(values[n, 0]), splat(values[n, 1]), splat(values[n, 2]), splat(values[n, 3])
                a0, a1, b0, b1 = fma(ka, x0, a0), fma(ka, x1, a1), fma(kb, x0, b0), fma(kb, x1, b1)
                c0, c1, d0, d1 = fma(kc, x0, c0), fma(kc, x1, c1), fma(kd, x0, d0), fma(kd, x1, d1)
            o = block * BLOCK
            store_pair(place + o * pitch, a0, a1)
            if o + 1 < outputs:
                store_pair(place + (o + 1) * pitch, b0, b1)
            if o + 2 < outputs:
                store_pair(place + (o + 2) * pitch, c0, c1)
            if o + 3 < outputs:
                store_pair(place + (o + 3) * pitch, d0, d1)


@njit(inline="always")
def store_pair(place: Any, v0: Any, v1: Any) -> None:
    """Two vectors, one behind the other."""
    store(place, v0)
    store(place + BYTES, v1)
