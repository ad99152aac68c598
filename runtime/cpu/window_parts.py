"""What the taps of a window leave of a register tile, along one axis: pure functions of sizes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

Range = tuple[int, int]
"""(first, stop)"""


@dataclass(frozen=True, slots=True)
class Axis:
    """One spatial axis of a convolution: input and output size, and its window; ``begin`` is the padding before."""

    source: int
    result: int
    window: int
    stride: int
    dilation: int
    begin: int


@cache
def tap_ranges(axis: Axis, tile: int) -> Counter[Range]:
    """Pixels that a tap leaves of a tile of ``tile`` pixels, with how often that occurs over all tiles and taps.

    Pixels whose input lies outside of the map, or that lie outside of the output, are left out. Tiles and taps of
    which nothing is left are not counted.
    """
    found: Counter[Range] = Counter()
    for begin in range(0, axis.result, tile):
        for tap in range(axis.window):
            place = begin * axis.stride + tap * axis.dilation - axis.begin  # of pixel 0
            first = max(-(place // axis.stride), 0)
            stop = min(tile, axis.result - begin, (axis.source - 1 - place) // axis.stride + 1)
            if first < stop:
                found[first, stop] += 1
    return found


def part_ranges(axis: Axis, tile: int) -> tuple[Range, ...]:
    """The ranges of ``tap_ranges`` in order; a whole tile where there is none."""
    return tuple(sorted(tap_ranges(axis, tile))) or ((0, tile),)


def format_ranges(ranges: Iterable[Range]) -> str:
    """``0-14,1-14``: a compile-time parameter."""
    return ",".join(f"{first}-{stop}" for first, stop in ranges)


def parse_ranges(text: str) -> tuple[Range, ...]:
    """The inverse of ``format_ranges``."""
    pairs = [item.split("-") for item in text.split(",")]
    return tuple((int(first), int(stop)) for first, stop in pairs)
