"""Exercise 11, solved."""

from __future__ import annotations

from typing import Any

from numba import cuda, float32

Launch = tuple[int | tuple[int, ...], int | tuple[int, ...]]

TILE, ROWS, PITCH = 32, 8, 33
"""Of the transpose: tiles of TILE x TILE elements, rows of threads of a block, elements from a row to the next."""
THREADS = 128
"""Of a block that adds up a channel."""


def to_channels_last(x: Any, y: Any) -> None:
    """A tile at a time: rows of x are read, rows of y are written, and columns exist in shared memory only."""
    tile = cuda.shared.array((TILE, PITCH), float32)
    first_channel, first_pixel = cuda.blockIdx.y * TILE, cuda.blockIdx.x * TILE
    tx, ty = cuda.threadIdx.x, cuda.threadIdx.y
    for row in range(0, TILE, ROWS):
        channel, pixel = first_channel + row + ty, first_pixel + tx
        if channel < x.shape[0] and pixel < x.shape[1]:
            tile[row + ty, tx] = x[channel, pixel]
    cuda.syncthreads()
    for row in range(0, TILE, ROWS):
        channel, pixel = first_channel + tx, first_pixel + row + ty
        if channel < x.shape[0] and pixel < x.shape[1]:
            y[pixel, channel] = tile[tx, row + ty]


def to_channels_last_launch(channels: int, pixels: int) -> Launch:
    """A block for every tile."""
    return (-(-pixels // TILE), -(-channels // TILE)), (TILE, ROWS)


def channel_means(x: Any, y: Any) -> None:
    """A block a channel: every thread adds up every THREADS-th pixel, and sums are added by halves."""
    sums = cuda.shared.array(THREADS, float32)
    channel, thread = cuda.blockIdx.x, cuda.threadIdx.x
    total = float32(0)
    for pixel in range(thread, x.shape[1], THREADS):
        total += x[channel, pixel]
    sums[thread] = total
    cuda.syncthreads()
    half = THREADS // 2
    while half:
        if thread < half:
            sums[thread] += sums[thread + half]
        cuda.syncthreads()
        half //= 2
    if thread == 0:
        y[channel] = sums[0] / x.shape[1]


def channel_means_launch(channels: int, pixels: int) -> Launch:
    """A block a channel."""
    return channels, THREADS
