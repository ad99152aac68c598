"""Matrix products on the emulator, against NumPy in float64: odd sizes, strides, K divided between warps and blocks."""

from __future__ import annotations

import numpy as np
import pytest

from cnnc.runtime.cuda.gemm_few_rows import pack_rows
from cnnc.runtime.kernel import Variant
from tests.cuda.emulated import launch
from tests.kernels.guarded import float_bits


def _random(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape, np.float32)


def _few_rows(a, weights, bias, tile, *, splits=1, strides=None, activation="none", alpha=0.0):
    """Y of the kernel, and its counters; ``strides`` of A's rows and columns if it is not stored as it is."""
    (rows, depth), columns = a.shape, weights.shape[1]
    row, column = strides or (depth, 1)
    quads = int(column == 1 and row % 4 == 0 and depth % 4 == 0)
    common = {"activation": activation}
    partial = int(splits > 1)
    variant = Variant.of(
        "gemm.f32.few_rows", rows=tile[0], columns=tile[1], parts=tile[2], quads=quads, partial=partial, **common
    )
    y = np.full((rows, columns), np.nan, np.float32)
    sums = np.full((splits, rows, columns), np.nan, np.float32)
    numbers = {"M": rows, "N": columns, "splits": splits, "alpha": float_bits(alpha), "beta": 0}
    stored = np.ascontiguousarray(a.T) if row == 1 else a
    buffers = {"y": sums if partial else y, "a": stored, "weights": pack_rows(weights), "bias": bias}
    counters = launch(variant, buffers, {"K": depth, "a_row": row, "a_column": column, **numbers})
    if partial:
        launch(Variant.of("gemm.f32.sum_splits", **common), {"y": y, "sums": sums, "bias": bias}, numbers)
    return y, counters


@pytest.mark.parametrize("tile", [(1, 1, 1), (1, 2, 8), (2, 2, 2), (8, 1, 4)], ids=str)
@pytest.mark.parametrize("sizes", [(1, 1, 1), (1, 37, 150), (3, 10, 1030), (9, 17, 64)], ids=str)
def test_few_rows(tile, sizes):
    rows, columns, depth = sizes
    a, weights, bias = _random(rows, depth), _random(depth, columns), _random(columns)
    expected = a.astype(np.float64) @ weights + bias
    y, counters = _few_rows(a, weights, bias, tile)
    np.testing.assert_allclose(y, expected, atol=2e-6 * depth**0.5 + 1e-6)
    assert counters.conflicts == 0
    assert not counters.issued["load local"]


@pytest.mark.parametrize("splits", [2, 3])
def test_few_rows_in_splits(splits):
    a, weights, bias = _random(2, 1300), _random(1300, 5), _random(5)
    y, _ = _few_rows(a, weights, bias, (2, 1, 4), splits=splits, activation="leaky_relu", alpha=0.25)
    expected = a.astype(np.float64) @ weights + bias
    np.testing.assert_allclose(y, np.where(expected < 0, 0.25 * expected, expected), atol=1e-4)


def test_few_rows_of_a_transposed_matrix():
    a, weights, bias = _random(3, 70), _random(70, 6), _random(6)
    y, _ = _few_rows(a, weights, bias, (4, 2, 2), strides=(1, 3))
    np.testing.assert_allclose(y, a.astype(np.float64) @ weights + bias, atol=2e-5)


def test_few_rows_reads_every_weight_once():
    a, weights, bias = _random(1, 1024), _random(1024, 64), _random(64)
    _, counters = _few_rows(a, weights, bias, (1, 2, 2))
    # Two columns share what they read of A.
    assert counters.sectors <= 1.1 * (weights.nbytes / 32 + weights.nbytes / 2 / 32 + 64)
    assert counters.issued["load global"] <= 1.1 * (weights.nbytes / 512 * 1.5 + 32)


def _matmul(a, b, bias, tile=(8, 8, 8, 8), *, a_depth=True, b_depth=False, scale=1.0, activation="none"):
    """Y of a [batch, M, K] and b [batch or 1, K, N], stored so that K is contiguous where ``*_depth`` says so."""
    batch, rows, depth = a.shape
    columns = b.shape[2]
    stored_a = a if a_depth else np.ascontiguousarray(a.swapaxes(1, 2))
    stored_b = np.ascontiguousarray(b.swapaxes(1, 2)) if b_depth else b
    y = np.full((batch, rows, columns), np.nan, np.float32)
    params = dict(zip(("rows", "columns", "row_threads", "column_threads"), tile))
    params |= {"a_depth": int(a_depth), "b_depth": int(b_depth), "quads": int(columns % 4 == 0)}
    variant = Variant.of("matmul.f32", **params, activation=activation, bias=int(bias is not None))
    sizes = {"B0": 1, "B1": batch, "M": rows, "N": columns, "K": depth, "m_tiles": 1, "n_tiles": 1}
    sizes |= {"a_batch0": 0, "a_batch1": rows * depth, "b_batch0": 0, "b_batch1": depth * columns * (len(b) > 1)}
    sizes |= dict(zip(("a_row", "a_column"), (depth, 1) if a_depth else (1, rows)))
    sizes |= dict(zip(("b_row", "b_column"), (1, depth) if b_depth else (columns, 1)))
    sizes |= {"y_batch0": 0, "y_batch1": rows * columns, "y_row": columns}
    sizes |= {"scale": float_bits(scale), "alpha": 0, "beta": 0}
    return y, launch(variant, {"a": stored_a, "b": stored_b, "bias": bias, "y": y}, sizes)


@pytest.mark.parametrize("a_depth", [True, False])
@pytest.mark.parametrize("b_depth", [True, False])
def test_matmul_of_any_strides(a_depth, b_depth):
    a, b = _random(2, 70, 19), _random(2, 19, 67)
    y, counters = _matmul(a, b, None, (8, 8, 8, 8), a_depth=a_depth, b_depth=b_depth, scale=0.5, activation="relu")
    np.testing.assert_allclose(y, np.maximum(0.5 * (a.astype(np.float64) @ b), 0), atol=1e-5)
    assert counters.conflicts == 0
    assert not counters.issued["load local"]


@pytest.mark.parametrize("tile", [(4, 4, 8, 8), (8, 8, 16, 16)], ids=str)
@pytest.mark.parametrize("sizes", [(1, 1, 1), (33, 130, 40), (40, 36, 0)], ids=str)
def test_matmul_with_bias(tile, sizes):
    rows, columns, depth = sizes
    a, b, bias = _random(1, rows, depth), _random(1, depth, columns), _random(columns)
    y, counters = _matmul(a, b, bias, tile)
    np.testing.assert_allclose(y, a.astype(np.float64) @ b + bias, atol=1e-5)
    assert counters.conflicts == 0


def test_matmul_broadcasts_and_reads_whole_sectors():
    a, b = _random(3, 64, 32), _random(1, 32, 64)
    y, counters = _matmul(a, b, None)
    np.testing.assert_allclose(y, a.astype(np.float64) @ b, atol=1e-5)
    assert counters.sectors <= 1.1 * (2 * a.nbytes / 32 + 2 * y.nbytes / 32)
