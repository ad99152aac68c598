"""Convolutions of bytes on the emulator are those of their NumPy meaning, bit by bit, without bank conflicts."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cnnc.runtime.cuda.byte_tile import ByteTile
from tests.cuda.byte_convs import Layer, run_depthwise, run_implicit_gemm, run_plain_input
from tests.rotation import in_turn

pytestmark = pytest.mark.jit

TILES = [
    ByteTile(1, 8, 8, 8, 8),
    ByteTile(1, 4, 8, 16, 4, 8),
    ByteTile(1, 8, 4, 8, 16),
    ByteTile(0, 8, 8, 8, 8),
    ByteTile(0, 4, 4, 8, 8),
]
DTYPES = pytest.mark.parametrize(("dtype", "x_zero"), [(np.uint8, 121), (np.int8, -7)], ids=["u8", "i8"])
CHANNELS = st.integers(1, 40)
FEW = settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


def check(found, layer):
    y, counters = found
    np.testing.assert_array_equal(y, layer.meaning())
    assert counters.conflicts == 0


LAYERS = {
    "3x3": Layer((2, 37, 9, 7), (38, 37, 3, 3), strides=(2, 2), pads=(1,) * 4, x_zero=121),
    "1x1": Layer((1, 64, 5, 3), (8, 64, 1, 1), dtype=np.int8, x_zero=-7),
    "5x2": Layer((1, 3, 6, 9), (70, 3, 5, 2), pads=(1,) * 4, dtype=np.int8, x_zero=3, y_zero=-100),
}


@pytest.mark.parametrize(("tile", "name"), in_turn(TILES, list(LAYERS), 0), ids=str)
def test_every_tile(tile, name):
    check(run_implicit_gemm(LAYERS[name], tile), LAYERS[name])


def test_turing_multiplies_by_quarters():
    layer = Layer((1, 37, 5, 4), (9, 37, 3, 3), pads=(1,) * 4, x_zero=9)
    check(run_implicit_gemm(layer, TILES[1], "sm_75"), layer)


@st.composite
def layers(draw, rank=2, groups=(1,), channels=CHANNELS, outputs=CHANNELS):
    """A convolution with at least one output pixel."""

    def axes(low, high):
        return tuple(draw(st.integers(low, high)) for _ in range(rank))

    group = draw(st.sampled_from(groups))
    ic, oc = draw(channels), draw(outputs)
    window, strides, dilations, begins, ends = axes(1, 4), axes(1, 3), axes(1, 2), axes(0, 3), axes(0, 3)
    least = [max(1, (window[a] - 1) * dilations[a] + 1 - begins[a] - ends[a]) for a in range(rank)]
    spatial = tuple(draw(st.integers(low, low + 9)) for low in least)
    dtype = draw(st.sampled_from([np.uint8, np.int8]))
    limits = np.iinfo(dtype)
    return Layer(
        (draw(st.integers(1, 2)), ic * group, *spatial),
        (oc * group, ic, *window),
        strides,
        dilations,
        begins + ends,
        group,
        dtype,
        draw(st.integers(int(limits.min), int(limits.max))),
        draw(st.integers(int(limits.min), int(limits.max))),
        draw(st.integers(0, 99)),
    )


@FEW
@given(layer=layers(), tile=st.sampled_from(TILES[1::2]))
def test_any_layer(layer, tile):
    check(run_implicit_gemm(layer, tile), layer)


@pytest.mark.slow
@FEW
@given(layer=layers(rank=3), tile=st.sampled_from(TILES[:1]))
def test_any_layer_in_three_dimensions(layer, tile):
    check(run_implicit_gemm(layer, tile), layer)


@FEW
@given(layer=layers(groups=(2, 3), channels=st.sampled_from([8, 16, 40]), outputs=st.sampled_from([8, 24])))
def test_groups_of_whole_blocks(layer):
    check(run_implicit_gemm(layer, TILES[1]), layer)


@DTYPES
@pytest.mark.parametrize("tile", [TILES[0], ByteTile(0, 4, 8, 8, 8)], ids=str)
@pytest.mark.parametrize(
    ("x_shape", "w_shape", "window"),
    [
        ((2, 3, 12, 20), (38, 3, 7, 7), {"strides": (2, 2), "pads": (3, 3, 3, 3)}),
        ((1, 1, 9, 13), (8, 1, 3, 5), {"strides": (1, 3), "dilations": (2, 1), "pads": (2, 4, 1, 3)}),
    ],
)
def test_plain_input(dtype, x_zero, tile, x_shape, w_shape, window):
    layer = Layer(x_shape, w_shape, dtype=dtype, x_zero=x_zero, **window)
    check(run_plain_input(layer, tile), layer)


@FEW
@given(layer=layers(channels=st.integers(1, 4), outputs=st.integers(1, 20)))
def test_any_plain_input(layer):
    own = dataclasses.replace(layer, dilations=(layer.dilations[0], 1))
    check(run_plain_input(own, TILES[1]), own)


@DTYPES
@pytest.mark.parametrize("rows", [1, 4])
@pytest.mark.parametrize(
    ("spatial", "kernel", "window"),
    [
        ((9, 7), (3, 3), {"strides": (2, 2), "pads": (1, 1, 1, 1)}),
        ((11, 6), (5, 2), {"dilations": (2, 1), "pads": (4, 0, 4, 1)}),
        ((9,), (4,), {"strides": (2,), "pads": (1, 2)}),
        ((4, 5, 6), (3, 1, 3), {"strides": (1, 2, 1), "dilations": (1, 1, 2), "pads": (1, 0, 2, 1, 0, 2)}),
    ],
    ids=["3x3", "5x2", "1-D", "3-D"],
)
def test_depthwise(dtype, x_zero, rows, spatial, kernel, window):
    layer = Layer((2, 13, *spatial), (13, 1, *kernel), groups=13, dtype=dtype, x_zero=x_zero, **window)
    check(run_depthwise(layer, rows), layer)


@pytest.mark.parametrize("tile", TILES[:1] + TILES[3:4], ids=str)
def test_memory_is_read_and_written_by_whole_sectors(tile):
    # A thread's biases and factors are a sector each, read in halves.
    _, counters = run_implicit_gemm(Layer((1, 64, 8, 16), (64, 64, 1, 1)), tile)
    assert counters.sectors <= 1.1 * counters.least_sectors
    # Columns beside those of a window's middle begin within a sector: one more for eight.
    _, counters = run_implicit_gemm(Layer((1, 64, 8, 16), (64, 64, 3, 3), pads=(1,) * 4), tile)
    assert counters.sectors <= 1.1 * counters.least_sectors


def test_narrow_maps_of_depthwise_layers_are_read_one_row_after_the_other():
    layer = Layer((1, 64, 16, 6), (64, 1, 3, 1), pads=(1, 0, 1, 0), groups=64)
    _, counters = run_depthwise(layer, 4)
    assert counters.sectors <= 1.2 * counters.least_sectors
