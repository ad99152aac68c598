"""Sheets of tiles: where each lies, and how large."""

from __future__ import annotations

import numpy as np
import pytest

from cnnc.view.tiles import BACKGROUND, LARGEST_TILE, MOST_PIXELS, Tiles, averaged, magnification, nearly_square, sheet


def painted(tiles: Tiles) -> np.ndarray:
    """Tile k has the colour k."""
    numbers = np.arange(len(tiles.values), dtype=np.uint8)
    return np.broadcast_to(numbers[:, None, None, None], (*tiles.values.shape[:3], 3)).copy()


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (2, 2), (5, 3), (64, 8), (65, 9)])
def test_nearly_square(count: int, columns: int) -> None:
    assert nearly_square(count) == columns


def test_each_tile_is_there_once_and_gaps_between() -> None:
    tiles = Tiles(np.zeros((5, 3, 4)), 2)
    made, scale = sheet(tiles, painted(tiles)), magnification(tiles)
    for number in range(5):
        assert np.count_nonzero((made == number).all(axis=2)) == 12 * scale * scale
    # The last row has one tile: the other place is background.
    assert tuple(made[-5, -5]) == BACKGROUND
    assert tuple(made[0, 0]) == BACKGROUND


def test_a_group_stands_closer() -> None:
    tiles = Tiles(np.zeros((4, 2, 2)), 4, group=2)
    made, scale = sheet(tiles, painted(tiles)), magnification(tiles)
    is_gap = (made[2] == BACKGROUND).all(axis=1)
    widths = [len(run) for run in "".join("g" if gap else " " for gap in is_gap).split()]
    inner, between, last = widths[1:-1]
    assert inner == last < between
    assert scale == 64


@pytest.mark.parametrize("shape", [(1, 1, 1), (64, 3, 3), (4096, 3, 3), (64, 224, 224), (7, 5, 300)])
def test_small_tiles_are_magnified_as_far_as_a_page_allows(shape: tuple[int, int, int]) -> None:
    tiles = Tiles(np.zeros(shape), nearly_square(shape[0]))
    scale = magnification(tiles)
    assert scale >= 1
    if scale > 1:
        assert tiles.columns * shape[2] * scale <= MOST_PIXELS


def test_large_tiles_are_averaged() -> None:
    values = np.arange(2 * 300 * 520, dtype=float).reshape(2, 300, 520)
    small, step = averaged(values)
    assert step == 3
    assert small.shape == (2, 100, 174)
    assert max(small.shape[1:]) <= LARGEST_TILE
    np.testing.assert_allclose(small[1, 4, 5], values[1, 12:15, 15:18].mean())
    assert averaged(values[:, :9, :9])[1] == 1
