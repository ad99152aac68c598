"""Arena layout: offsets for buffers with known sizes and lifetimes (the dynamic storage allocation problem).

``best_fit`` is greedy by size: the largest buffer first, each into the smallest gap that holds it among the buffers it
meets in time (Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference", 2020, section 4). It is
usually within a few percent of the lower bound (the largest sum of simultaneously live bytes) on CNNs.
``one_after_another`` reuses nothing; it tells planner bugs from kernel bugs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from cnnc.runtime.plan import ALIGNMENT, Place

Layout = Callable[[Sequence[Place]], tuple[tuple[Place, ...], int]]
"""Takes places whose offsets are not set; returns them with offsets, in the same order, and the arena's bytes."""


def aligned(size: int) -> int:
    """``size`` rounded up to the alignment of buffers."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def one_after_another(requests: Sequence[Place]) -> tuple[tuple[Place, ...], int]:
    """Every buffer has bytes of its own."""
    end = 0
    placed = []
    for request in requests:
        placed.append(replace(request, offset=end))
        end += aligned(request.bytes)
    return tuple(placed), end


def best_fit(requests: Sequence[Place]) -> tuple[tuple[Place, ...], int]:
    """Buffers share bytes unless some step needs both. Deterministic: ties go by first step, then by buffer index."""
    order = sorted(range(len(requests)), key=lambda i: (-requests[i].bytes, requests[i].first, requests[i].buffer))
    offsets = [0] * len(requests)
    # Rows of placed buffers, kept sorted by start: start, end, first step, last step.
    table = np.zeros((4, 0), np.int64)
    top = 0
    for i in order:
        request = requests[i]
        size = aligned(request.bytes)
        if size == 0:
            continue
        met = table[:2, (table[2] <= request.last) & (table[3] >= request.first)]
        offset = _smallest_gap(met[0], met[1], size)
        offsets[i] = offset
        top = max(top, offset + size)
        row = np.array([[offset], [offset + size], [request.first], [request.last]], np.int64)
        position = int(np.searchsorted(table[0], offset, side="right"))
        table = np.concatenate((table[:, :position], row, table[:, position:]), axis=1)
    return tuple(replace(request, offset=offset) for request, offset in zip(requests, offsets, strict=True)), top


def _smallest_gap(starts: np.ndarray, ends: np.ndarray, size: int) -> int:
    """Start of the smallest gap of at least ``size`` bytes between the intervals, or the end of the last one."""
    if starts.size == 0:
        return 0
    reach = np.maximum.accumulate(ends)
    gap_starts = np.concatenate((np.zeros(1, np.int64), reach[:-1]))
    gaps = starts - gap_starts
    fitting = np.flatnonzero(gaps >= size)
    if fitting.size == 0:
        return int(reach[-1])
    return int(gap_starts[fitting[np.argmin(gaps[fitting])]])
