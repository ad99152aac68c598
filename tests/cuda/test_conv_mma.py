"""The implicit GEMM convolution on tensor cores, on the emulator: equal to the definition with rounded factors."""

from __future__ import annotations

import numpy as np
import pytest

from tests.cuda.conv_layers import TENSOR_TILES, Outcome, run_conv
from tests.cuda.test_conv_implicit_gemm import CASES
from tests.numeric.tolerance import bound
from tests.rotation import in_turn

pytest.importorskip("numba_cuda")

LAYER = {"x": (2, 22, 7, 11), "w": (70, 22, 3, 3), "pads": (1, 1, 1, 1)}
POINTWISE = {"x": (1, 64, 16, 16), "w": (64, 64, 1, 1)}


def check(outcome: Outcome) -> None:
    limit = bound(outcome.got, outcome.expected, outcome.products)
    np.testing.assert_allclose(outcome.got, outcome.expected, rtol=0, atol=limit)
    assert outcome.counters.conflicts == 0
    assert outcome.counters.issued["load local"] == 0


@pytest.mark.parametrize("name", CASES)
def test_equals_definition_of_rounded_factors(name):
    check(run_conv(CASES[name], "64x32", gap=24, precision="f16"))


@pytest.mark.parametrize(("name", "precision"), in_turn(["stride 2", "pieces", "3-D", "1x1"], ["tf32", "bf16"], 0))
def test_other_precisions(name, precision):
    check(run_conv(CASES[name], "64x32", precision=precision))


@pytest.mark.parametrize(("tile", "precision"), in_turn(list(TENSOR_TILES), ["tf32", "f16"], 0))
def test_every_tile(tile, precision):
    """Two images whose pixels share blocks of threads, and steps that reach behind the last block of channels."""
    check(run_conv(LAYER, tile, precision=precision))


@pytest.mark.parametrize("splits", [2, 5])
@pytest.mark.parametrize("name", ["3x3", "pieces"])
def test_products_that_several_blocks_share(name, splits):
    options = {"gap": 8, "residual": True, "activation": "leaky_relu"}
    check(run_conv(CASES[name], "64x32", splits=splits, precision="f16", **options))


@pytest.mark.parametrize("activation", ["prelu", "leaky_relu"])
def test_epilogue(activation):
    check(run_conv(LAYER, "64x64", residual=True, activation=activation, precision="bf16"))


def test_turing_multiplies_f16_in_halves():
    turing = run_conv(LAYER, "64x64", precision="f16", architecture="sm_75")
    check(turing)
    ampere = run_conv(LAYER, "64x64", precision="f16")
    assert turing.counters.issued["tensor"] == 2 * ampere.counters.issued["tensor"]


@pytest.mark.parametrize(("tile", "precision"), in_turn(list(TENSOR_TILES), ["f16", "tf32"], 0))
def test_memory_is_read_and_written_by_whole_sectors(tile, precision):
    """A 1x1 convolution whose tiles divide the map: no instruction touches more sectors than its bytes fill."""
    counters = run_conv(POINTWISE, tile, precision=precision).counters
    assert counters.sectors == counters.least_sectors


@pytest.mark.parametrize("prologue", ["relu", "gate"])
@pytest.mark.parametrize("tile", ["64x32", "128x128"])
def test_prologue(prologue, tile):
    """Channels in pieces and an odd stride: what is not there is 0, whatever the prologue makes of 0."""
    case = {"x": (2, 15, 9, 7), "w": (40, 15, 1, 1), "pieces": (3, 8, 4), "stride": (2, 1)}
    check(run_conv(case, tile, prologue=prologue, precision="f16"))
