"""Long sums of convolutions and matrix products are as accurate as sums in two levels are."""

import numpy as np
import pytest

from cnnc.runtime.cpu.gemm import pack_gemm
from cnnc.runtime.cpu.tile_table import CHAIN
from cnnc.runtime.jit.target import host_target
from cnnc.runtime.kernel import Variant
from tests.kernels.guarded import run_kernel
from tests.kernels.test_conv_direct import run_conv
from tests.kernels.test_conv_pointwise import run_pointwise
from tests.kernels.test_gemm import run_matmul

pytestmark = pytest.mark.jit
K = 4608


def check(got: np.ndarray, exact: np.ndarray, k: int = K) -> None:
    """Bounds the root mean square error of sums of ``k`` random products, over the deviation of the sums.

    The k-th addition of a chain rounds a sum of deviation sqrt(k), with a mean square of at most k u^2 / 3, u = 2^-24.
    A chain of B products gathers B^2 u^2 / 6. n chains and the additions of their sums gather (n B^2 + B n^2) u^2 / 6,
    over the variance n B of the sum: (B + n) u^2 / 6. One chain alone would gather n B u^2 / 6.
    """
    chain = min(k, CHAIN)
    error = np.sqrt(np.mean((got - exact) ** 2)) / np.sqrt(np.mean(exact**2))
    assert error <= 2.0**-24 * np.sqrt((chain + k / chain) / 6)


@pytest.mark.parametrize("k", [64, CHAIN, CHAIN + 1, 2 * CHAIN, 1000, K])
def test_gemm(k):
    rng = np.random.default_rng(k)
    m, n, lanes = 40, 48, host_target().lanes
    a, b = rng.standard_normal((m, k), np.float32), rng.standard_normal((k, n), np.float32)
    sizes = {"M": m, "N": n, "K": k, "a_row": k, "a_column": 1, "y_row": n, "m_tiles": 3, "n_tiles": 1}
    arrays = {"a": a, "b": pack_gemm(b, lanes, 2), "bias": np.zeros(n, np.float32), "y": np.zeros((m, n), np.float32)}
    variant = Variant.of("gemm.f32", rows=4, blocks=2, activation="none", residual=0, lanes=lanes)
    got = run_kernel(variant, arrays, sizes | {"alpha": 0, "beta": 0})["y"]
    check(got, a.astype(np.float64) @ b, k)


def test_matmul():
    rng = np.random.default_rng(0)
    check(*run_matmul(rng.standard_normal((1, 2, 20, K), np.float32), rng.standard_normal((1, 2, K, 40), np.float32)))


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("case", [{"x": (1, 512, 7, 7), "w": (20, 512, 3, 3)}, {"x": (1, K, 5, 6), "w": (20, K, 1, 1)}])
def test_direct(case, plain):
    got, exact, _ = run_conv(case, plain=plain)
    check(got, exact)


def test_pointwise():
    got, exact, _ = run_pointwise(1, K, 20, 30)
    check(got, exact)


def test_long_sums_have_the_same_bits_for_any_split():
    case = {"x": (1, 100, 6, 11), "w": (20, 100, 3, 3), "pads": (1, 1, 1, 1)}
    whole, _, _ = run_conv(case, tiles=(1, 1, 1))
    split, _, _ = run_conv(case, tiles=(3, 3, 2), splits=3)
    assert np.array_equal(whole, split)
