"""Which tiles convolutions get, and what their loops are made of."""

from __future__ import annotations

import pytest

from cnnc.emulation.loops import hottest_loop
from cnnc.ptx import parse_ptx
from cnnc.runtime.cuda import toolkit
from cnnc.runtime.cuda.compile import ENTRY
from cnnc.runtime.cuda.conv_tiling import SPLITS, TILES, GemmLayer, rank_gemm_tilings
from cnnc.runtime.cuda.device_facts import A100, H100
from cnnc.runtime.cuda.kernel_library import compiled_cubin, compiled_ptx
from cnnc.runtime.cuda.machine_code import hottest_loop as hottest_machine_loop
from cnnc.runtime.cuda.machine_code import listing
from cnnc.runtime.cuda.register_tile import BlockTile, tile_params
from cnnc.runtime.cuda.target import cuda_target
from cnnc.runtime.kernel import Variant
from tests.cuda.conv_layers import run_conv
from tests.rotation import in_turn

LARGE = [tile for tile in TILES if tile.rows == tile.columns == 8]
SHARE = 0.85
"""Of multiply-adds among the instructions of a loop of 8 x 8 products a thread."""


def layer(channels: int, inputs: int, size: int, taps: int = 9, batch: int = 1) -> GemmLayer:
    """A convolution of a square map."""
    pixels = batch * size * size
    moved = 4 * pixels * (channels + inputs)
    return GemmLayer(1, channels, pixels, taps * inputs // 8, moved, 4 * taps * channels * inputs)


def variant(tile: BlockTile, axes: int) -> Variant:
    options = {"tail": 0, "phased": 0, "partial": 0, "activation": "none", "residual": 0}
    return Variant.of("conv.f32.implicit_gemm", axes=axes, **tile_params(tile), **options)


@pytest.mark.parametrize("device", [A100, H100], ids=lambda device: device.name)
@pytest.mark.parametrize(("channels", "size"), [(64, 56), (128, 28), (256, 14), (512, 7)])
def test_windows_get_large_register_tiles(device, channels, size):
    for batch in (1, 16):
        [(cost, tiling)] = rank_gemm_tilings(layer(channels, channels, size, batch=batch), device, 1)
        assert (tiling.rows, tiling.columns) == (8, 8)
        assert cost > 0


def test_only_few_tiles_share_their_products():
    [(_, small)] = rank_gemm_tilings(layer(512, 512, 7), A100, 1)
    [(_, large)] = rank_gemm_tilings(layer(512, 512, 56), A100, 1)
    assert small.splits > 1 == large.splits
    [(_, whole)] = rank_gemm_tilings(layer(512, 512, 7), A100, 1, most_splits=1)
    assert whole.splits == 1


def test_candidates_are_different_and_cost_more_than_the_first():
    found = rank_gemm_tilings(layer(256, 256, 14), H100, 20)
    assert len({tiling for _, tiling in found}) == 20
    assert [cost for cost, _ in found[1:]] == sorted(cost for cost, _ in found[1:])
    assert {tiling.splits for _, tiling in found} <= set(SPLITS)


@pytest.mark.jit
@pytest.mark.parametrize("axes", [0, 2])
@pytest.mark.parametrize("name", ["64x64", "128x128"])
def test_share_of_products_as_issued(name, axes):
    pytest.importorskip("numba_cuda")
    window = 3 if axes else 1
    case = {"x": (1, 64, 12, 12), "w": (128, 64, window, window), "pads": (window // 2,) * 4}
    counters = run_conv(case, name, blocks=(0,)).counters
    tile = next(tile for tile in LARGE if f"{tile.channels}x{tile.pixels}" == name)
    loop = hottest_loop(parse_ptx(compiled_ptx(variant(tile, axes), cuda_target("sm_80"))).entries[ENTRY], counters)
    assert loop is not None and loop.multiplying_share >= SHARE


@pytest.mark.jit
@pytest.mark.skipif(
    toolkit.find_program("ptxas") is None or toolkit.find_program("nvdisasm") is None, reason="needs cuda13"
)
@pytest.mark.parametrize(
    ("tile", "axes"),
    in_turn(LARGE, [0, 2], 0),
    ids=lambda value: str(value) if isinstance(value, int) else f"{value.channels}x{value.pixels}",
)
def test_share_of_products_in_machine_code(tile, axes):
    pytest.importorskip("numba_cuda")
    cubin = compiled_cubin(variant(tile, axes), cuda_target("sm_80"))
    assert hottest_machine_loop(listing(cubin.image)).arithmetic_share >= SHARE
    assert cubin.resources.spilled_bytes == 0
    assert cubin.resources.registers <= (128 if tile.threads == 256 else 168)
