"""A matrix product y = w x three ways: all weights, lists of the weights that are not zero, and lists over a panel.

x [I, P] is a map with I channels of P pixels, w [O, I] a 1x1 convolution. Vectors go along pixels. Names ending in 0,
1, 2, 3 are vectors of neighbouring pixels, which stay in registers while a row of w is walked; ``load``, ``store``,
``splat`` (one number in all lanes) and ``fma`` work on registers (``cnnc.runtime.cpu.registers``).
Addresses are int64, in bytes.
"""

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
VECTORS = 4
"""Vectors of pixels of a tile of lists: as many sums are under way at a time."""
PIXELS = VECTORS * _TARGET.lanes
"""Pixels of a tile; P is a multiple."""
ROW = VECTORS * BYTES
"""Bytes of a row of a tile."""


@njit
def dense(w: Array, x: Array, y: Array) -> None:
    """Every weight is multiplied. Four outputs a, b, c, d share each load of x; O is a multiple of 4."""
    pitch = x.shape[1] * 4
    for pixel in range(0, x.shape[1], PIXELS // 2):
        for o in range(0, y.shape[0], 4):
            zero = splat(np.float32(0))
            a0, a1, b0, b1, c0, c1, d0, d1 = zero, zero, zero, zero, zero, zero, zero, zero
            row = x.ctypes.data + pixel * 4
            for i in range(x.shape[0]):
                x0, x1 = load(row), load(row + BYTES)
                ka, kb, kc, kd = splat(w[o, i]), splat(w[o + 1, i]), splat(w[o + 2, i]), splat(w[o + 3, i])
                a0, a1, b0, b1 = fma(ka, x0, a0), fma(ka, x1, a1), fma(kb, x0, b0), fma(kb, x1, b1)
                c0, c1, d0, d1 = fma(kc, x0, c0), fma(kc, x1, c1), fma(kd, x0, d0), fma(kd, x1, d1)
                row += pitch
            place = y.ctypes.data + o * pitch + pixel * 4
            store_pair(place, a0, a1)
            store_pair(place + pitch, b0, b1)
            store_pair(place + 2 * pitch, c0, c1)
            store_pair(place + 3 * pitch, d0, d1)


@njit(inline="always")
def store_pair(place: Any, v0: Any, v1: Any) -> None:
    """Two vectors, one behind the other."""
    store(place, v0)
    store(place + BYTES, v1)


@njit
def lists(starts: Array, positions: Array, values: Array, x: Array, y: Array) -> None:
    """Only weights that are not zero: output o has those from ``starts[o]`` to ``starts[o + 1]``.

    This is the CSR format: positions int64 along I, values float32.
    """
    pitch = x.shape[1] * 4
    for pixel in range(0, x.shape[1], PIXELS):
        first = x.ctypes.data + pixel * 4
        for o in range(y.shape[0]):
            zero = splat(np.float32(0))
            a0, a1, a2, a3 = zero, zero, zero, zero
            for n in range(starts[o], starts[o + 1]):
                row, k = first + positions[n] * pitch, splat(values[n])
                a0, a1 = fma(k, load(row), a0), fma(k, load(row + BYTES), a1)
                a2, a3 = fma(k, load(row + 2 * BYTES), a2), fma(k, load(row + 3 * BYTES), a3)
            place = y.ctypes.data + o * pitch + pixel * 4
            store_pair(place, a0, a1)
            store_pair(place + 2 * BYTES, a2, a3)


@njit
def panel_lists(starts: Array, positions: Array, values: Array, x: Array, y: Array, panel: Array) -> None:
    """The same, but a tile's pixels of all channels are first copied to ``panel`` [I, PIXELS], row behind row."""
    pitch = x.shape[1] * 4
    for pixel in range(0, x.shape[1], PIXELS):
        first = panel.ctypes.data
        for i in range(x.shape[0]):
            row = x.ctypes.data + i * pitch + pixel * 4
            place = first + i * ROW
            store_pair(place, load(row), load(row + BYTES))
            store_pair(place + 2 * BYTES, load(row + 2 * BYTES), load(row + 3 * BYTES))
        for o in range(y.shape[0]):
            zero = splat(np.float32(0))
            a0, a1, a2, a3 = zero, zero, zero, zero
            for n in range(starts[o], starts[o + 1]):
                row, k = first + positions[n] * ROW, splat(values[n])
                a0, a1 = fma(k, load(row), a0), fma(k, load(row + BYTES), a1)
                a2, a3 = fma(k, load(row + 2 * BYTES), a2), fma(k, load(row + 3 * BYTES), a3)
            place = y.ctypes.data + o * pitch + pixel * 4
            store_pair(place, a0, a1)
            store_pair(place + 2 * BYTES, a2, a3)


def pack(w: Array) -> tuple[Array, Array, Array]:
    """The CSR lists of w [O, I]: starts int64 [O + 1], positions int64 [n], values float32 [n]."""
    starts = np.concatenate([[0], np.count_nonzero(w, axis=1).cumsum()]).astype(np.int64)
    return starts, np.nonzero(w)[1].astype(np.int64), w[w != 0]


def aligned(x: Array) -> Array:
    """A copy that begins at a multiple of 64 bytes, so that no vector lies in two cache lines."""
    raw = np.empty(x.nbytes + 64, np.uint8)
    start = -raw.ctypes.data % 64
    copy: Array = raw[start : start + x.nbytes].view(x.dtype).reshape(x.shape)
    copy[...] = x
    return copy
