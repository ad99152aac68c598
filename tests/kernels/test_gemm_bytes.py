"""Matrix products of bytes: equal to the reference bit for bit, guard pages, every target."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cnnc.runtime.cpu.gemm import pack_byte_gemm
from cnnc.runtime.host.quantized import q_linear_gemm
from cnnc.runtime.jit.target import host_target, x86_target
from cnnc.runtime.kernel import Target, Variant
from tests.kernels.harness import poison, run

pytestmark = pytest.mark.jit
TARGETS = [x86_target(level) for level in ("sse", "avx2", "avx512")] + [host_target()]


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: f"{target.cpu}{target.features}")
@pytest.mark.parametrize("shape", [(1, 1, 4), (1, 37, 512), (5, 19, 24), (9, 70, 600)])
@pytest.mark.parametrize("signed", [False, True])
def test_gemm_equals_the_reference(target: Target, shape: tuple[int, int, int], signed: bool) -> None:
    (m, n, k), rng = shape, np.random.default_rng(7)
    dtype: Any = np.int8 if signed else np.uint8
    a = rng.integers(0, 256, (m, k)).astype(np.uint8).view(dtype)
    b = rng.integers(-128, 128, (k, n)).astype(np.int8)
    bias = rng.integers(-4000, 4000, n).astype(np.int32)
    b_scale = rng.uniform(0.5, 1.5, n).astype(np.float32)
    a_scale, y_scale = np.float32(2e-3 / np.sqrt(k)), np.float32(1.5)
    a_zero, y_zero = np.asarray(-9 if signed else 119, dtype), np.asarray(33, dtype)
    expected = q_linear_gemm(
        a, np.asarray(a_scale), a_zero, b, b_scale, np.zeros(n, np.int8), bias, np.asarray(y_scale), y_zero
    )
    correction = (int(a_zero) + (128 if signed else 0)) * b.sum(0, dtype=np.int64)
    buffers = {"a": a, "b": pack_byte_gemm(b, target.lanes, 2), "bias": (bias - correction).astype(np.int32)}
    buffers |= {"slopes": a_scale * b_scale / y_scale, "y": poison((m, n), dtype)}
    sizes = {"M": m, "N": n, "K": k // 4, "a_row": k // 4, "a_column": 1, "y_row": n, "m_tiles": 1, "n_tiles": 2}
    sizes |= {"alpha": int(y_zero), "beta": int(np.iinfo(dtype).min)}
    variant = Variant.of(
        "gemm.u8", rows=3, blocks=2, activation="requantize", residual=0, lanes=target.lanes,
        element="i8" if signed else "u8",
    )  # fmt: skip
    got = run(variant, {**buffers, "residual": None}, sizes, target)["y"]
    np.testing.assert_array_equal(got, expected)
