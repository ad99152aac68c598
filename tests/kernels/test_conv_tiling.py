"""Tilings fit the registers, cover the map, and give assembly without spills."""

import pytest

from cnnc.runtime.cpu.conv_tiling import choose_conv_tiling, choose_tile
from cnnc.runtime.cpu.pointwise_tiling import choose_pointwise_tiling
from cnnc.runtime.cpu.winograd_tiling import WinogradLayer, rank_winograd_tilings
from cnnc.runtime.jit.kernel_library import assembly
from cnnc.runtime.jit.listing import hottest_loop
from cnnc.runtime.jit.target import x86_target
from cnnc.runtime.kernel import Variant


@pytest.mark.parametrize("lanes", [4, 8, 16])
@pytest.mark.parametrize("size", [(1, 1), (1, 49), (7, 7), (13, 13), (56, 56), (224, 224), (3, 500)])
def test_tile_fits(lanes, size):
    for oc_blocks in (1, 2, 5, 12, 63):
        rows, columns, blocks = choose_tile(*size, oc_blocks, lanes)
        assert oc_blocks % blocks == 0
        assert rows * columns * blocks <= (28 if lanes == 16 else 12)
        assert rows <= size[0]
        assert columns <= size[1]


@pytest.mark.parametrize(
    ("size", "expected"),
    [((56, 56), 28 * 1), ((28, 28), 28), ((14, 14), 28), ((1, 49), 25), ((7, 7), 28)],
)
def test_usual_maps_waste_nothing(size, expected):
    rows, columns, blocks = choose_tile(*size, 32, 16)
    assert rows * columns * blocks == expected


def test_items_are_enough_for_threads_and_bounded_by_the_work():
    tiling = choose_conv_tiling((1, 14, 14), (1, 3, 3), (1, 1, 1), (1, 1, 1), 16, 16, 16)
    items = -(-14 // (tiling.rows * tiling.row_tiles)) * -(-16 // (tiling.blocks * tiling.oc_tiles))
    assert 8 <= items <= 32
    wide = choose_conv_tiling((1, 2000, 4000), (1, 3, 3), (1, 1, 1), (1, 1, 1), 16, 4, 16)
    assert wide.column_tiles * wide.columns < 4000
    tiny = choose_pointwise_tiling(1, 1, 1, 16)
    assert (tiny.columns, tiny.slab_tiles, tiny.pixel_tiles, tiny.oc_tiles) == (1, 1, 1, 1)


TILES = [(1, 28, 1), (2, 14, 1), (1, 14, 2), (1, 25, 1), (1, 9, 3), (4, 7, 1)]


@pytest.mark.jit
@pytest.mark.parametrize(
    "tile", [TILES[0], *(pytest.param(tile, marks=pytest.mark.slow) for tile in TILES[1:])], ids=str
)
def test_avx512_tiles_do_not_spill(tile):
    rows, columns, blocks = tile
    options = {"rows": rows, "columns": columns, "blocks": blocks, "input_block": 16, "lanes": 16}
    variant = Variant.of("conv.f32.blocked.direct", activation="relu", residual=0, **options)
    facts = hottest_loop(assembly(variant, x86_target("avx512")))
    assert facts.multiply_adds == rows * columns * blocks
    assert facts.stack_moves == 0
    assert facts.loads <= blocks + (columns * rows if blocks > 1 else 0)


@pytest.mark.jit
@pytest.mark.parametrize("tile", [(1, 6, 2), (1, 12, 1), (1, 4, 3)], ids=str)
def test_avx2_tiles_do_not_spill(tile):
    rows, columns, blocks = tile
    options = {"rows": rows, "columns": columns, "blocks": blocks, "input_block": 8, "lanes": 8}
    variant = Variant.of("conv.f32.blocked.direct", activation="relu", residual=0, **options)
    facts = hottest_loop(assembly(variant, x86_target("avx2")))
    assert facts.multiply_adds == columns * blocks
    assert facts.stack_moves == 0


@pytest.mark.jit
def test_depthwise_loads_each_column_once():
    options = {"columns": 8, "window": 3, "stride": 1, "dilation": 1, "residual": 0, "lanes": 16}
    variant = Variant.of("conv.f32.blocked.depthwise", activation="relu", **options)
    facts = hottest_loop(assembly(variant, x86_target("avx512")))
    assert facts.multiply_adds == 24
    assert facts.loads <= 10 + 3
    assert facts.stack_moves == 0


@pytest.mark.parametrize("size", [(64, 56), (128, 28), (256, 14), (512, 7), (208, 14), (192, 28)])
def test_winograd_items_are_many_and_of_equal_size(size):
    channels, pixels = size
    layer = WinogradLayer(1, (1, pixels, pixels), (1, 3, 3), (1, 1), channels // 16, channels // 16, 16)
    for _, tiling in rank_winograd_tilings(layer, [(4, 4), (3, 3), (2, 2)], 3):
        assert tiling.oc_tiles % tiling.chunk_tiles == 0
        tiles = -(-pixels // tiling.out_rows) * -(-pixels // tiling.out_columns)
        groups = -(-tiles // (tiling.columns * tiling.column_tiles))
        parts, rest = divmod(channels // 16 // tiling.blocks, tiling.oc_tiles)
        assert rest == 0
        assert groups * parts >= 12


@pytest.mark.parametrize(("pixels", "lanes", "taps"), [(7, 16, 1), (14, 16, 0), (7, 8, 0)])
def test_winograd_transforms_weights_itself_on_small_maps(pixels, lanes, taps):
    layer = WinogradLayer(1, (1, pixels, pixels), (1, 3, 3), (1, 1), 512 // lanes, 512 // lanes, lanes)
    [(_, tiling)] = rank_winograd_tilings(layer, [(4, 4), (3, 3), (2, 2)])
    assert tiling.taps == taps
    assert not taps or (tiling.blocks, tiling.chunk_tiles) == (1, 1)
