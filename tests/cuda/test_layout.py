"""Layout conversions on the emulator: odd sizes, permuted and padded lanes, poisoned pad lanes, whole sectors."""

from __future__ import annotations

import numpy as np
import pytest

from cnnc.runtime.cpu import layout_blocked_lanes, layout_conversion
from cnnc.runtime.cuda.target import LANES
from cnnc.runtime.kernel import Variant
from cnnc.types import Layout
from tests.cuda.emulated import blocked, launch, plain
from tests.kernels.harness import poison


def _random(shape, size=4):
    rng = np.random.default_rng(11)
    return rng.standard_normal(shape, np.float32) if size == 4 else rng.integers(0, 256, shape).astype(np.uint8)


def _variant(direction, size):
    return Variant.of(f"layout.{direction}", lanes=LANES, **({} if size == 4 else {"size": size}))


@pytest.mark.parametrize("size", [4, 1])
@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 7), (1, 16, 49), (2, 35, 33), (1, 5, 1100), (0, 5, 3)], ids=str)
@pytest.mark.parametrize("mapped", [False, True])
def test_there_and_back(shape, mapped, size):
    n, c, s = shape
    x, blocks = _random(shape, size), -(-c // LANES)
    sizes = layout_conversion.arguments(n, c, s, blocks, LANES, mapped)
    lane_map = np.where(np.arange(blocks * LANES) < c, np.arange(blocks * LANES), -1).astype(np.int32)
    y = poison((n, blocks, s, LANES), x.dtype)
    buffers = {"y": y, "x": x, "map": lane_map if mapped else None}
    launch(_variant("plain_to_blocked", size), buffers, sizes)
    np.testing.assert_array_equal(y, blocked(x, pad=0))
    back = poison(shape, x.dtype)
    padded = blocked(x, pad=np.nan if size == 4 else 77)
    launch(_variant("blocked_to_plain", size), buffers | {"y": back, "x": padded}, sizes)
    np.testing.assert_array_equal(back, x)


@pytest.mark.parametrize("size", [4, 1])
def test_pieces_in_any_order(size):
    """A concat of 5 and 20 channels, each padded, read in reversed channel order."""
    channels, layout = 25, Layout(LANES, (5, 20))
    lanes = layout.physical_channels(channels)
    lane_map = np.full(lanes, -1, np.int32)
    lane_map[layout.lanes(channels)] = np.arange(channels)[::-1]
    x = _random((2, channels, 9), size)
    sizes = layout_conversion.arguments(2, channels, 9, lanes // LANES, LANES, True)
    y = poison((2, lanes // LANES, 9, LANES), x.dtype)
    launch(_variant("plain_to_blocked", size), {"y": y, "x": x, "map": lane_map}, sizes)
    expected = np.zeros((2, lanes, 9), x.dtype)
    expected[:, layout.lanes(channels)] = x[:, ::-1]
    np.testing.assert_array_equal(y, blocked(expected, pad=0))
    back = poison(x.shape, x.dtype)
    launch(_variant("blocked_to_plain", size), {"y": back, "x": y, "map": lane_map}, sizes)
    np.testing.assert_array_equal(back, x)


def test_a_range_of_channels():
    """The plain side is channels 0..2 of a tensor with 5."""
    x = _random((3, 5, 10))
    sizes = layout_conversion.arguments(3, 3, 10, 1, LANES) | {"plain_batch": 50}
    y = poison((3, 1, 10, LANES))
    launch(_variant("plain_to_blocked", 4), {"y": y, "x": x, "map": None}, sizes)
    np.testing.assert_array_equal(y, blocked(x[:, :3], pad=0))


@pytest.mark.parametrize("size", [4, 1])
@pytest.mark.parametrize("channels", [24, 17])
@pytest.mark.parametrize("direction", ["plain_to_blocked", "blocked_to_plain"])
def test_memory_moves_in_whole_sectors(direction, size, channels):
    dtype = np.float32 if size == 4 else np.uint8
    plain, spread = poison((1, channels, 256), dtype), poison((1, 3, 256, LANES), dtype)
    sizes = layout_conversion.arguments(1, channels, 256, 3, LANES)
    y, x = (spread, plain) if direction == "plain_to_blocked" else (plain, spread)
    counters = launch(_variant(direction, size), {"y": y, "x": x, "map": None}, sizes)
    assert counters.sectors == (plain.nbytes + spread.nbytes) // 32
    assert counters.divergent_branches == 0


@pytest.mark.parametrize("positions", [1, 49, 300])
def test_channel_shuffle(positions):
    source = _random((2, 38, positions))
    order = np.arange(38).reshape(2, -1).T.reshape(-1)
    x, y = blocked(source), poison((2, 5, positions, LANES))
    lane_map = np.full(5 * LANES, -1, np.int32)
    lane_map[:38] = order
    sizes = layout_blocked_lanes.arguments(2, 5, 5, positions)
    launch(Variant.of("layout.blocked_lanes", lanes=LANES), {"y": y, "x": x, "map": lane_map}, sizes)
    np.testing.assert_array_equal(y, blocked(source[:, order], pad=0))


def test_concat_of_ranges_at_an_unaligned_offset():
    """Channels 0..6 come from one tensor, 7..25 from another; both calls leave each other's lanes and gaps alone."""
    first, second = _random((2, 7, 70)), -_random((2, 19, 70))
    y = poison((2, 5, 70, LANES))
    for source, start in ((first, 0), (second, 7)):
        lane_map = np.full(4 * LANES, -2, np.int32)
        lane_map[start : start + source.shape[1]] = np.arange(source.shape[1])
        lane_map[26:] = -1
        x = np.concatenate([blocked(source), np.full((2, 1, 70, LANES), np.nan, np.float32)], 1)
        sizes = layout_blocked_lanes.arguments(2, x.shape[1] - 1, 4, 70) | {"x_gap": 70 * LANES, "y_gap": 70 * LANES}
        launch(Variant.of("layout.blocked_lanes", lanes=LANES), {"y": y, "x": x, "map": lane_map}, sizes)
    np.testing.assert_array_equal(plain(y[:, :4], 32)[:, :26], np.concatenate([first, second], 1))
    assert (plain(y[:, :4], 32)[:, 26:] == 0).all() and np.isnan(y[:, 4]).all()
