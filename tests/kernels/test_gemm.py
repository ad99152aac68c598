"""Matrix products against NumPy in float64: strides, tails, batches, broadcasting, empty K, guard pages, any split."""

import numpy as np
import pytest

from cnnc.runtime.cpu.gemm import pack_bfloat_gemm, pack_gemm
from cnnc.runtime.cpu.gemm_tiling import choose_gemm_tiling
from cnnc.runtime.jit.target import host_target
from cnnc.runtime.kernel import Variant
from tests.kernels.bfloat import rounded
from tests.kernels.guarded import float_bits, run_kernel

pytestmark = pytest.mark.jit


def run_gemm(m, n, k, transposed=False, rows=5, blocks=2, tiles=(2, 1), products="f32", **run):
    rng = np.random.default_rng(m * n + k)
    lanes = host_target().lanes
    a = rng.standard_normal((k, m) if transposed else (m, k), np.float32)
    b = rng.standard_normal((k, n), np.float32)
    bias, other = rng.standard_normal(n, np.float32), rng.standard_normal((m, n), np.float32)
    logical = a.T if transposed else a
    weights = rounded(np.float32(0.5) * b) if products == "bf16_weights" else 0.5 * b
    expected = np.maximum(logical.astype(np.float64) @ weights + bias + other, 0)
    strides = (1, m) if transposed else (k, 1)
    sizes = {"M": m, "N": n, "K": k, "a_row": strides[0], "a_column": strides[1], "y_row": n}
    sizes |= {"m_tiles": tiles[0], "n_tiles": tiles[1], "alpha": 0, "beta": 0}
    arrays = {"a": a, "b": pack_gemm(b, lanes, blocks, 0.5), "bias": bias, "residual": other}
    arrays["y"] = np.zeros((m, n), np.float32)
    options = {"rows": rows, "blocks": blocks, "activation": "relu", "residual": 1, "lanes": lanes}
    kernel = "gemm.f32"
    if products == "bf16_weights":
        kernel = "gemm.bf16"
        options["products"] = products
        arrays["b"] = pack_bfloat_gemm(b, lanes, blocks, 0.5)
        sizes |= {"K": k // 2, "a_column": 2}
    return run_kernel(Variant.of(kernel, **options), arrays, sizes, **run)["y"], expected


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 37, 100), (13, 33, 7), (5, 64, 31), (11, 3, 129), (2, 17, 0)])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("at_start", [False, True])
def test_gemm(shape, transposed, at_start):
    got, expected = run_gemm(*shape, transposed, at_start=at_start)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-6 * (1 + shape[2]) ** 0.5 * 8)


@pytest.mark.parametrize("shape", [(1, 1, 2), (1, 37, 100), (13, 33, 8), (5, 64, 30), (11, 3, 130), (2, 17, 0)])
@pytest.mark.parametrize("at_start", [False, True])
def test_weights_of_bfloat16_on_any_cpu(shape, at_start):
    got, expected = run_gemm(*shape, products="bf16_weights", at_start=at_start)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-6 * (1 + shape[2]) ** 0.5 * 8)


def test_any_split_gives_the_same_bits():
    whole, _ = run_gemm(23, 75, 19)
    split, _ = run_gemm(23, 75, 19, tiles=(1, 2), splits=4)
    assert np.array_equal(whole, split)


def run_matmul(a, b, scale=1.0, bias=None, **run):
    """a [B0, B1, M, K], b [B0, B1, K, N]; batch axes of size 1 are broadcast, any strides."""
    lanes = host_target().lanes
    batches = np.broadcast_shapes(a.shape[:2], b.shape[:2])
    (m, k), n = a.shape[2:], b.shape[3]
    y = np.zeros((*batches, m, n), np.float32)
    expected = np.float64(scale) * np.matmul(a.astype(np.float64), b.astype(np.float64))
    sizes = {"B0": batches[0], "B1": batches[1], "M": m, "N": n, "K": k, "m_tiles": 2, "n_tiles": 1}
    for name, array in (("a", a), ("b", b), ("y", y)):
        steps = [0 if array.shape[axis] == 1 and axis < 2 else array.strides[axis] // 4 for axis in range(4)]
        sizes |= dict(zip((f"{name}_batch0", f"{name}_batch1", f"{name}_row", f"{name}_column"), steps))
    sizes |= {"scale": float_bits(scale), "alpha": 0, "beta": 0}
    arrays = {"a": _storage(a), "b": _storage(b), "y": y}
    if bias is not None:
        arrays["bias"] = bias
        expected = expected + bias
    options = {"rows": 5, "blocks": 2, "activation": "none", "bias": int(bias is not None), "lanes": lanes}
    return run_kernel(Variant.of("matmul.f32", **options), arrays, sizes, **run)["y"], expected


def _storage(array):
    """The contiguous array behind a transposed view."""
    return array if array.flags.c_contiguous else array.swapaxes(2, 3)


@pytest.mark.parametrize("case", ["plain", "a broadcast", "b broadcast", "transposed", "bias"])
@pytest.mark.parametrize("at_start", [False, True])
def test_matmul(case, at_start):
    rng = np.random.default_rng(7)
    a = rng.standard_normal((1 if case == "a broadcast" else 2, 3, 13, 9), np.float32)
    b = rng.standard_normal((2, 1 if case == "b broadcast" else 3, 9, 35), np.float32)
    if case == "transposed":
        a = np.ascontiguousarray(a.swapaxes(2, 3)).swapaxes(2, 3)
        b = np.ascontiguousarray(b.swapaxes(2, 3)).swapaxes(2, 3)
    bias = rng.standard_normal(35, np.float32) if case == "bias" else None
    got, expected = run_matmul(a, b, scale=0.25, bias=bias, at_start=at_start, splits=3)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("lanes", [4, 8, 16])
def test_tiling_fits_the_registers(lanes):
    for m in (1, 2, 7, 49, 196, 1000):
        for n in (1, 10, 64, 1000):
            tiling = choose_gemm_tiling(m, n, 512, lanes)
            assert tiling.rows * tiling.blocks <= (28 if lanes == 16 else 12)
            assert min(tiling.m_tiles, tiling.n_tiles) >= 1
