"""Exercise 6, solved."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from cnnc.runtime.plan import Place

LINE = 64


def least_bytes(buffers: Sequence[Place]) -> int:
    """The most bytes that are alive at one step."""
    # At one step what has ended goes before what begins: a buffer is still alive at its last step.
    events = sorted(event for one in buffers for event in ((one.first, 1, one.bytes), (one.last + 1, 0, -one.bytes)))
    live = most = 0
    for _, _, change in events:
        live += change
        most = max(most, live)
    return most


def colours(buffers: Sequence[Place]) -> list[int]:
    """As few colours as possible: in order of birth, each buffer takes a free colour, or else a new one.

    A new one is only taken where all the others are in use at this very step, so that step needs them all.
    """
    chosen = [0] * len(buffers)
    free: list[int] = []
    alive: list[tuple[int, int]] = []
    used = 0
    for index in sorted(range(len(buffers)), key=lambda index: buffers[index].first):
        while alive and alive[0][0] < buffers[index].first:
            heapq.heappush(free, heapq.heappop(alive)[1])
        if not free:
            heapq.heappush(free, used)
            used += 1
        chosen[index] = heapq.heappop(free)
        heapq.heappush(alive, (buffers[index].last, chosen[index]))
    return chosen


def offsets(buffers: Sequence[Place]) -> list[int]:
    """First fit, the largest buffer first."""
    placed: dict[int, int] = {}
    for index in sorted(range(len(buffers)), key=lambda index: -buffers[index].bytes):
        new = buffers[index]
        offset = 0
        for other in sorted(placed, key=placed.__getitem__):
            old = buffers[other]
            if old.last < new.first or new.last < old.first:
                continue
            if placed[other] - offset >= new.bytes:
                break
            offset = max(offset, -(-(placed[other] + old.bytes) // LINE) * LINE)
        placed[index] = offset
    return [placed[index] for index in range(len(buffers))]
