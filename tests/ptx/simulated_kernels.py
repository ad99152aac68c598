"""Small kernels for Numba CUDA, and inputs for them: compiled for the emulator, and run by Numba's own simulator.

Run as a program, with ``NUMBA_ENABLE_CUDASIM=1``, this file writes the simulator's results to the .npz file that it is
given.
"""

from __future__ import annotations

import sys

import numpy as np
from numba import cuda, float32, int32

THREADS = 64
BLOCKS = 3


def block_sum(x, y):
    """A tree over shared memory, a barrier a step."""
    room = cuda.shared.array(64, float32)
    thread = cuda.threadIdx.x
    index = cuda.blockIdx.x * cuda.blockDim.x + thread
    room[thread] = x[index] if index < x.size else float32(0)
    cuda.syncthreads()
    step = 32
    while step > 0:
        if thread < step:
            room[thread] += room[thread + step]
        cuda.syncthreads()
        step //= 2
    if thread == 0:
        y[cuda.blockIdx.x] = room[0]


def branches(x, y):
    """Paths of threads part, loop for different times, and leave early."""
    index = cuda.grid(1)
    if index >= x.size:
        return
    value = x[index]
    if value < float32(0):
        total = float32(0)
        for step in range(index % 7):
            total += value * float32(step)
            if total < float32(-8):
                break
        y[index] = total
    elif index % 3 == 0:
        y[index] = value * value
    else:
        y[index] = float32(index) - value


def histogram(x, y):
    """Atomic additions that meet."""
    index = cuda.grid(1)
    if index < x.size:
        cuda.atomic.add(y, x[index] % (y.size - 1), int32(1))
        cuda.atomic.max(y, y.size - 1, x[index] + index)


def transpose(x, y):
    """Through a padded tile of shared memory."""
    tile = cuda.shared.array((8, 9), float32)
    column, row = cuda.threadIdx.x % 8, cuda.threadIdx.x // 8
    tiles = x.shape[1] // 8
    tile_row, tile_column = cuda.blockIdx.x // tiles, cuda.blockIdx.x % tiles
    tile[row, column] = x[tile_row * 8 + row, tile_column * 8 + column]
    cuda.syncthreads()
    y[tile_column * 8 + row, tile_row * 8 + column] = tile[column, row]


def integers(x, y):
    """Divisions, remainders and shifts of both signs, mixed widths."""
    index = cuda.grid(1)
    if index < x.size:
        a = x[index]
        b = int32(index - 70)
        if b == 0:
            b = int32(5)
        y[index] = (a // b) * 3 + a % b + (a >> 3) + ((a ^ b) & 255) + (index << 2)


def neighbours(x, y):
    """Local memory that is indexed by numbers that are known at run time only."""
    index = cuda.grid(1)
    seen = cuda.local.array(5, float32)
    for step in range(5):
        seen[step] = x[(index + step * step) % x.size]
    if index < y.size:
        total = float32(0)
        for step in range(5):
            total += seen[(index + step * 3) % 5] * float32(step + 1)
        y[index] = total


def product(x, y):
    """[16, 16] by its transpose, in double precision."""
    row, column = cuda.threadIdx.x // 8, cuda.threadIdx.x % 8
    total = 0.0
    for step in range(x.shape[1]):
        total += x[row, step] * x[column, step]
    if cuda.blockIdx.x == 0:
        y[row, column] = total


_RNG = np.random.default_rng(5)
_FLOATS = _RNG.standard_normal(150).astype(np.float32)

CASES = {
    "block_sum": (block_sum, _FLOATS, np.zeros(BLOCKS, np.float32)),
    "branches": (branches, _FLOATS * np.float32(3), np.zeros(150, np.float32)),
    "histogram": (histogram, _RNG.integers(0, 1000, 150).astype(np.int32), np.zeros(13, np.int32)),
    "transpose": (transpose, _RNG.standard_normal((8, 24)).astype(np.float32), np.zeros((24, 8), np.float32)),
    "integers": (integers, _RNG.integers(-5000, 5000, 150).astype(np.int32), np.zeros(150, np.int64)),
    "neighbours": (neighbours, _FLOATS, np.zeros(150, np.float32)),
    "product": (product, _RNG.standard_normal((8, 16)), np.zeros((8, 8))),
}
"""Name -> kernel, its input, its output before."""


if __name__ == "__main__":
    results = {}
    for name, (kernel, x, y) in CASES.items():
        results[name] = y.copy()
        cuda.jit(kernel)[BLOCKS, THREADS](x, results[name])
    np.savez(sys.argv[1], **results)
