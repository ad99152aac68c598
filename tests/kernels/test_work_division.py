"""Consecutive layers divide their maps alike, so that a thread reads what it wrote."""

import pytest

from cnnc.runtime.cpu.conv_tiling import rank_depthwise_tilings
from cnnc.runtime.cpu.pointwise_tiling import choose_pointwise_tiling
from cnnc.runtime.cpu.work_division import divides_pixels, divides_rows

LANES = 16


def first_pixels(pixels, channels, out_channels, batch=1):
    """Pixels of the first half of a 1x1 convolution's slabs."""
    tiling = choose_pointwise_tiling(pixels, channels // LANES, out_channels, LANES, batch)
    slabs = batch * -(-pixels // (tiling.columns * tiling.slab_tiles))
    assert slabs % 2 == 0
    return slabs // 2 * tiling.slab_tiles * tiling.columns


@pytest.mark.parametrize(("size", "narrow", "wide"), [(56, 32, 96), (28, 48, 144), (14, 64, 384), (14, 96, 576)])
def test_widening_depthwise_and_narrowing_layers_have_the_same_halves(size, narrow, wide):
    pixels = size * size
    assert divides_pixels(pixels, narrow, wide)
    assert divides_pixels(pixels, wide, narrow)
    assert divides_rows(pixels, wide)
    [(_, tiling)] = rank_depthwise_tilings(size, size, wide // LANES, 9, LANES, by_rows=True)
    groups = -(-size // tiling.item_rows)
    assert groups % 2 == 0
    assert groups // 2 * tiling.item_rows == size // 2
    assert abs(first_pixels(pixels, narrow, wide) - pixels // 2) <= pixels // 49
    assert abs(first_pixels(pixels, wide, narrow) - pixels // 2) <= pixels // 49


@pytest.mark.parametrize(("size", "narrow", "wide"), [(7, 160, 960), (7, 512, 1024), (1, 64, 64)])
def test_maps_of_fewer_pixels_than_channels_are_divided_by_channels(size, narrow, wide):
    pixels = size * size
    assert not divides_pixels(pixels, narrow, wide)
    assert not divides_rows(pixels, wide)
    tiling = choose_pointwise_tiling(pixels, narrow // LANES, wide, LANES)
    assert tiling.slab_tiles * tiling.columns >= pixels
    [(_, rows)] = rank_depthwise_tilings(size, size, wide // LANES, 9, LANES)
    assert rows.item_rows == -(-size // -(-32 // (wide // LANES)))


@pytest.mark.parametrize("pixels", [1, 49, 169, 3136])
@pytest.mark.parametrize("channels", [16, 48, 512])
def test_items_are_many_where_there_are_many_tiles(pixels, channels):
    tiling = choose_pointwise_tiling(pixels, channels // LANES, channels, LANES)
    all_oc_tiles = -(-channels // (LANES * tiling.blocks))
    slabs = -(-pixels // (tiling.columns * tiling.slab_tiles))
    items = slabs * all_oc_tiles * -(-tiling.slab_tiles // tiling.pixel_tiles)
    assert items >= min(64, -(-pixels // tiling.columns) * all_oc_tiles)
