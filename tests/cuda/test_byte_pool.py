"""Pools of bytes on the emulator: equal to the reference, blocked and plain, any window, ranges of channels."""

from __future__ import annotations

import numpy as np
import pytest

from cnnc.lower.spatial import float_bits
from cnnc.runtime.cpu import pool_window
from cnnc.runtime.host.pool import max_pool
from cnnc.runtime.host.quantized import q_linear_average_pool, q_linear_global_average_pool
from cnnc.runtime.kernel import Variant
from tests.cuda.emulated import blocked, launch, plain
from tests.kernels.harness import poison

BYTES = pytest.mark.parametrize("dtype", [np.uint8, np.int8], ids=lambda dtype: dtype.__name__)
NAMES = {np.uint8: "u8", np.int8: "i8"}
X_SCALE, Y_SCALE = np.float32(0.02), np.float32(0.013)
X_GAP, Y_GAP = 32, 16
WINDOWS = [
    # spatial, kernel, strides, dilations, pads
    ((7, 6), (3, 2), (2, 1), (1, 2), (1, 1, 2, 1)),
    ((13, 11), (3, 3), (2, 2), (1, 1), (0, 0, 1, 1)),
    ((3, 3), (3, 3), (1, 1), (1, 1), (2, 2, 2, 2)),
    ((1, 1), (1, 1), (1, 1), (1, 1), (0, 0, 0, 0)),
    ((29,), (4,), (3,), (1,), (3, 0)),
    ((4, 5, 6), (2, 3, 2), (1, 2, 1), (2, 1, 1), (1, 1, 0, 1, 1, 1)),
]


def _images(dtype, channels, spatial):
    limits = np.iinfo(dtype)
    return np.random.default_rng(3).integers(limits.min, limits.max + 1, (2, channels, *spatial)).astype(dtype)


def _apart(x, gap):
    """Two images with ``gap`` bytes between them."""
    rows = x.reshape(2, -1)
    return np.concatenate([rows[0], np.full(gap, 99, rows.dtype), rows[1]])


def _together(y, gap, shape):
    count = int(np.prod(shape)) // 2
    np.testing.assert_array_equal(y[count : count + gap].view(np.uint8), 255)
    return np.stack([y[:count], y[count + gap :]]).reshape(shape)


def _pool(kernel, x, window, result, lanes, include_pad=False, **more):
    """y of a pool between tensors whose images lie apart."""
    spatial, size, strides, dilations, pads = window
    source = blocked(x, pad=77) if lanes == 8 else x[..., None]
    planes, rank = source.shape[1], len(spatial)
    sizes = pool_window.arguments(
        2 * planes, spatial, result, size, strides, dilations, pads[:rank], pads[rank:], include_pad
    )
    sizes |= {"image_planes": planes, "x_gap": X_GAP, "y_gap": Y_GAP, **more}
    shape = (2, planes, *result, lanes)
    y = poison((int(np.prod(shape)) + Y_GAP,), x.dtype)
    variant = Variant.of(kernel, lanes=lanes, element=NAMES[x.dtype.type])
    launch(variant, {"y": y, "x": _apart(source, X_GAP)}, sizes)
    images = _together(y, Y_GAP, shape)
    return plain(images, x.shape[1]) if lanes == 8 else images[..., 0]


@BYTES
@pytest.mark.parametrize("lanes", [8, 1])
@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_max(dtype, lanes, window):
    spatial, kernel, strides, dilations, pads = window
    x = _images(dtype, 11, spatial)
    expected, _ = max_pool(x, kernel_shape=kernel, strides=strides, dilations=dilations, pads=pads)
    np.testing.assert_array_equal(_pool("byte.max_pool", x, window, expected.shape[2:], lanes), expected)


