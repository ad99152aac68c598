"""Which tiles products on tensor cores get: functions of sizes and of a device's facts."""

from __future__ import annotations

import pytest

from cnnc.runtime.cuda.device_facts import A100, H100, T4
from cnnc.runtime.cuda.tensor_tiling import MAX_SHARED, TensorProduct, rank_tensor_tilings

ALL = 1000


def product(pixels, channels, blocks, taps=1):
    return TensorProduct(1, pixels, channels, blocks, taps, 32 * pixels * blocks)


@pytest.mark.parametrize("device", [T4, A100, H100], ids=lambda device: device.name)
@pytest.mark.parametrize("precision", ["tf32", "f16", "bf16"])
def test_all_tiles_fit_and_are_ranked(precision, device):
    if not device.tf32_flops and precision != "f16":
        pytest.skip("the device has no such products")
    ranked = rank_tensor_tilings(product(3136, 256, 32, 9), precision, device, ALL)
    costs = [cost for cost, _ in ranked]
    assert costs == sorted(costs) and costs[0] > 0
    for _, tiling in ranked:
        assert 2 * tiling.tile(precision).stage_bytes <= MAX_SHARED


def test_large_products_get_the_largest_tile():
    [(_, tiling)] = rank_tensor_tilings(product(32 * 784, 128, 16, 9), "f16", A100, 1)
    tile = tiling.tile("f16")
    assert (tile.block_pixels, tile.block_channels, tiling.splits) == (128, 128, 1)


def test_few_tiles_share_their_steps():
    [(_, tiling)] = rank_tensor_tilings(product(49, 512, 64, 9), "f16", A100, 1)
    assert tiling.splits > 4


def test_channels_that_are_not_there_are_not_computed_for_nothing():
    """64 outputs of a large map wait for memory with any tile."""
    [(_, tiling)] = rank_tensor_tilings(product(32 * 3136, 64, 8), "f16", A100, 1)
    assert tiling.tile("f16").block_channels == 64


def test_half_as_wide_factors_cost_less():
    wide, narrow = (rank_tensor_tilings(product(6272, 256, 32, 9), kind, A100, 1)[0][0] for kind in ("tf32", "f16"))
    assert 0.4 < narrow / wide < 0.8
