"""Grids of kernels whose threads each compute a few neighbouring elements of the result, counted through all axes."""

from __future__ import annotations

from cnnc.dims import Dim, ceil_div

THREADS = 256
"""Of a block."""

THREAD_BYTES = 16
"""That a thread moves: the widest access to memory."""


def blocks_for(threads: Dim) -> Dim:
    """Blocks that hold so many threads."""
    return ceil_div(threads, THREADS)


def blocks_for_elements(count: Dim, size: int) -> Dim:
    """Blocks whose threads move ``THREAD_BYTES`` each; elements of ``size`` bytes."""
    return ceil_div(count, THREADS * THREAD_BYTES // size)
