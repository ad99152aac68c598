"""What is asked of exercise 11. Kernels run on the emulator, which counts what a GPU would be charged with."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from cnnc.emulation import launch_arrays
from cnnc.ir import Array
from cnnc.ptx import Counters

MOST_SECTORS = 1.1
"""Sectors of memory, over the least that the bytes asked for would need."""


def check_transpose(student: ModuleType) -> None:
    """Part 1: channels last, coalesced"""
    rng = np.random.default_rng(0)
    for channels, pixels in ((64, 256), (40, 49), (1, 7), (33, 1)):
        x = rng.standard_normal((channels, pixels), np.float32)
        y = np.full((pixels, channels), np.nan, np.float32)
        counters = launched(student.to_channels_last, student.to_channels_last_launch(channels, pixels), x, y)
        case = f"to_channels_last of [{channels}, {pixels}]"
        wrong = np.argwhere(y != x.T)
        assert not len(wrong), f"{case}: y{list(wrong[0])} is {y[tuple(wrong[0])]}, expected {x.T[tuple(wrong[0])]}"
        if channels % 32 == pixels % 32 == 0:
            judge(counters, case, "rows of x must be read and rows of y written; a tile in shared memory turns them")


def check_means(student: ModuleType) -> None:
    """Part 2: means of channels, coalesced"""
    rng = np.random.default_rng(1)
    for channels, pixels in ((64, 256), (5, 784), (3, 49), (37, 1)):
        x = rng.standard_normal((channels, pixels), np.float32)
        y = np.full(channels, np.nan, np.float32)
        counters = launched(student.channel_means, student.channel_means_launch(channels, pixels), x, y)
        case = f"channel_means of [{channels}, {pixels}]"
        error = np.abs(y - x.mean(axis=1, dtype=np.float64)).max()
        assert error < 1e-5, f"{case}: the largest error is {error}"
        if pixels % 32 == 0:
            judge(counters, case, "neighbouring threads must read neighbouring pixels: let threads share a channel")


def launched(kernel: Callable[..., Any], launch: Any, x: Array, y: Array) -> Counters:
    """Run a kernel; what it was charged with."""
    grid, block = launch
    return launch_arrays(kernel, grid, block, [x, y]).counters


def judge(counters: Counters, case: str, advice: str) -> None:
    """Few sectors, no bank conflicts."""
    ratio = counters.sectors / counters.least_sectors
    assert ratio <= MOST_SECTORS, (
        f"{case}: the result is right, but warps move {counters.sectors} sectors, {ratio:.2f} times the least "
        f"({MOST_SECTORS} are allowed): {advice}"
    )
    assert counters.conflicts == 0, (
        f"{case}: {counters.conflicts} of {counters.shared_cycles} cycles of shared memory are bank conflicts: threads "
        "of a warp must touch different banks; element i of a row lies in bank i modulo 32, rows need not be 32 long"
    )


PARTS = (check_transpose, check_means)
