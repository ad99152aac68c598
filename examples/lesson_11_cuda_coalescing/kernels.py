"""GPU kernels in Numba CUDA: copies, transposes and a convolution, each in ways that memory likes less or more.

``cuda.grid(1)`` numbers a thread in the whole grid; 32 neighbours in a block, along x first, are a *warp*: they execute
together, and their loads are one request.
"""

from __future__ import annotations

from typing import Any

from numba import cuda, float32

TILE = 32
"""Rows and columns of a tile of the transposes: a warp for each row."""
ROWS = 8
"""Rows of threads of their blocks: each thread moves TILE / ROWS elements."""
PITCH = TILE + 1
"""Elements from one row of a padded tile to the next."""
TILE_ROWS, TILE_COLUMNS = ROWS + 2, TILE + 2
"""Inputs of a block of the convolution: those of its outputs, and one more on every side."""


def copy_strided(x: Any, y: Any, stride: Any) -> None:
    """y[i] = x[stride * i]: neighbouring threads read ``stride`` elements apart."""
    i = cuda.grid(1)
    if i < y.size:
        y[i] = x[stride * i]


def transpose_naive(x: Any, y: Any) -> None:
    """y[c, r] = x[r, c]. Neighbouring threads read neighbours of a row, and write a column."""
    first = cuda.blockIdx.y * TILE + cuda.threadIdx.y
    column = cuda.blockIdx.x * TILE + cuda.threadIdx.x
    for row in range(0, TILE, ROWS):
        y[column, first + row] = x[first + row, column]


def transpose_tile(x: Any, y: Any) -> None:
    """By way of shared memory: a tile is read row by row, and its columns are written row by row."""
    tile = cuda.shared.array((TILE, TILE), float32)
    first_row, first_column = cuda.blockIdx.y * TILE, cuda.blockIdx.x * TILE
    tx, ty = cuda.threadIdx.x, cuda.threadIdx.y
    for row in range(0, TILE, ROWS):
        tile[row + ty, tx] = x[first_row + row + ty, first_column + tx]
    cuda.syncthreads()
    for row in range(0, TILE, ROWS):
        y[first_column + row + ty, first_row + tx] = tile[tx, row + ty]


def transpose_padded(x: Any, y: Any) -> None:
    """The same, with rows of the tile one element longer: a column's elements lie in different banks."""
    tile = cuda.shared.array((TILE, PITCH), float32)
    first_row, first_column = cuda.blockIdx.y * TILE, cuda.blockIdx.x * TILE
    tx, ty = cuda.threadIdx.x, cuda.threadIdx.y
    for row in range(0, TILE, ROWS):
        tile[row + ty, tx] = x[first_row + row + ty, first_column + tx]
    cuda.syncthreads()
    for row in range(0, TILE, ROWS):
        y[first_column + row + ty, first_row + tx] = tile[tx, row + ty]


def conv_along_height(x: Any, w: Any, y: Any) -> None:
    """3x3 over one map, a thread an output: x [H + 2, W + 2], w [3, 3], y [H, W]. Neighbours lie in one column."""
    row = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
    column = cuda.blockIdx.y * cuda.blockDim.y + cuda.threadIdx.y
    total = float32(0)
    for ky in range(3):
        for kx in range(3):
            total += x[row + ky, column + kx] * w[ky, kx]
    y[row, column] = total


def conv_along_width(x: Any, w: Any, y: Any) -> None:
    """The same, but neighbouring threads have neighbouring outputs of a row."""
    row = cuda.blockIdx.y * cuda.blockDim.y + cuda.threadIdx.y
    column = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
    total = float32(0)
    for ky in range(3):
        for kx in range(3):
            total += x[row + ky, column + kx] * w[ky, kx]
    y[row, column] = total


def conv_tile(x: Any, w: Any, y: Any) -> None:
    """The same by blocks of 8 x 32 threads, which load their 10 x 34 inputs to shared memory once."""
    tile = cuda.shared.array((TILE_ROWS, TILE_COLUMNS), float32)
    taps = cuda.shared.array((3, 3), float32)
    first_row, first_column = cuda.blockIdx.y * ROWS, cuda.blockIdx.x * TILE
    tx, ty = cuda.threadIdx.x, cuda.threadIdx.y
    if ty < 3 and tx < 3:
        taps[ty, tx] = w[ty, tx]
    for row in range(0, TILE_ROWS, ROWS):
        for column in range(0, TILE_COLUMNS, TILE):
            if row + ty < TILE_ROWS and column + tx < TILE_COLUMNS:
                tile[row + ty, column + tx] = x[first_row + row + ty, first_column + column + tx]
    cuda.syncthreads()
    total = float32(0)
    for ky in range(3):
        for kx in range(3):
            total += tile[ty + ky, tx + kx] * taps[ky, kx]
    y[first_row + ty, first_column + tx] = total
