"""Layout conversions against NumPy: odd sizes, permuted and padded lanes, poisoned pad lanes."""

from __future__ import annotations

import numpy as np
import pytest

from cnnc.runtime.cpu import layout_blocked_lanes, layout_conversion
from cnnc.runtime.jit.target import host_target, x86_target
from cnnc.runtime.kernel import Variant
from cnnc.types import Layout
from tests.kernels.guarded import from_blocked, to_blocked
from tests.kernels.harness import poison, run

pytestmark = pytest.mark.jit
L = host_target().lanes
TARGETS = [x86_target(level) for level in ("sse", "avx2")] + [host_target()]


def _random(*shape):
    return np.random.default_rng(11).normal(size=shape).astype(np.float32)


def _identity(channels, blocks, lanes):
    lane_map = np.full(blocks * lanes, -1, np.int32)
    lane_map[:channels] = np.arange(channels)
    return lane_map


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.cpu)
@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 7), (1, 16, 49), (2, 35, 33), (1, 5, 1100)])
@pytest.mark.parametrize("mapped", [False, True])
def test_plain_to_blocked_and_back(target, shape, mapped):
    lanes = target.lanes
    n, c, s = shape
    x, blocks = _random(*shape), -(-c // lanes)
    sizes = layout_conversion.arguments(n, c, s, blocks, lanes, mapped)
    lane_map = _identity(c, blocks, lanes) if mapped else None
    variant = Variant.of("layout.plain_to_blocked", lanes=lanes)
    y = run(variant, {"y": poison((n, blocks, s, lanes)), "x": x, "map": lane_map}, sizes, target)["y"]
    np.testing.assert_array_equal(y, to_blocked(x, lanes, pad=0))
    variant = Variant.of("layout.blocked_to_plain", lanes=lanes)
    blocked = to_blocked(x, lanes, pad=np.nan)
    back = run(variant, {"y": poison(shape), "x": blocked, "map": lane_map}, sizes, target)["y"]
    np.testing.assert_array_equal(back, x)


def test_pieces_in_any_order():
    """A concat of 5 and 20 channels, each padded, read in reversed channel order."""
    channels, layout = 25, Layout(L, (5, 20))
    blocks = layout.physical_channels(channels) // L
    lane_map = np.full(blocks * L, -1, np.int32)
    for channel, lane in enumerate(layout.lanes(channels)):
        lane_map[lane] = channels - 1 - channel
    x = _random(2, channels, 9)
    sizes = layout_conversion.arguments(2, channels, 9, blocks, L, True)
    variant = Variant.of("layout.plain_to_blocked", lanes=L)
    y = run(variant, {"y": poison((2, blocks, 9, L)), "x": x, "map": lane_map}, sizes)["y"]
    expected = np.zeros((2, blocks * L, 9), np.float32)
    expected[:, layout.lanes(channels)] = x[:, ::-1]
    np.testing.assert_array_equal(from_blocked(y, blocks * L), expected)
    variant = Variant.of("layout.blocked_to_plain", lanes=L)
    back = run(variant, {"y": poison(x.shape), "x": y, "map": lane_map}, sizes)["y"]
    np.testing.assert_array_equal(back, x)


def test_a_range_of_channels():
    """The plain side is channels 0..2 of a tensor with 5."""
    x = _random(3, 5, 10)
    sizes = layout_conversion.arguments(3, 3, 10, 1, L) | {"plain_batch": 50}
    buffers = {"y": poison((3, 1, 10, L)), "x": x, "map": None}
    y = run(Variant.of("layout.plain_to_blocked", lanes=L), buffers, sizes)["y"]
    np.testing.assert_array_equal(y, to_blocked(np.ascontiguousarray(x[:, :3]), L, pad=0))


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.cpu)
@pytest.mark.parametrize("positions", [1, 49, 300])
def test_channel_shuffle(target, positions):
    lanes, channels = target.lanes, 38
    source = _random(2, channels, positions)
    order = np.arange(channels).reshape(2, -1).T.reshape(-1)
    x = to_blocked(source, lanes, pad=np.nan)
    blocks = x.shape[1]
    lane_map = np.full(blocks * lanes, -1, np.int32)
    lane_map[:channels] = order
    sizes = layout_blocked_lanes.arguments(2, blocks, blocks, positions)
    variant = Variant.of("layout.blocked_lanes", lanes=lanes)
    y = run(variant, {"y": poison(x.shape), "x": x, "map": lane_map}, sizes, target)["y"]
    np.testing.assert_array_equal(y, to_blocked(np.ascontiguousarray(source[:, order]), lanes, pad=0))


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.cpu)
def test_channels_of_a_range_of_channels(target):
    """Both tensors lie in larger ones: their images are apart."""
    lanes, channels, positions, gaps = target.lanes, 38, 49, {"x_gap": 2 * target.lanes, "y_gap": 3 * target.lanes}
    source, order = _random(2, channels, positions), np.random.default_rng(1).permutation(38)[:20]
    blocks, y_blocks = -(-channels // lanes), -(-20 // lanes)
    lane_map = np.full(y_blocks * lanes, -1, np.int32)
    lane_map[:20] = order
    images = to_blocked(source, lanes, pad=np.nan).reshape(2, -1)
    x = np.concatenate([np.pad(image, (0, gaps["x_gap"]), constant_values=np.nan) for image in images])
    size = y_blocks * positions * lanes
    sizes = layout_blocked_lanes.arguments(2, blocks, y_blocks, positions) | gaps
    variant = Variant.of("layout.blocked_lanes", lanes=lanes)
    y = run(variant, {"y": poison((2 * size + gaps["y_gap"],)), "x": x, "map": lane_map}, sizes, target)["y"]
    expected = to_blocked(np.ascontiguousarray(source[:, order]), lanes, pad=0).reshape(2, -1)
    np.testing.assert_array_equal(np.stack([y[:size], y[-size:]]), expected)


def test_concat_at_an_unaligned_offset():
    """Channels 0..6 come from one tensor, 7..25 from another; both calls leave each other's lanes alone."""
    first, second = _random(2, 7, 70), -_random(2, 19, 70)
    blocks = -(-26 // L)
    y = poison((2, blocks, 70, L))
    for source, start in ((first, 0), (second, 7)):
        lane_map = np.full(blocks * L, -2, np.int32)
        lane_map[start : start + source.shape[1]] = np.arange(source.shape[1])
        lane_map[26:] = -1
        x = to_blocked(source, L, pad=np.nan)
        sizes = layout_blocked_lanes.arguments(2, x.shape[1], blocks, 70)
        y = run(Variant.of("layout.blocked_lanes", lanes=L), {"y": y, "x": x, "map": lane_map}, sizes)["y"]
    np.testing.assert_array_equal(y, to_blocked(np.concatenate([first, second], 1), L, pad=0))
