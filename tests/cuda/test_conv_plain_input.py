"""Convolutions of plain images on the emulator, against their definition: odd sizes, strides, windows, gaps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cnnc.runtime.cuda.conv_plain_input import KERNEL, pack_plain_input
from tests.cuda.conv_layers import TILES, Outcome, run_plain
from tests.numeric.tolerance import bound

pytest.importorskip("numba_cuda")

CASES = {
    "one": {"x": (1, 1, 1, 1), "w": (1, 1, 1, 1)},
    "7x7 stride 2": {"x": (2, 3, 17, 15), "w": (20, 3, 7, 7), "stride": (2, 2), "pads": (3, 3, 3, 3)},
    "asymmetric": {"x": (1, 5, 11, 6), "w": (16, 5, 3, 4), "pads": (0, 3, 2, 1)},
    "dilated": {"x": (1, 8, 15, 17), "w": (33, 8, 3, 3), "dilation": (2, 3), "stride": (1, 2)},
    "window beyond input": {"x": (1, 2, 2, 1), "w": (3, 2, 5, 5), "pads": (3, 3, 3, 3)},
    "1-D": {"x": (2, 4, 41), "w": (17, 4, 9), "stride": (4,), "pads": (3, 1)},
    "3-D": {"x": (1, 3, 5, 6, 7), "w": (9, 3, 3, 2, 3), "stride": (2, 1, 1), "pads": (1, 0, 1, 1, 1, 1)},
}


def check(outcome: Outcome) -> None:
    limit = bound(outcome.got, outcome.expected, outcome.products)
    np.testing.assert_allclose(outcome.got, outcome.expected, rtol=0, atol=limit)
    assert outcome.counters.conflicts == 0
    assert outcome.counters.issued["load local"] == 0


@pytest.mark.parametrize("name", CASES)
def test_equals_definition(name):
    check(run_plain(CASES[name], gap=3 * 8))


@pytest.mark.parametrize("tile", ["64x64", "64x128", "32x64"])
def test_tiles(tile):
    assert tile in TILES
    check(run_plain(CASES["7x7 stride 2"], tile))


@st.composite
def first_layers(draw):
    """A 2-D convolution of up to eight channels with at least one output pixel."""

    def pair(low, high):
        return draw(st.tuples(st.integers(low, high), st.integers(low, high)))

    window, stride, dilation, begins, ends = pair(1, 5), pair(1, 3), pair(1, 3), pair(0, 4), pair(0, 4)
    least = [max(1, (window[a] - 1) * dilation[a] + 1 - begins[a] - ends[a]) for a in range(2)]
    x = (draw(st.integers(1, 2)), draw(st.integers(1, 8)), *(draw(st.integers(low, low + 9)) for low in least))
    w = (draw(st.integers(1, 40)), x[1], *window)
    return {"x": x, "w": w, "stride": stride, "dilation": dilation, "pads": begins + ends}


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(case=first_layers(), seed=st.integers(0, 99))
def test_any_first_layer(case, seed):
    check(run_plain(case, seed=seed))


def test_tables_that_lead_elsewhere_are_refused():
    taps = pack_plain_input(np.ones((1, 3, 2, 1, 1), np.float32), 32, (1, 1, 1)).taps
    sizes = {"C": 3, "steps": 1}
    table = {"taps": taps.reshape(-1).view(np.uint8)}
    assert KERNEL.table_refusal(sizes, {"axes": 3}, table) is None
    assert "plane" in (KERNEL.table_refusal(sizes, {"axes": 2}, table) or "")
    assert "none of 2" in (KERNEL.table_refusal({**sizes, "C": 2}, {"axes": 3}, table) or "")
