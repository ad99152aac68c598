"""Max pools of bytes: equal to the reference, blocked and plain, any window; guard pages, every target."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cnnc.runtime.cpu import pool_window
from cnnc.runtime.host.pool import max_pool
from cnnc.runtime.jit.target import host_target, x86_target
from cnnc.runtime.kernel import Target, Variant
from tests.kernels.guarded import from_blocked, to_blocked
from tests.kernels.harness import poison, run

pytestmark = pytest.mark.jit
TARGETS = [x86_target(level) for level in ("sse", "avx2")] + [host_target()]
ON_TARGETS = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.cpu)
NAMES = {np.uint8: "u8", np.int8: "i8"}
WINDOWS = [
    # spatial, kernel, strides, dilations, pads
    ((7, 6), (3, 2), (2, 1), (1, 2), (1, 1, 2, 1)),
    ((13, 9), (3, 3), (1, 1), (1, 1), (1, 1, 1, 1)),
    ((13, 11), (3, 3), (2, 2), (1, 1), (0, 0, 1, 1)),
    ((5, 70), (2, 5), (1, 3), (2, 1), (0, 2, 0, 4)),
    ((3, 3), (3, 3), (1, 1), (1, 1), (2, 2, 2, 2)),
    ((1, 1), (1, 1), (1, 1), (1, 1), (0, 0, 0, 0)),
    ((29,), (4,), (1,), (1,), (3, 0)),
    ((4, 5, 6), (2, 3, 2), (1, 2, 1), (2, 1, 1), (1, 1, 0, 1, 1, 1)),
]


def _case(dtype: Any, channels: int, window: Any) -> tuple[Any, Any, dict[str, Any]]:
    spatial, kernel, strides, dilations, pads = window
    limits = np.iinfo(dtype)
    x = np.random.default_rng(3).integers(limits.min, limits.max + 1, (2, channels, *spatial)).astype(dtype)
    expected, _ = max_pool(x, kernel_shape=kernel, strides=strides, dilations=dilations, pads=pads)
    rank = len(spatial)
    begins, ends = pads[:rank], pads[rank:]
    sizes = pool_window.arguments(2, spatial, expected.shape[2:], kernel, strides, dilations, begins, ends)
    return x, expected, sizes


@ON_TARGETS
@pytest.mark.parametrize("dtype", [np.uint8, np.int8], ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_blocked(target: Target, dtype: Any, window: Any) -> None:
    x, expected, sizes = _case(dtype, 21, window)
    blocks = -(-21 // target.lanes)
    sizes |= {"planes": 2 * blocks, "image_planes": blocks}
    variant = Variant.of("byte.max_pool", lanes=target.lanes, element=NAMES[dtype])
    y = poison((2, blocks, *expected.shape[2:], target.lanes), dtype)
    got = run(variant, {"x": to_blocked(x, target.lanes, pad=77), "y": y}, sizes, target)["y"]
    np.testing.assert_array_equal(from_blocked(got, 21), expected)


@ON_TARGETS
@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_plain(target: Target, window: Any) -> None:
    x, expected, sizes = _case(np.uint8, 5, window)
    sizes |= {"planes": 10, "image_planes": 5}
    variant = Variant.of("byte.max_pool", lanes=1, element="u8")
    got = run(variant, {"x": x, "y": poison(expected.shape, np.uint8)}, sizes, target)["y"]
    np.testing.assert_array_equal(got, expected)


def test_long_lines_go_strip_by_strip() -> None:
    target = host_target()
    x, expected, sizes = _case(np.uint8, target.lanes, ((3, 1500), (3, 3), (1, 2), (1, 1), (1, 1, 1, 1)))
    sizes |= {"planes": 2, "image_planes": 1}
    variant = Variant.of("byte.max_pool", lanes=target.lanes, element="u8")
    y = poison((2, 1, *expected.shape[2:], target.lanes), np.uint8)
    got = run(variant, {"x": to_blocked(x, target.lanes, pad=0), "y": y}, sizes, target)["y"]
    np.testing.assert_array_equal(from_blocked(got, target.lanes), expected)


def test_ranges_of_channels() -> None:
    target = host_target()
    lanes = target.lanes
    x, expected, sizes = _case(np.uint8, lanes, WINDOWS[1])
    sizes |= {"planes": 2, "image_planes": 1, "x_gap": 2 * lanes, "y_gap": lanes}
    blocked = to_blocked(x, lanes, pad=0).reshape(2, -1)
    apart = np.concatenate([blocked[0], np.full(2 * lanes, 255, np.uint8), blocked[1]])
    count = expected.size // 2
    y = poison((2 * count + lanes,), np.uint8)
    variant = Variant.of("byte.max_pool", lanes=lanes, element="u8")
    got = run(variant, {"x": apart, "y": y}, sizes, target)["y"]
    images = np.stack([got[:count], got[count + lanes :]]).reshape(2, 1, *expected.shape[2:], lanes)
    np.testing.assert_array_equal(from_blocked(images, lanes), expected)
    np.testing.assert_array_equal(got[count : count + lanes], y[:lanes])


@ON_TARGETS
@pytest.mark.parametrize("dtype", [np.uint8, np.int8], ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize("lanes", [0, 1])
@pytest.mark.parametrize(
    ("spatial", "kernel", "dilations", "pads"),
    [
        ((7, 6), (3, 3), (1, 1), (1, 1, 1, 1)),
        ((33, 14), (3, 3), (1, 1), (1, 1, 1, 1)),
        ((18, 9), (5, 4), (1, 2), (0, 5, 4, 1)),
        ((17, 3), (2, 5), (3, 1), (3, 2, 0, 2)),
        ((2, 2), (5, 5), (1, 1), (2, 2, 2, 2)),
        ((3, 70), (1, 1), (1, 1), (0, 0, 0, 0)),
        ((1, 29), (1, 9), (1, 1), (0, 4, 0, 4)),
    ],
    ids=str,
)
def test_filters(target: Target, dtype: Any, lanes: int, spatial: Any, kernel: Any, dilations: Any, pads: Any) -> None:
    x, expected, _ = _case(dtype, 21, (spatial, kernel, (1, 1), dilations, pads))
    assert expected.shape == x.shape
    lanes = lanes or target.lanes
    blocks, (x_gap, y_gap) = -(-21 // lanes), (3 * lanes, lanes)
    sizes = {"planes": 2 * blocks, "image_planes": blocks, "x_gap": x_gap, "y_gap": y_gap}
    for axis, name in enumerate("hw"):
        sizes |= {name: spatial[axis], f"kernel_{name}": kernel[axis]}
        sizes |= {f"dilation_{name}": dilations[axis], f"begin_{name}": pads[axis]}
    rows = to_blocked(x, lanes, pad=77).reshape(2, -1)
    source = np.concatenate([rows[0], np.full(x_gap, 99, dtype), rows[1]])
    size = rows.shape[1]
    variant = Variant.of("byte.max_filter", lanes=lanes, element=NAMES[dtype])
    got = run(variant, {"x": source, "y": poison((2 * size + y_gap,), dtype)}, sizes, target)["y"]
    images = np.stack([got[:size], got[size + y_gap :]]).reshape(2, blocks, *spatial, lanes)
    np.testing.assert_array_equal(from_blocked(images, 21), expected)