@BYTES
@pytest.mark.parametrize("include_pad", [False, True])
@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_average(dtype, include_pad, window):
    spatial, kernel, strides, dilations, pads = window
    x = _images(dtype, 11, spatial)
    scales, zeros = (np.asarray(X_SCALE), np.asarray(Y_SCALE)), (np.asarray(100, dtype), np.asarray(9, dtype))
    attrs = {"kernel_shape": kernel, "strides": strides, "dilations": dilations, "pads": pads}
    expected = q_linear_average_pool(
        x, scales[0], zeros[0], scales[1], zeros[1], count_include_pad=int(include_pad), **attrs
    )
    numbers = {"x_zero": 100, "y_zero": 9, "y_least": int(np.iinfo(dtype).min)}
    numbers |= {"x_scale": float_bits(float(X_SCALE)), "y_scale": float_bits(float(Y_SCALE))}
    got = _pool("byte.average_pool", x, window, expected.shape[2:], 8, include_pad, **numbers)
    np.testing.assert_array_equal(got, expected)


@BYTES
@pytest.mark.parametrize("spatial", [(5, 7), (1, 1), (13, 11)])
def test_global_average(dtype, spatial):
    x, positions = _images(dtype, 75, spatial), int(np.prod(spatial))
    zeros = np.asarray(5, dtype), np.asarray(9, dtype)
    expected = q_linear_global_average_pool(x, np.asarray(X_SCALE), zeros[0], np.asarray(Y_SCALE), zeros[1])
    source = blocked(x, pad=77)
    sizes = {"images": 2, "planes": source.shape[1], "positions": positions, "x_gap": X_GAP, "x_zero": 5, "y_zero": 9}
    factor = X_SCALE / (Y_SCALE * np.float32(positions))
    sizes |= {"y_least": int(np.iinfo(dtype).min), "factor": float_bits(float(factor))}
    y = poison((2, source.shape[1], 1, 1, 8), dtype)
    variant = Variant.of("byte.global_average", lanes=8, element=NAMES[dtype])
    launch(variant, {"y": y, "x": _apart(source, X_GAP)}, sizes)
    np.testing.assert_array_equal(plain(y, 75), expected)


@pytest.mark.parametrize("lanes", [8, 1])
@pytest.mark.parametrize(
    ("spatial", "kernel", "dilations", "pads"),
    [
        ((18, 9), (5, 4), (1, 2), (0, 5, 4, 1)),
        ((17, 3), (2, 5), (3, 1), (3, 2, 0, 2)),
        ((2, 2), (5, 5), (1, 1), (2, 2, 2, 2)),
        ((1, 29), (1, 9), (1, 1), (0, 4, 0, 4)),
    ],
    ids=str,
)
def test_filters(lanes, spatial, kernel, dilations, pads):
    x = _images(np.int8, 11, spatial)
    expected, _ = max_pool(x, kernel_shape=kernel, strides=(1, 1), dilations=dilations, pads=pads)
    source = blocked(x, pad=77) if lanes == 8 else x[..., None]
    blocks = source.shape[1]
    sizes = {"planes": 2 * blocks, "image_planes": blocks, "x_gap": X_GAP, "y_gap": Y_GAP}
    for axis, name in enumerate("hw"):
        sizes |= {name: spatial[axis], f"kernel_{name}": kernel[axis]}
        sizes |= {f"dilation_{name}": dilations[axis], f"begin_{name}": pads[axis]}
    y = poison((source.size + Y_GAP,), np.int8)
    variant = Variant.of("byte.max_filter", lanes=lanes, element="i8")
    launch(variant, {"y": y, "x": _apart(source, X_GAP)}, sizes)
    images = _together(y, Y_GAP, source.shape)
    np.testing.assert_array_equal(plain(images, 11) if lanes == 8 else images[..., 0], expected)


def test_neighbours_share_sectors():
    x = _images(np.uint8, 8, (16, 64))
    window = ((16, 64), (2, 2), (2, 2), (1, 1), (0, 0, 0, 0))
    sizes = pool_window.arguments(2, *window[:1], (8, 32), *window[1:4], (0, 0), (0, 0))
    buffers = {"y": poison((2, 1, 8, 32, 8), np.uint8), "x": blocked(x, pad=0)}
    counters = launch(Variant.of("byte.max_pool", lanes=8, element="u8"), buffers, sizes)
    # Every other pixel of a row at stride 2: each of the four taps asks for half of its sectors.
    assert counters.sectors == 4 * 2 * 8 * 64 * 8 // 32 + 2 * 8 * 32 * 8 // 32
