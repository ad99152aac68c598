"""Element-wise ops, pools and layouts of bytes: equal to the reference bit for bit; guard pages, every target."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cnnc.lower.spatial import float_bits
from cnnc.runtime.cpu import layout_conversion, pool_window
from cnnc.runtime.host.pool import max_pool
from cnnc.runtime.host.quantization import dequantize_linear, quantize_linear
from cnnc.runtime.host.quantized import q_linear_add, q_linear_global_average_pool, requantize
from cnnc.runtime.jit.target import host_target, x86_target
from cnnc.runtime.kernel import Target, Variant
from tests.kernels.guarded import from_blocked, to_blocked
from tests.kernels.harness import poison, run

pytestmark = pytest.mark.jit
TARGETS = [x86_target(level) for level in ("sse", "avx2")] + [host_target()]
ON_TARGETS = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.cpu)
BYTES = pytest.mark.parametrize("dtype", [np.uint8, np.int8], ids=lambda dtype: dtype.__name__)
NAMES = {np.uint8: "u8", np.int8: "i8", np.float32: "f32"}


def _bytes(dtype: Any, *shape: int) -> Any:
    limits = np.iinfo(dtype)
    return np.random.default_rng(3).integers(limits.min, limits.max + 1, shape).astype(dtype)


def _run(target: Target, kind: str, a: Any, b: Any, result: Any, **arguments: float) -> Any:
    sizes = {name: float_bits(arguments.get(name, 1.0)) for name in ("a_scale", "b_scale", "addend", "y_scale")}
    sizes |= {name: int(arguments.get(name, 0)) for name in ("a_zero", "y_zero")}
    sizes |= {"count": a.size, "y_least": np.iinfo(result).min if result is not np.float32 else 0}
    variant = Variant.of("byte.elementwise", kind=kind, element=NAMES[a.dtype.type], result=NAMES[result])
    return run(variant, {"y": poison(a.shape, result), "a": a, "b": b}, sizes, target)["y"]


@ON_TARGETS
@BYTES
@pytest.mark.parametrize("zero", [0, 1, 100, -100])
def test_quantize(target: Target, dtype: Any, zero: int) -> None:
    zero = zero % 256 if dtype is np.uint8 else zero
    x = np.random.default_rng(1).normal(0, 40, 1003).astype(np.float32)
    x[:9] = [np.nan, np.inf, -np.inf, 0.25, 0.75, 1.25, -0.25, -0.75, 3e38]
    expected = quantize_linear(x, np.asarray(np.float32(0.5)), np.asarray(zero, dtype))
    got = _run(target, "quantize", x, None, dtype, y_scale=0.5, y_zero=zero)
    np.testing.assert_array_equal(got, expected)


@ON_TARGETS
@BYTES
def test_dequantize_and_requantize(target: Target, dtype: Any) -> None:
    x, scale, zero = _bytes(dtype, 517), np.asarray(np.float32(0.0173)), np.asarray(93, dtype)
    got = _run(target, "dequantize", x, None, np.float32, a_scale=scale, a_zero=zero)
    np.testing.assert_array_equal(got, dequantize_linear(x, scale, zero))
    wider, other = np.asarray(np.float32(0.0091)), np.asarray(-20, np.int8)
    got = _run(target, "requantize", x, None, np.int8, a_scale=scale, a_zero=zero, y_scale=wider, y_zero=other)
    np.testing.assert_array_equal(got, requantize(x, scale, zero, wider, other))


@ON_TARGETS
@BYTES
@pytest.mark.parametrize(("a_scale", "b_scale"), [(0.5, 0.25), (0.0173, 0.0117), (3.0, 1e-9), (1e-3, 7.0)])
@pytest.mark.parametrize("zero", [0, 7, 120])
def test_add(target: Target, dtype: Any, zero: int, a_scale: float, b_scale: float) -> None:
    a, b = (side.reshape(-1) for side in np.meshgrid(np.arange(256), np.arange(256)))
    a, b = a.astype(np.uint8).view(dtype)[:-3], b.astype(np.uint8).view(dtype)[:-3]
    scales = [np.asarray(np.float32(scale)) for scale in (a_scale, b_scale, 1.0)]
    zeros = [np.asarray(value, dtype) for value in (100, 3, zero)]
    expected = q_linear_add(a, scales[0], zeros[0], b, scales[1], zeros[1], scales[2], zeros[2])
    offset = -(scales[0] * np.float32(100) + scales[1] * np.float32(3))
    addend = np.float32(zero) + offset
    got = _run(target, "add", a, b, dtype, a_scale=a_scale, b_scale=b_scale, addend=addend, y_zero=zero)
    np.testing.assert_array_equal(got, expected)


@ON_TARGETS
@BYTES
def test_max_pool(target: Target, dtype: Any) -> None:
    x = _bytes(dtype, 2, 21, 7, 6)
    expected, _ = max_pool(x, kernel_shape=(3, 2), strides=(2, 1), dilations=(1, 2), pads=(1, 1, 2, 1))
    lanes = target.lanes
    blocks = -(-21 // lanes)
    sizes = pool_window.arguments(2 * blocks, x.shape[2:], expected.shape[2:], (3, 2), (2, 1), (1, 2), (1, 1), (2, 1))
    variant = Variant.of("byte.max_pool", lanes=lanes, element=NAMES[dtype])
    y = poison((2, blocks, *expected.shape[2:], lanes), dtype)
    got = run(variant, {"x": to_blocked(x, lanes, pad=77), "y": y}, sizes, target)["y"]
    np.testing.assert_array_equal(from_blocked(got, 21), expected)


@ON_TARGETS
@BYTES
def test_global_average(target: Target, dtype: Any) -> None:
    x, lanes = _bytes(dtype, 2, 19, 5, 7), target.lanes
    x_scale, y_scale, x_zero, y_zero = np.float32(0.02), np.float32(0.013), np.asarray(5, dtype), np.asarray(9, dtype)
    expected = q_linear_global_average_pool(x, np.asarray(x_scale), x_zero, np.asarray(y_scale), y_zero)
    blocks = -(-19 // lanes)
    sizes = {"planes": 2 * blocks, "positions": 35, "x_zero": 5, "y_zero": 9, "y_least": int(np.iinfo(dtype).min)}
    sizes["factor"] = float_bits(float(x_scale / (y_scale * np.float32(35))))
    variant = Variant.of("byte.global_average", lanes=lanes, element=NAMES[dtype])
    y = poison((2, blocks, 1, 1, lanes), dtype)
    got = run(variant, {"x": to_blocked(x, lanes, pad=77), "y": y}, sizes, target)["y"]
    np.testing.assert_array_equal(from_blocked(got, 19), expected)


@ON_TARGETS
@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 7), (1, 16, 49), (2, 35, 33)])
def test_layouts(target: Target, shape: tuple[int, int, int]) -> None:
    (n, c, s), lanes = shape, target.lanes
    x, blocks = _bytes(np.uint8, *shape), -(-c // lanes)
    sizes = layout_conversion.arguments(n, c, s, blocks, lanes)
    variant = Variant.of("layout.plain_to_blocked", lanes=lanes, size=1)
    y = poison((n, blocks, s, lanes), np.uint8)
    got = run(variant, {"y": y, "x": x, "map": None}, sizes, target)["y"]
    np.testing.assert_array_equal(got, to_blocked(x, lanes, pad=0))
    variant = Variant.of("layout.blocked_to_plain", lanes=lanes, size=1)
    blocked = to_blocked(x, lanes, pad=77)
    back = run(variant, {"y": poison(shape, np.uint8), "x": blocked, "map": None}, sizes, target)["y"]
    np.testing.assert_array_equal(back, x)
