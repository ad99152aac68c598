"""Means of bytes, windowed and global: equal to the reference, any window; guard pages, every target."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cnnc.lower.spatial import float_bits
from cnnc.runtime.cpu import pool_window
from cnnc.runtime.host.quantized import q_linear_average_pool, q_linear_global_average_pool
from cnnc.runtime.jit.target import host_target, x86_target
from cnnc.runtime.kernel import Target, Variant
from tests.kernels.guarded import from_blocked, to_blocked
from tests.kernels.harness import poison, run

pytestmark = pytest.mark.jit
TARGETS = [x86_target(level) for level in ("sse", "avx2")] + [host_target()]
ON_TARGETS = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.cpu)
BYTES = pytest.mark.parametrize("dtype", [np.uint8, np.int8], ids=lambda dtype: dtype.__name__)
NAMES = {np.uint8: "u8", np.int8: "i8"}
X_SCALE, Y_SCALE = np.float32(0.02), np.float32(0.013)


def _images(dtype: Any, spatial: tuple[int, ...]) -> Any:
    limits = np.iinfo(dtype)
    return np.random.default_rng(3).integers(limits.min, limits.max + 1, (2, 19, *spatial)).astype(dtype)


def _apart(blocked: Any, gap: int) -> Any:
    """Two images with ``gap`` bytes between them."""
    rows = blocked.reshape(2, -1)
    return np.concatenate([rows[0], np.full(gap, 99, rows.dtype), rows[1]])


@ON_TARGETS
@BYTES
@pytest.mark.parametrize("gap", [0, 48])
def test_global_average(target: Target, dtype: Any, gap: int) -> None:
    x, lanes = _images(dtype, (5, 7)), target.lanes
    zeros = np.asarray(5, dtype), np.asarray(9, dtype)
    expected = q_linear_global_average_pool(x, np.asarray(X_SCALE), zeros[0], np.asarray(Y_SCALE), zeros[1])
    blocks = -(-19 // lanes)
    sizes = {"images": 2, "planes": blocks, "positions": 35, "x_gap": gap, "x_zero": 5, "y_zero": 9}
    sizes |= {"y_least": int(np.iinfo(dtype).min), "factor": float_bits(float(X_SCALE / (Y_SCALE * np.float32(35))))}
    variant = Variant.of("byte.global_average", lanes=lanes, element=NAMES[dtype])
    y = poison((2, blocks, 1, 1, lanes), dtype)
    source = _apart(to_blocked(x, lanes, pad=77), gap)
    got = run(variant, {"x": source, "y": y}, sizes, target)["y"]
    np.testing.assert_array_equal(from_blocked(got, 19), expected)


@ON_TARGETS
@BYTES
@pytest.mark.parametrize("include_pad", [0, 1])
@pytest.mark.parametrize(
    ("spatial", "kernel", "strides", "dilations", "pads"),
    [
        ((7, 6), (3, 2), (2, 1), (1, 2), (1, 1, 2, 1)),
        ((13, 9), (3, 3), (1, 1), (1, 1), (1, 1, 1, 1)),
        ((8, 8), (2, 2), (2, 2), (1, 1), (0, 0, 0, 0)),
        ((3, 3), (3, 3), (1, 1), (1, 1), (2, 2, 2, 2)),
        ((29,), (4,), (3,), (1,), (3, 0)),
        ((4, 5, 6), (2, 3, 2), (1, 2, 1), (2, 1, 1), (1, 1, 0, 1, 1, 1)),
    ],
    ids=str,
)
def test_windows(
    target: Target, dtype: Any, include_pad: int, spatial: Any, kernel: Any, strides: Any, dilations: Any, pads: Any
) -> None:
    x, lanes, rank = _images(dtype, spatial), target.lanes, len(spatial)
    zeros = np.asarray(100, dtype), np.asarray(9, dtype)
    attrs = {"kernel_shape": kernel, "strides": strides, "dilations": dilations, "pads": pads}
    scales = np.asarray(X_SCALE), np.asarray(Y_SCALE)
    expected = q_linear_average_pool(
        x, scales[0], zeros[0], scales[1], zeros[1], count_include_pad=include_pad, **attrs
    )
    blocks, gaps = -(-19 // lanes), {"x_gap": 32, "y_gap": 16}
    sizes: Any = pool_window.arguments(
        2 * blocks, spatial, expected.shape[2:], kernel, strides, dilations, pads[:rank], pads[rank:], bool(include_pad)
    )
    sizes |= {"image_planes": blocks, "x_zero": 100, "y_zero": 9, "y_least": int(np.iinfo(dtype).min), **gaps}
    sizes |= {"x_scale": float_bits(float(X_SCALE)), "y_scale": float_bits(float(Y_SCALE))}
    variant = Variant.of("byte.average_pool", lanes=lanes, element=NAMES[dtype])
    count = blocks * int(np.prod(expected.shape[2:])) * lanes
    source = _apart(to_blocked(x, lanes, pad=77), 32)
    got = run(variant, {"x": source, "y": poison((2 * count + 16,), dtype)}, sizes, target)["y"]
    images = np.stack([got[:count], got[count + 16 :]]).reshape(2, blocks, *expected.shape[2:], lanes)
    np.testing.assert_array_equal(from_blocked(images, 19), expected)
