"""What the taps of a window leave of a register tile, along one axis: pure functions of sizes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import cache

from cnnc.frozen_dataclass import dataclass

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
            first, stop = _reach(axis, begin, tile, tap)
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


def tile_places(axis: Axis, tile: int) -> tuple[tuple[int, tuple[Range, ...]], ...]:
    """Where in a row tiles of ``tile`` pixels lie: runs of tiles whose taps reach the same pixels.

    Returns:
        (tiles of the run, (first, stop) of every tap) for each run, in order; an empty range is (0, 0).
    """
    runs: list[tuple[int, tuple[Range, ...]]] = []
    for begin in range(0, axis.result, tile):
        place = tuple(_reach(axis, begin, tile, tap) for tap in range(axis.window))
        if runs and runs[-1][1] == place:
            runs[-1] = (runs[-1][0] + 1, place)
        else:
            runs.append((1, place))
    return tuple(runs) or ((1, ((0, tile),) * axis.window),)


def _reach(axis: Axis, begin: int, tile: int, tap: int) -> Range:
    place = begin * axis.stride + tap * axis.dilation - axis.begin  # of pixel 0
    first = max(-(place // axis.stride), 0)
    stop = min(tile, axis.result - begin, (axis.source - 1 - place) // axis.stride + 1)
    return (first, stop) if first < stop else (0, 0)


def format_places(places: Iterable[tuple[int, tuple[Range, ...]]]) -> str:
    """``1:1-28,0-28;3:0-28,0-28``: a compile-time parameter."""
    return ";".join(f"{tiles}:{format_ranges(ranges)}" for tiles, ranges in places)


def parse_places(text: str) -> tuple[tuple[int, tuple[Range, ...]], ...]:
    """The inverse of ``format_places``."""
    pairs = [item.split(":") for item in text.split(";")]
    return tuple((int(tiles), parse_ranges(ranges)) for tiles, ranges in pairs)
