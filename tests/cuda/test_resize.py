"""Resize kernels on the emulator against the NumPy reference: every coordinate and nearest mode, 1 to 3 axes."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from cnnc.runtime.cpu import resize_axes, resize_table
from cnnc.runtime.cuda.target import LANES
from cnnc.runtime.kernel import Variant
from tests.cuda.emulated import blocked, launch, plain
from tests.kernels.harness import poison
from tests.kernels.resize_cases import CASES, resize_reference


def _table(length, size, scale, coordinates, interpolation):
    bits = 0 if scale is None else struct.unpack("<q", struct.pack("<d", scale))[0]
    sizes = resize_table.arguments(length, size, bits, coordinates, interpolation)
    table = poison((size, 4), np.int32)
    launch(Variant.of("resize.table"), {"y": table}, sizes)
    return table


def resize(x, out, scales, coordinates, interpolation):
    """(plain result, blocked result) of resizing the spatial axes of x to ``out``."""
    spatial = x.shape[2:]
    tables, taps = [None] * (3 - len(out)), []
    for length, size, scale in zip(spatial, out, scales):
        same = size == length and scale in (None, 1.0)
        tables.append(None if same else _table(length, size, scale, coordinates, interpolation))
        taps.append(0 if same else 2 if interpolation == "linear" else 1)
    named = {f"table_{axis}": table for axis, table in zip("dhw", tables)}
    n, c = x.shape[:2]
    y, sizes = poison((n, c, *out)), resize_axes.arguments(n * c, spatial, out, taps)
    launch(Variant.of("resize.plain"), {"y": y, "x": x, **named}, sizes)
    source = blocked(x)
    blocks = source.shape[1]
    whole, sizes = poison((n, blocks, *out, LANES)), resize_axes.arguments(n * blocks, spatial, out, taps)
    launch(Variant.of("resize.blocked", lanes=LANES), {"y": whole, "x": source, **named}, sizes)
    return y, plain(whole, c)


@pytest.mark.parametrize("coordinates", resize_table.COORDINATES)
@pytest.mark.parametrize("name", CASES)
def test_linear(name, coordinates):
    shape, out, scales = CASES[name]
    x = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    expected = resize_reference(x, out, scales, mode="linear", coordinate_transformation_mode=coordinates)
    for got in resize(x, out, scales, coordinates, "linear"):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("nearest", resize_table.INTERPOLATIONS[1:])
@pytest.mark.parametrize("coordinates", resize_table.COORDINATES)
@pytest.mark.parametrize("name", CASES)
def test_nearest(name, coordinates, nearest):
    shape, out, scales = CASES[name]
    x = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    expected = resize_reference(x, out, scales, nearest_mode=nearest, coordinate_transformation_mode=coordinates)
    for got in resize(x, out, scales, coordinates, nearest):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("interpolation", ["linear", "floor"])
def test_a_range_of_channels(interpolation):
    """Both tensors lie in larger ones: their images are apart."""
    x = np.random.default_rng(2).normal(size=(2, 11, 3, 5)).astype(np.float32)
    source = np.concatenate([blocked(x), np.full((2, 1, 3, 5, LANES), np.nan, np.float32)], 1)
    y = poison((2, 4, 6, 10, LANES))
    tables = {f"table_{axis}": _table(n, 2 * n, 2.0, "asymmetric", interpolation) for axis, n in (("h", 3), ("w", 5))}
    sizes = resize_axes.arguments(4, (3, 5), (6, 10), [2 if interpolation == "linear" else 1] * 2)
    sizes |= {"image_planes": 2, "x_gap": 15 * LANES, "y_gap": 120 * LANES}
    launch(Variant.of("resize.blocked", lanes=LANES), {"y": y, "x": source, "table_d": None, **tables}, sizes)
    mode = {"mode": "linear"} if interpolation == "linear" else {"mode": "nearest", "nearest_mode": "floor"}
    expected = resize_reference(x, (6, 10), (2.0, 2.0), coordinate_transformation_mode="asymmetric", **mode)
    np.testing.assert_allclose(plain(y[:, :2], 11), expected, rtol=1e-5, atol=1e-6)
    assert np.isnan(y[:, 2:]).all()


def test_whole_sectors():
    x, y = np.ones((1, 1, 16, 16, LANES), np.float32), poison((1, 1, 32, 32, LANES))
    tables = {f"table_{axis}": _table(16, 32, 2.0, "asymmetric", "floor") for axis in "hw"}
    sizes = resize_axes.arguments(1, (16, 16), (32, 32), (1, 1))
    counters = launch(Variant.of("resize.blocked", lanes=LANES), {"y": y, "x": x, "table_d": None, **tables}, sizes)
    assert (y == 1).all()
    warps = 32 * 32 * 2 // 32
    # Of x a warp reads the 8 pixels that its 16 come from, of the tables 16 entries and one.
    assert counters.sectors == y.nbytes // 32 + warps * (8 + 16 * resize_table.ENTRY_BYTES // 32 + 1)
    assert counters.divergent_branches == 0
