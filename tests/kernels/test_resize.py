"""Resize kernels against the NumPy reference: every coordinate and nearest mode, one to three spatial axes."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from cnnc.runtime.cpu import resize_axes, resize_table
from cnnc.runtime.jit.target import host_target
from cnnc.runtime.kernel import Variant
from tests.kernels.guarded import from_blocked, to_blocked
from tests.kernels.harness import poison, run
from tests.kernels.resize_cases import CASES, resize_reference

pytestmark = pytest.mark.jit
L = host_target().lanes


def _table(length, size, scale, coordinates, interpolation):
    bits = 0 if scale is None else struct.unpack("<q", struct.pack("<d", scale))[0]
    sizes = resize_table.arguments(length, size, bits, coordinates, interpolation)
    return run(Variant.of("resize.table"), {"y": poison((size, 4), np.int32)}, sizes)["y"]


def _resize(x, out, scales, coordinates, interpolation):
    """(plain result, blocked result) of resizing the spatial axes of x to ``out``."""
    spatial = x.shape[2:]
    tables, taps = [None] * (3 - len(out)), []
    for length, size, scale in zip(spatial, out, scales):
        same = size == length and scale in (None, 1.0)
        tables.append(None if same else _table(length, size, scale, coordinates, interpolation))
        taps.append(0 if same else 2 if interpolation == "linear" else 1)
    named = {f"table_{axis}": table for axis, table in zip("dhw", tables)}
    n, c = x.shape[:2]
    plain_sizes = resize_axes.arguments(n * c, spatial, out, taps)
    plain = run(Variant.of("resize.plain"), {"y": poison((n, c, *out)), "x": x, **named}, plain_sizes)["y"]
    blocked = to_blocked(x, L, pad=np.nan)
    blocks = blocked.shape[1]
    sizes = resize_axes.arguments(n * blocks, spatial, out, taps)
    buffers = {"y": poison((n, blocks, *out, L)), "x": blocked, **named}
    y = run(Variant.of("resize.blocked", lanes=L), buffers, sizes)["y"]
    return plain, from_blocked(y, c)


def _resize_bytes(x, out, scales, coordinates, interpolation, gap=0):
    """(plain result, blocked result) of a nearest resize of two images of bytes, ``gap`` bytes apart if blocked."""
    spatial, (n, c) = x.shape[2:], x.shape[:2]
    tables = [_table(*axis, coordinates, interpolation) for axis in zip(spatial, out, scales)]
    named = {f"table_{axis}": table for axis, table in zip("dhw", [*[None] * (3 - len(out)), *tables])}
    taps = [1] * len(out)
    sizes = resize_axes.arguments(n * c, spatial, out, taps)
    buffers = {"y": poison((n, c, *out), np.uint8), "x": x, **named}
    plain = run(Variant.of("resize.bytes", lanes=1), buffers, sizes)["y"]
    rows = to_blocked(x, L, pad=77).reshape(n, -1)
    blocks = -(-c // L)
    source = np.concatenate([np.pad(row, (0, gap)) for row in rows])
    sizes = resize_axes.arguments(n * blocks, spatial, out, taps) | {"image_planes": blocks, "x_gap": gap}
    buffers = {"y": poison((n, blocks, *out, L), np.uint8), "x": source, **named}
    y = run(Variant.of("resize.bytes", lanes=L), buffers, sizes)["y"]
    return plain, from_blocked(y, c)


@pytest.mark.parametrize("coordinates", resize_table.COORDINATES)
@pytest.mark.parametrize("name", CASES)
def test_linear(name, coordinates):
    shape, out, scales = CASES[name]
    x = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    expected = resize_reference(x, out, scales, mode="linear", coordinate_transformation_mode=coordinates)
    for got in _resize(x, out, scales, coordinates, "linear"):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("nearest", resize_table.INTERPOLATIONS[1:])
@pytest.mark.parametrize("coordinates", resize_table.COORDINATES)
@pytest.mark.parametrize("name", CASES)
def test_nearest(name, coordinates, nearest):
    shape, out, scales = CASES[name]
    x = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    expected = resize_reference(x, out, scales, nearest_mode=nearest, coordinate_transformation_mode=coordinates)
    for got in _resize(x, out, scales, coordinates, nearest):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("gap", [0, 32])
@pytest.mark.parametrize("case", CASES)
def test_bytes(case, gap):
    shape, out, scales = CASES[case]
    x = np.random.default_rng(2).integers(0, 256, shape).astype(np.uint8)
    expected = resize_reference(
        x, out, scales, mode="nearest", nearest_mode="floor", coordinate_transformation_mode="asymmetric"
    )
    for got in _resize_bytes(x, out, scales, "asymmetric", "floor", gap):
        np.testing.assert_array_equal(got, expected)
