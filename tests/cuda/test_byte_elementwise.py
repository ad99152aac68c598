"""Tables and element-wise ops of bytes on the emulator: equal to the reference, bit for bit; in place and with gaps."""

from __future__ import annotations

import numpy as np
import pytest

from cnnc.lower.spatial import float_bits
from cnnc.runtime.host.quantization import dequantize_linear, quantize_linear
from cnnc.runtime.host.quantized import q_linear_add, q_linear_mul
from cnnc.runtime.kernel import Variant
from tests.cuda.emulated import blocked, launch, plain
from tests.kernels.harness import poison

BYTES = pytest.mark.parametrize("dtype", [np.uint8, np.int8], ids=lambda dtype: dtype.__name__)
NAMES = {np.uint8: "u8", np.int8: "i8", np.float32: "f32"}
TABLE = np.random.default_rng(0).permutation(256).astype(np.uint8)


def _bytes(dtype, *shape):
    limits = np.iinfo(dtype)
    return np.random.default_rng(3).integers(limits.min, limits.max + 1, shape).astype(dtype)


def _all_pairs(dtype):
    """All pairs of bytes but three: no whole number of words."""
    a, b = (side.reshape(-1) for side in np.meshgrid(np.arange(256), np.arange(256)))
    return a.astype(np.uint8).view(dtype)[:-3], b.astype(np.uint8).view(dtype)[:-3]


