"""Element-wise ops and layouts of bytes: equal to the reference, bit for bit; every target."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cnnc.lower.spatial import float_bits
from cnnc.runtime.cpu import layout_conversion
from cnnc.runtime.host.quantization import dequantize_linear, quantize_linear
from cnnc.runtime.host.quantized import q_linear_add, q_linear_mul
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


def _all_pairs(dtype: Any) -> tuple[Any, Any]:
    """All pairs of bytes but three: no whole number of vectors."""
    a, b = (side.reshape(-1) for side in np.meshgrid(np.arange(256), np.arange(256)))
    return a.astype(np.uint8).view(dtype)[:-3], b.astype(np.uint8).view(dtype)[:-3]


def _run(target: Target, kind: str, a: Any, b: Any, result: Any, gate: int = 0, **arguments: float) -> Any:
    sizes = {name: float_bits(arguments.get(name, 1.0)) for name in ("a_scale", "b_scale", "addend", "y_scale")}
    sizes |= {name: int(arguments.get(name, 0)) for name in ("a_zero", "b_zero", "y_zero", "a_gap", "b_gap", "y_gap")}
    images, planes = a.shape[:2] if gate else (1, 1)
    sizes |= {"images": images, "planes": planes, "count": a.size // (images * planes)}
    sizes["y_least"] = np.iinfo(result).min if result is not np.float32 else 0
    element = NAMES[a.dtype.type]
    params = {"kind": kind, "element": element, "result": NAMES[result], "gate": gate, "lanes": target.lanes}
    variant = Variant.of("byte.elementwise", **params)
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
def test_dequantize(target: Target, dtype: Any) -> None:
    x, scale, zero = _bytes(dtype, 517), np.asarray(np.float32(0.0173)), np.asarray(93, dtype)
    got = _run(target, "dequantize", x, None, np.float32, a_scale=scale, a_zero=zero)
    np.testing.assert_array_equal(got, dequantize_linear(x, scale, zero))


@ON_TARGETS
@BYTES
@pytest.mark.parametrize("zero", [0, 7, 120])
def test_mul(target: Target, dtype: Any, zero: int) -> None:
    a, b = _all_pairs(dtype)
    step, zeros = np.float32(0.0173), [np.asarray(value, dtype) for value in (100, 3, zero)]
    one = np.asarray(np.float32(1))
    expected = q_linear_mul(a, np.asarray(step), zeros[0], b, one, zeros[1], one, zeros[2])
    got = _run(target, "mul", a, b, dtype, a_scale=step, a_zero=100, b_zero=3, y_zero=zero)
    np.testing.assert_array_equal(got, expected)


@ON_TARGETS
@pytest.mark.parametrize("shape", [(2, 21, 3, 5), (1, 16, 1, 1), (3, 5, 40, 41)])
def test_gates(target: Target, shape: tuple[int, ...]) -> None:
    a, b = _bytes(np.uint8, *shape), _bytes(np.uint8, *shape[:2], 1, 1)
    step, zeros = np.float32(0.0103), [np.asarray(value, np.uint8) for value in (100, 3, 7)]
    one = np.asarray(np.float32(1))
    expected = q_linear_mul(a, np.asarray(step), zeros[0], b, one, zeros[1], one, zeros[2])
    blocked = [to_blocked(side, target.lanes, pad=77) for side in (a, b)]
    got = _run(target, "mul", *blocked, np.uint8, gate=1, a_scale=step, a_zero=100, b_zero=3, y_zero=7)
    np.testing.assert_array_equal(from_blocked(got, shape[1]), expected)


@ON_TARGETS
def test_ranges_of_channels(target: Target) -> None:
    images, count, gaps = 3, 160, {"a_gap": 32, "b_gap": 0, "y_gap": 16}
    a, b = _bytes(np.uint8, images * count + 2 * 32), _bytes(np.uint8, images * count)
    sizes = {name: float_bits(0.5) for name in ("a_scale", "b_scale", "addend", "y_scale")} | gaps
    sizes |= {"images": images, "planes": 1, "count": count, "a_zero": 0, "b_zero": 0, "y_zero": 0, "y_least": 0}
    params = {"kind": "add", "element": "u8", "result": "u8", "gate": 0, "lanes": target.lanes}
    y = poison((images * count + 2 * 16,), np.uint8)
    got = run(Variant.of("byte.elementwise", **params), {"y": y, "a": a, "b": b}, sizes, target)["y"]
    expected = y.copy()
    for image in range(images):
        sides = (side[image * step :][:count] for side, step in ((a, count + 32), (b, count)))
        total = sum(side.astype(np.float64) * 0.5 for side in sides) + 0.5
        expected[image * (count + 16) :][:count] = np.clip(np.rint(total), 0, 255)
    np.testing.assert_array_equal(got, expected)


@ON_TARGETS
@BYTES
@pytest.mark.parametrize(("a_scale", "b_scale"), [(0.5, 0.25), (0.0173, 0.0117), (3.0, 1e-9), (1e-3, 7.0)])
@pytest.mark.parametrize("zero", [0, 7, 120])
def test_add(target: Target, dtype: Any, zero: int, a_scale: float, b_scale: float) -> None:
    a, b = _all_pairs(dtype)
    scales = [np.asarray(np.float32(scale)) for scale in (a_scale, b_scale, 1.0)]
    zeros = [np.asarray(value, dtype) for value in (100, 3, zero)]
    expected = q_linear_add(a, scales[0], zeros[0], b, scales[1], zeros[1], scales[2], zeros[2])
    offset = -(scales[0] * np.float32(100) + scales[1] * np.float32(3))
    addend = np.float32(zero) + offset
    got = _run(target, "add", a, b, dtype, a_scale=a_scale, b_scale=b_scale, addend=addend, y_zero=zero)
    np.testing.assert_array_equal(got, expected)


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
