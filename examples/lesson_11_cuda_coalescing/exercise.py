"""Exercise 11: two kernels that are right, and slow. Make their accesses to memory coalesced.

Rewrite the kernels and their launches, then: python examples/course.py check 11

A kernel is a Numba CUDA function, not decorated; a launch is (blocks of the grid, threads of a block), each a number or
up to three of them. ``cuda.shared.array(shape, float32)`` takes a shape of constants, such as names of this module.
"""

from __future__ import annotations

from typing import Any

from numba import cuda, float32

Launch = tuple[int | tuple[int, ...], int | tuple[int, ...]]


def to_channels_last(x: Any, y: Any) -> None:
    """y[p, c] = x[c, p]: maps NCHW of one image as NHWC. x [C, P], y [P, C], any sizes."""
    # Neighbouring threads have neighbouring channels: what they read lies P elements apart.
    channel, pixel = cuda.grid(2)
    if channel < x.shape[0] and pixel < x.shape[1]:
        y[pixel, channel] = x[channel, pixel]


def to_channels_last_launch(channels: int, pixels: int) -> Launch:
    """Grid and block for x [channels, pixels]."""
    return (-(-channels // 32), -(-pixels // 8)), (32, 8)


def channel_means(x: Any, y: Any) -> None:
    """y[c] = the mean of x[c, :], a global average pool. x [C, P], y [C], any sizes."""
    # A thread adds up a channel: neighbours read P elements apart.
    channel = cuda.grid(1)
    if channel < x.shape[0]:
        total = float32(0)
        for pixel in range(x.shape[1]):
            total += x[channel, pixel]
        y[channel] = total / x.shape[1]


def channel_means_launch(channels: int, pixels: int) -> Launch:
    """Grid and block for x [channels, pixels]."""
    return -(-channels // 32), 32
