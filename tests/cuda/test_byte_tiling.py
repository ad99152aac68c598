"""Which tile of bytes a layer gets: all that are considered are possible, large maps get large ones."""

from __future__ import annotations

import pytest

from cnnc.runtime.cuda.byte_tiling import ByteProduct, byte_tiles, rank_byte_tiles, taps_of_step
from cnnc.runtime.cuda.device_facts import A100, T4


@pytest.mark.parametrize("tile", byte_tiles(), ids=str)
def test_tiles_share_out_their_copies(tile):
    assert tile.threads % 32 == 0 and tile.threads <= 1024
    assert tile.threads % tile.pixels == 0 and tile.copied_blocks * tile.blocks_apart == tile.blocks
    assert tile.weight_quads % tile.threads == 0 or tile.weight_quads < tile.threads
    assert 2 * tile.stage_bytes <= 48 << 10


def test_large_layers_take_large_tiles_on_tensor_cores():
    [(_, large)] = rank_byte_tiles(ByteProduct(1, 256, 64 * 56 * 56, 9, 32), A100, 1)
    [(_, small)] = rank_byte_tiles(ByteProduct(1, 256, 49, 9, 32), A100, 1)
    assert large.tensor and large.channels * large.pixels >= 64 * 64
    assert small.channels * small.pixels < large.channels * large.pixels


def test_costs_grow_with_the_work_and_shrink_with_the_device():
    layer, twice = ByteProduct(1, 128, 100_000, 9, 16), ByteProduct(1, 128, 200_000, 9, 16)
    [(cost, _)], [(double, _)] = rank_byte_tiles(layer, A100, 1), rank_byte_tiles(twice, A100, 1)
    [(slow, _)] = rank_byte_tiles(layer, T4, 1)
    assert 1.8 * cost < double < 2.2 * cost
    assert slow * T4.fma_seconds(8) > cost * A100.fma_seconds(8)


@pytest.mark.parametrize(("blocks", "taps"), [(1, 8), (2, 4), (3, 2), (4, 2), (5, 1), (64, 1)])
def test_few_blocks_share_a_step_with_several_taps(blocks, taps):
    assert taps_of_step(blocks, 8) == taps
