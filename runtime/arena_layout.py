"""Arena layout: offsets for buffers with known sizes and lifetimes (the dynamic storage allocation problem).

``best_fit`` is greedy by size: the largest buffer first, each into the smallest gap that holds it among the buffers it
meets in time (Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference", 2020, section 4). On CNNs
that mostly reaches the lower bound (the largest sum of simultaneously live bytes); where it does not, other orders are
tried and the smallest arena is kept.
``one_after_another`` reuses nothing; it tells planner bugs from kernel bugs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from cnnc.frozen_dataclass import replace
from cnnc.runtime.plan import ALIGNMENT, Place

Layout = Callable[[Sequence[Place], Mapping[int, int]], tuple[tuple[Place, ...], int]]
"""Takes places whose offsets are not set, and which buffer may take over the bytes of which other one, of its size and
in its last step; returns the places with offsets, in the same order, and the arena's bytes."""

_NOTHING: Mapping[int, int] = MappingProxyType({})


def aligned(size: int) -> int:
    """``size`` rounded up to the alignment of buffers."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def one_after_another(
    requests: Sequence[Place], sources: Mapping[int, int] = _NOTHING
) -> tuple[tuple[Place, ...], int]:
    """Every buffer has bytes of its own."""
    end = 0
    placed = []
    for request in requests:
        placed.append(replace(request, offset=end))
        end += aligned(request.bytes)
    return tuple(placed), end


def best_fit(requests: Sequence[Place], sources: Mapping[int, int] = _NOTHING) -> tuple[tuple[Place, ...], int]:
    """Buffers share bytes unless some step needs both. Deterministic: ties go by first step, then by buffer index.

    Buffers that take over each other's bytes are laid out as one, over all their lifetimes. Such long requests can fit
    worse than short ones, so where that costs bytes each buffer is placed on its own.
    """
    joined, owners = _join(requests, sources)
    placed, top = _smallest(joined)
    offsets = {place.buffer: place.offset for place in placed}
    shared = tuple(replace(request, offset=offsets[owners[request.buffer]]) for request in requests)
    if sources and top > least_bytes(shared):
        apart, apart_top = _smallest(requests)
        if apart_top < top:
            return apart, apart_top
    return shared, top


def _join(requests: Sequence[Place], sources: Mapping[int, int]) -> tuple[list[Place], dict[int, int]]:
    """One request per chain of buffers that take over each other's bytes; and every buffer's first of its chain."""
    joined: dict[int, Place] = {}
    owners: dict[int, int] = {}
    for request in sorted(requests, key=lambda request: (request.first, request.last)):
        source = sources.get(request.buffer)
        owner = request.buffer if source is None else owners[source]
        owners[request.buffer] = owner
        joined[owner] = replace(joined.get(owner, request), last=request.last)
    return list(joined.values()), owners


def least_bytes(places: Sequence[Place]) -> int:
    """The most bytes live at one step: no layout needs fewer. Buffers at one place that share a step count once."""
    changes: dict[int, int] = {}
    ends: dict[tuple[int, int], int] = {}
    for place in sorted(places, key=lambda place: (place.first, place.last)):
        size, first = aligned(place.bytes), place.first
        if ends.get((place.offset, size)) == first:
            first += 1
        ends[place.offset, size] = place.last
        changes[first] = changes.get(first, 0) + size
        changes[place.last + 1] = changes.get(place.last + 1, 0) - size
    live = most = 0
    for step in sorted(changes):
        live += changes[step]
        most = max(most, live)
    return most


_ORDERS: tuple[Callable[[Place], int], ...] = (
    lambda request: -request.bytes,
    lambda request: -request.bytes * (request.last - request.first + 1),
    lambda request: request.first,
    lambda request: request.first - request.last,
)
"""Which request is placed first: the largest; the one that holds most for longest; the earliest; the longest lived."""


def _smallest(requests: Sequence[Place]) -> tuple[tuple[Place, ...], int]:
    """The smallest arena over the orders; the first order's where that is as small as can be."""
    best = _place(requests, _ORDERS[0])
    bound = least_bytes([replace(request, offset=-1 - request.buffer) for request in requests])
    for key in _ORDERS[1:]:
        if best[1] <= bound:
            break
        found = _place(requests, key)
        if found[1] < best[1]:
            best = found
    return best


def _place(requests: Sequence[Place], key: Callable[[Place], int]) -> tuple[tuple[Place, ...], int]:
    order = sorted(range(len(requests)), key=lambda i: (key(requests[i]), requests[i].first, requests[i].buffer))
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
