"""Matrix products on tensor cores, on the emulator: equal to the definition with rounded factors."""

from __future__ import annotations

import numpy as np
import pytest

from cnnc.runtime.cuda.conv_packing import InputBlocks
from cnnc.runtime.cuda.tensor_precision import rounded
from cnnc.runtime.cuda.warp_tile import WarpTile, pack_fragments, tile_params
from cnnc.runtime.kernel import Variant
from tests.cuda.emulated import launch

RNG = np.random.default_rng(6)
SMALL = (32, 16, 2, 2, 4)


def run(a, w, precision, *, tile=SMALL, splits=1, bias=None, activation="none", architecture="sm_80"):
    """(y, counters); partial sums [split, M, N] where there are several splits."""
    shape, (rows, depth), columns = WarpTile(*tile, precision), a.shape, w.shape[1]
    lines = np.full((rows, depth + 8), np.nan, np.float32)
    lines[:, :depth] = a
    padded = np.zeros(-(-columns // 4) * 4, np.float32)
    padded[:columns] = 0 if bias is None else bias
    y = np.full((splits, rows, columns), np.nan, np.float32)
    packed = pack_fragments(w.T, InputBlocks(tuple(range(depth)), 1), shape)
    variant = Variant.of(
        "gemm.mma",
        **tile_params(shape),
        quads=int(columns % 4 == 0),
        partial=int(splits > 1),
        activation=activation,
    )
    sizes = {"M": rows, "N": columns, "K": depth, "a_row": depth + 8, "splits": splits, "alpha": 0, "beta": 0}
    buffers = {"y": y, "a": lines, "weights": packed, "bias": padded}
    return y, launch(variant, buffers, sizes, architecture=architecture)


def expected(a, w, precision):
    return rounded(a, precision).astype(np.float64) @ rounded(w, precision).astype(np.float64)


def random(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("precision", ["tf32", "f16", "bf16"])
@pytest.mark.parametrize(("rows", "columns", "depth"), [(5, 10, 36), (70, 33, 100), (64, 64, 64)], ids=str)
def test_equals_definition_of_rounded_factors(precision, rows, columns, depth):
    """Rows of A end in poison; K ends within a step, N within a quad."""
    a, w, bias = random(rows, depth), random(depth, columns), random(columns)
    [y], counters = run(a, w, precision, bias=bias, activation="relu")
    np.testing.assert_allclose(y, np.maximum(expected(a, w, precision) + bias, 0), atol=1e-4)
    assert counters.conflicts == 0


@pytest.mark.parametrize("precision", ["tf32", "f16"])
def test_splits_share_the_steps(precision):
    a, w = random(20, 200), random(200, 24)
    y, _ = run(a, w, precision, splits=3)
    assert all(np.abs(part).max() > 0 for part in y)
    np.testing.assert_allclose(y.sum(axis=0), expected(a, w, precision), atol=1e-4)


def test_two_rows_a_thread_and_turing():
    a, w = random(130, 40), random(40, 140)
    [y], _ = run(a, w, "f16", tile=(64, 64, 2, 2, 2), architecture="sm_75")
    np.testing.assert_allclose(y, expected(a, w, "f16"), atol=1e-4)


def test_f16_has_no_number_beyond_its_range():
    """65519 rounds to 65504, 65520 to infinity; infinity times 0 is not a number. bfloat16 goes as far as float32."""
    a, w = np.zeros((4, 8), np.float32), np.zeros((8, 16), np.float32)
    a[:3, 0] = 65519, 65520, -1e6
    w[0, :8] = 1
    [y], _ = run(a, w, "f16")
    assert np.array_equal(y[:, :8], np.repeat([[65504], [np.inf], [-np.inf], [0]], 8, axis=1))
    assert np.all(np.isnan(y[1:3, 8:])) and np.all(y[[0, 3], 8:] == 0)
    [y], _ = run(a, w, "bf16")
    assert np.all(np.isfinite(y))


def test_memory_is_read_and_written_by_whole_sectors():
    _, counters = run(random(128, 64), random(64, 64), "f16")
    assert counters.sectors == counters.least_sectors and counters.conflicts == 0
    assert "load local" not in counters.issued and "store local" not in counters.issued
