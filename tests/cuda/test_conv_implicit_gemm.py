"""The implicit GEMM convolution on the emulator, against its definition: odd sizes, poisoned pad lanes and gaps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cnnc.runtime.cuda.conv_packing import InputBlocks
from tests.cuda.conv_layers import TILES, Outcome, lanes_of, run_conv
from tests.numeric.tolerance import bound
from tests.rotation import in_turn

pytest.importorskip("numba_cuda")

CASES = {
    "one": {"x": (1, 1, 1, 1), "w": (1, 1, 1, 1)},
    "3x3": {"x": (2, 19, 7, 9), "w": (33, 19, 3, 3), "pads": (1, 1, 1, 1)},
    "asymmetric": {"x": (1, 5, 11, 6), "w": (16, 5, 3, 4), "pads": (0, 3, 2, 1)},
    "stride 2": {"x": (1, 17, 13, 14), "w": (20, 17, 3, 3), "stride": (2, 2), "pads": (1, 1, 1, 1)},
    "stride 3x1": {"x": (1, 16, 13, 31), "w": (16, 16, 5, 2), "stride": (3, 1), "pads": (2, 0, 2, 1)},
    "1x1": {"x": (3, 31, 5, 7), "w": (70, 31, 1, 1)},
    "1x1 stride 2": {"x": (1, 31, 9, 9), "w": (16, 31, 1, 1), "stride": (2, 2)},
    "dilated": {"x": (1, 16, 15, 17), "w": (16, 16, 3, 3), "dilation": (2, 3), "pads": (2, 3, 2, 3)},
    "window beyond input": {"x": (1, 2, 2, 1), "w": (3, 2, 5, 5), "pads": (3, 3, 3, 3)},
    "1-D": {"x": (2, 10, 41), "w": (17, 10, 5), "stride": (2,), "pads": (3, 1)},
    "3-D": {"x": (1, 18, 5, 6, 7), "w": (16, 18, 3, 2, 3), "stride": (2, 1, 1), "pads": (1, 0, 1, 1, 1, 1)},
    "groups of blocks": {"x": (1, 48, 5, 6), "w": (32, 24, 3, 3), "groups": 2, "pads": (1, 1, 1, 1)},
    "pieces": {"x": (2, 15, 5, 6), "w": (12, 15, 3, 3), "pieces": (3, 8, 4), "pads": (1, 1, 1, 1)},
    "groups of pieces": {"x": (2, 26, 3, 6), "w": (16, 13, 3, 1), "pieces": (5, 8, 5, 8), "groups": 2},
}


def check(outcome: Outcome) -> None:
    limit = bound(outcome.got, outcome.expected, outcome.products)
    np.testing.assert_allclose(outcome.got, outcome.expected, rtol=0, atol=limit)
    assert outcome.counters.conflicts == 0
    assert outcome.counters.issued["load local"] == 0


@pytest.mark.parametrize("name", CASES)
def test_equals_definition(name):
    check(run_conv(CASES[name], "32x32", gap=24))


@pytest.mark.parametrize(("tile", "name"), in_turn(list(TILES), ["3x3", "1x1"], 0))
def test_every_tile(tile, name):
    check(run_conv(CASES[name], tile))


@pytest.mark.parametrize("splits", [2, 5])
@pytest.mark.parametrize("name", ["3x3", "pieces"])
def test_products_that_several_blocks_share(name, splits):
    check(run_conv(CASES[name], "32x32", splits=splits, gap=8, residual=True, activation="leaky_relu"))


@pytest.mark.parametrize("splits", [1, 3])
@pytest.mark.parametrize("activation", ["prelu", "leaky_relu"])
def test_residual_is_added_before_the_activation(activation, splits):
    case = {"x": (2, 9, 5, 5), "w": (21, 9, 3, 3), "pads": (1, 1, 1, 1)}
    check(run_conv(case, "32x32", activation=activation, residual=True, splits=splits))


@pytest.mark.parametrize("prologue", ["relu", "gate"])
@pytest.mark.parametrize("window", [1, 3])
def test_prologue_is_not_applied_to_padding(prologue, window):
    case = {"x": (2, 15, 5, 6), "w": (12, 15, window, window), "pieces": (3, 12), "pads": (window // 2,) * 4}
    check(run_conv(case, "32x32", prologue=prologue))


@st.composite
def convolutions(draw):
    """A 2-D convolution with at least one output pixel."""
    groups = draw(st.sampled_from([1, 1, 2]))
    whole = 8 if groups > 1 else 1
    pieces = tuple(draw(st.lists(st.integers(1, 20), min_size=1, max_size=2)))
    oc = draw(st.integers(1, 72 // whole)) * whole * groups

    def pair(low, high):
        return draw(st.tuples(st.integers(low, high), st.integers(low, high)))

    window, stride, dilation, begins, ends = pair(1, 4), pair(1, 3), pair(1, 3), pair(0, 4), pair(0, 4)
    least = [max(1, (window[a] - 1) * dilation[a] + 1 - begins[a] - ends[a]) for a in range(2)]
    size = tuple(draw(st.integers(low, low + 7)) for low in least)
    x = (draw(st.integers(1, 2)), sum(pieces) * groups, *size)
    case = {"x": x, "w": (oc, sum(pieces), *window), "stride": stride, "dilation": dilation}
    return {**case, "pads": begins + ends, "groups": groups, "pieces": pieces * groups}


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(case=convolutions(), splits=st.integers(1, 3), seed=st.integers(0, 99))
def test_any_convolution(case, splits, seed):
    outcome = run_conv(case, "32x32", splits=splits, gap=16, seed=seed)
    limit = bound(outcome.got, outcome.expected, outcome.products)
    np.testing.assert_allclose(outcome.got, outcome.expected, rtol=0, atol=limit)


@pytest.mark.parametrize("name", ["3x3", "1x1"])
def test_a_regular_layer_moves_whole_sectors(name):
    window = 3 if name == "3x3" else 1
    layer = {"x": (1, 64, 14, 14), "w": (64, 64, window, window), "pads": (window // 2,) * 4}
    counters = run_conv(layer, blocks=(0, 2)).counters
    assert counters.conflicts == 0
    assert counters.sectors <= 1.1 * counters.least_sectors


def test_blocks_of_the_input():
    assert InputBlocks(lanes_of((3, 8, 4)), 1).counts.tolist() == [3, 8, 4]
    assert InputBlocks(lanes_of((5, 5)), 2).refusal is None
    assert "no whole blocks" in (InputBlocks(tuple(range(24)), 2).refusal or "")
    assert "first lane" in (InputBlocks((0, 1, 9, 10), 1).refusal or "")
