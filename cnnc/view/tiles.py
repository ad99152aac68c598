"""Tiles side by side: many small pictures of one size in one, at sizes that follow from theirs alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.view.colour_map import Pixels

BACKGROUND = (250, 250, 250)
MOST_PIXELS = 1024
"""Width and height of a sheet that magnification keeps to; a sheet of many large tiles may be larger."""

USUAL_PIXELS = 512
"""Width of a sheet of few tiles."""

TILE_PIXELS = 56
"""Height or width to which smaller tiles are magnified, however many they are."""

LARGEST_TILE = 256
"""Height and width to which larger tiles are averaged."""

_GAP = 2
_GROUP_GAP = 6


@dataclass(frozen=True, slots=True, eq=False)
class Tiles:
    """Numbers to be painted.

    Attributes:
        values: [tiles, H, W] in reading order, or [tiles, H, W, 3], which are red, green and blue.
        columns: tiles of a row.
        group: so many tiles of a row belong together and stand closer.
    """

    values: NDArray[Any]
    columns: int
    group: int = 1

    @property
    def rows(self) -> int:
        return -(-len(self.values) // self.columns)


def nearly_square(count: int) -> int:
    """Columns of ``count`` tiles that make about as many rows."""
    return max(1, int(np.ceil(np.sqrt(count))))


def averaged(values: NDArray[Any], most: int = LARGEST_TILE) -> tuple[NDArray[Any], int]:
    """``values`` [tiles, H, W] with each ``step`` x ``step`` elements averaged, so that H and W are at most ``most``.

    Returns:
        The smaller tiles, and step: 1 where nothing was done.
    """
    step = -(-max(values.shape[1:3]) // most)
    if step == 1:
        return values, 1
    height, width = (-(-size // step) * step for size in values.shape[1:3])
    padding = ((0, 0), (0, height - values.shape[1]), (0, width - values.shape[2]))
    whole = np.pad(np.asarray(values, np.float64), padding, mode="edge")
    return whole.reshape(len(values), height // step, step, width // step, step).mean(axis=(2, 4)), step


def magnification(tiles: Tiles) -> int:
    """Pixels along each axis of one element: a tile has ``TILE_PIXELS``, or more of few, within ``MOST_PIXELS``."""
    height, width = (int(size) for size in tiles.values.shape[1:3])
    wanted = max(TILE_PIXELS, USUAL_PIXELS // tiles.columns) // max(height, width)
    across, down = (MOST_PIXELS // tiles.columns - _GAP) // width, (MOST_PIXELS // tiles.rows - _GAP) // height
    return max(1, min(wanted, across, down))


def sheet(tiles: Tiles, painted: Pixels) -> Pixels:
    """All tiles on a background, each element magnified to a square of pixels.

    Args:
        painted: the colours of ``tiles.values``, [tiles, H, W, 3].
    """
    scale = magnification(tiles)
    height, width = painted.shape[1] * scale, painted.shape[2] * scale
    lefts = [_left(column, width, tiles.group) for column in range(tiles.columns)]
    shape = tiles.rows * (height + _GAP) + _GAP, lefts[-1] + width + _GAP, 3
    made = np.full(shape, BACKGROUND, np.uint8)
    for index, tile in enumerate(painted):
        row, column = divmod(index, tiles.columns)
        top, left = _GAP + row * (height + _GAP), lefts[column]
        made[top : top + height, left : left + width] = tile.repeat(scale, axis=0).repeat(scale, axis=1)
    return made


def _left(column: int, width: int, group: int) -> int:
    wide_gaps = column // group if group > 1 else 0
    return _GAP + column * (width + _GAP) + wide_gaps * (_GROUP_GAP - _GAP)