def _run(kind, a, b, result, *, gate=0, y=None, **arguments):
    sizes = {name: float_bits(arguments.get(name, 1.0)) for name in ("a_scale", "b_scale", "addend", "y_scale")}
    sizes |= {name: int(arguments.get(name, 0)) for name in ("a_zero", "b_zero", "y_zero", "a_gap", "b_gap", "y_gap")}
    images, planes = a.shape[:2] if gate else (1, 1)
    sizes |= {"images": images, "planes": planes, "count": a.size // (images * planes)}
    sizes["y_least"] = int(np.iinfo(result).min) if result is not np.float32 else 0
    params = {"kind": kind, "element": NAMES[a.dtype.type], "result": NAMES[result], "gate": gate, "lanes": 8}
    y = poison(a.shape, result) if y is None else y
    launch(Variant.of("byte.elementwise", **params), {"y": y, "a": a, "b": b}, sizes)
    return y


@pytest.mark.parametrize("count", [1, 63, 256, 16384 + 77])
def test_lookup(count):
    images, x_gap, y_gap = 2, 5, 16
    x = _bytes(np.uint8, images * count + x_gap)
    x[: min(count, 256)] = np.arange(min(count, 256))
    sizes = {"images": images, "count": count, "x_gap": x_gap, "y_gap": y_gap}
    y = poison((images * count + y_gap,), np.uint8)
    assert launch(Variant.of("byte.table"), {"y": y, "x": x, "table": TABLE}, sizes).conflicts == 0
    np.testing.assert_array_equal(y[:count], TABLE[x[:count]])
    np.testing.assert_array_equal(y[count + y_gap :], TABLE[x[count + x_gap :]])
    np.testing.assert_array_equal(y[count : count + y_gap], 255)
    even, own = sizes | {"x_gap": 0, "y_gap": 0}, x[: 2 * count].copy()
    launch(Variant.of("byte.table"), {"y": own, "x": own, "table": TABLE}, even)
    np.testing.assert_array_equal(own, TABLE[x[: 2 * count]])


@BYTES
@pytest.mark.parametrize("zero", [1, 100, -100])
def test_quantize(dtype, zero):
    zero = zero % 256 if dtype is np.uint8 else zero
    x = np.random.default_rng(1).normal(0, 40, 1003).astype(np.float32)
    x[:9] = [np.nan, np.inf, -np.inf, 0.25, 0.75, 1.25, -0.25, -0.75, 3e38]
    expected = quantize_linear(x, np.asarray(np.float32(0.5)), np.asarray(zero, dtype))
    np.testing.assert_array_equal(_run("quantize", x, None, dtype, y_scale=0.5, y_zero=zero), expected)


@BYTES
def test_dequantize(dtype):
    x, scale, zero = _bytes(dtype, 517), np.asarray(np.float32(0.0173)), np.asarray(93, dtype)
    got = _run("dequantize", x, None, np.float32, a_scale=scale, a_zero=zero)
    np.testing.assert_array_equal(got, dequantize_linear(x, scale, zero))


@BYTES
@pytest.mark.parametrize("zero", [0, 7])
def test_mul(dtype, zero):
    a, b = _all_pairs(dtype)
    step, zeros = np.float32(0.0173), [np.asarray(value, dtype) for value in (100, 3, zero)]
    one = np.asarray(np.float32(1))
    expected = q_linear_mul(a, np.asarray(step), zeros[0], b, one, zeros[1], one, zeros[2])
    own = a.copy()
    _run("mul", own, b, dtype, y=own, a_scale=step, a_zero=100, b_zero=3, y_zero=zero)
    np.testing.assert_array_equal(own, expected)


@BYTES
@pytest.mark.parametrize(
    ("a_scale", "b_scale", "zero"), [(0.5, 0.25, 0), (0.0173, 0.0117, 7), (3.0, 1e-9, 120), (1e-3, 7.0, 7)]
)
def test_add(dtype, a_scale, b_scale, zero):
    a, b = _all_pairs(dtype)
    scales = [np.asarray(np.float32(scale)) for scale in (a_scale, b_scale, 1.0)]
    zeros = [np.asarray(value, dtype) for value in (100, 3, zero)]
    expected = q_linear_add(a, scales[0], zeros[0], b, scales[1], zeros[1], scales[2], zeros[2])
    offset = -(scales[0] * np.float32(100) + scales[1] * np.float32(3))
    addend = np.float32(zero) + offset
    got = _run("add", a, b, dtype, a_scale=a_scale, b_scale=b_scale, addend=addend, y_zero=zero)
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("shape", [(2, 21, 3, 5), (1, 16, 1, 1), (3, 5, 40, 41)])
def test_gates(shape):
    a, b = _bytes(np.uint8, *shape), _bytes(np.uint8, *shape[:2], 1, 1)
    step, zeros = np.float32(0.0103), [np.asarray(value, np.uint8) for value in (100, 3, 7)]
    one = np.asarray(np.float32(1))
    expected = q_linear_mul(a, np.asarray(step), zeros[0], b, one, zeros[1], one, zeros[2])
    sides = [blocked(side, pad=77) for side in (a, b)]
    got = _run("mul", *sides, np.uint8, gate=1, a_scale=step, a_zero=100, b_zero=3, y_zero=7)
    np.testing.assert_array_equal(plain(got, shape[1]), expected)


def test_ranges_of_channels():
    images, count, gaps = 3, 160, {"a_gap": 32, "b_gap": 0, "y_gap": 16}
    a, b = _bytes(np.uint8, images * count + 2 * 32), _bytes(np.uint8, images * count)
    sizes = {name: float_bits(0.5) for name in ("a_scale", "b_scale", "addend", "y_scale")} | gaps
    sizes |= {"images": images, "planes": 1, "count": count, "a_zero": 0, "b_zero": 0, "y_zero": 0, "y_least": 0}
    params = {"kind": "add", "element": "u8", "result": "u8", "gate": 0, "lanes": 8}
    y = poison((images * count + 2 * 16,), np.uint8)
    expected = y.copy()
    launch(Variant.of("byte.elementwise", **params), {"y": y, "a": a, "b": b}, sizes)
    for image in range(images):
        sides = (side[image * step :][:count] for side, step in ((a, count + 32), (b, count)))
        total = sum(side.astype(np.float64) * 0.5 for side in sides) + 0.5
        expected[image * (count + 16) :][:count] = np.clip(np.rint(total), 0, 255)
    np.testing.assert_array_equal(y, expected)


def test_memory_moves_in_whole_sectors():
    a, b = _bytes(np.uint8, 16384), _bytes(np.uint8, 16384)
    sizes = {"images": 1, "count": 16384, "x_gap": 0, "y_gap": 0}
    counters = launch(Variant.of("byte.table"), {"y": a, "x": a, "table": TABLE}, sizes)
    assert counters.sectors == counters.least_sectors
    params = {"kind": "add", "element": "u8", "result": "u8", "gate": 0, "lanes": 8}
    sizes = dict.fromkeys(("a_scale", "b_scale", "addend", "y_scale"), float_bits(0.5)) | {"y_least": 0}
    sizes |= dict.fromkeys(("a_gap", "b_gap", "y_gap", "a_zero", "b_zero", "y_zero"), 0)
    sizes |= {"images": 1, "planes": 1, "count": 16384}
    counters = launch(Variant.of("byte.elementwise", **params), {"y": a, "a": a, "b": b}, sizes)
    assert counters.sectors == counters.least_sectors == 3 * 16384 // 32
