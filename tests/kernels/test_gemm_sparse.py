"""Products with packed sparse weights against NumPy in float64, bytes bit for bit: densities, patterns, CPU targets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cnnc.runtime.cpu.gemm_sparse_packing import LIST_SUMS, byte_words, choose_panel, pack_lists, pack_masks
from cnnc.runtime.cpu.sparse_packing import pack_sparse
from cnnc.runtime.cpu.tile_table import CHAIN
from cnnc.runtime.host.quantized import q_linear_gemm
from cnnc.runtime.jit.target import host_target, x86_target
from cnnc.runtime.kernel import Target, Variant
from tests.kernels.harness import named, poison, run
from tests.rotation import in_turn

pytestmark = pytest.mark.jit
TARGETS = [host_target()] + [x86_target(level) for level in ("sse", "avx2", "avx512")]
SHAPES = [(1, 1, 1), (1, 37, 100), (3, 19, 257), (2, 64, 31), (1, 50, 1500)]
DENSITIES = [0.0, 0.03, 0.3, 1.0]
MASKS_NEED = pytest.mark.skipif(host_target().lanes != 16, reason="masks are of 16 lanes")


def sparse(rng: np.random.Generator, k: int, n: int, density: float, group: int = 1) -> np.ndarray:
    """[k, n] where groups of columns are kept with this probability; at least one row and column is empty."""
    kept = rng.random((k, -(-n // group))) < density
    if density < 1:
        kept[:, :1], kept[-1:] = False, False
    return rng.standard_normal((k, n), np.float32) * np.repeat(kept, group, axis=1)[:, :n]


def lists_call(words: np.ndarray, group: int, target: Target, panel: int = 64) -> tuple[dict, dict, dict]:
    """Buffers, sizes and parameters that the weights give."""
    packed = pack_lists(words, target.lanes, group, panel)
    buffers = {"starts": packed.starts, "counts": packed.counts, "positions": packed.positions, "words": packed.words}
    return buffers, {"entries": packed.positions.size, "panel": panel, "n_tiles": 2}, {"group": group}


def masks_call(words: np.ndarray, rows: int, blocks: int, target: Target) -> tuple[dict, dict, dict]:
    packed = pack_masks(words, target.lanes, blocks)
    buffers = {"starts": packed.starts, "positions": packed.positions, "masks": packed.masks, "words": packed.words}
    sizes = {"steps": packed.positions.size, "entries": packed.words.size, "m_tiles": 2, "n_tiles": 1}
    return buffers, sizes, {"rows": rows, "blocks": blocks}


def rows_call(
    words: np.ndarray, rows: int, share: int, target: Target, part_groups: int = 2
) -> tuple[dict, dict, dict]:
    lanes, (k, n) = target.lanes, words.shape
    padded = np.zeros((n, -(-k // lanes) * lanes), words.dtype)
    padded[:, :k] = words.T
    row_bytes = -(-rows // lanes) * lanes * 4
    packed = pack_sparse(padded.reshape(n, -1, 1, lanes), lanes, -(-n // lanes), row_bytes, share, part_groups)
    buffers = {"entries": packed.entries, "index": packed.index, "groups": packed.groups}
    sizes = {"group_count": len(packed.groups), "parts": packed.parts, "entry_words": packed.entries.size}
    return buffers, sizes | {"oc_blocks": 2}, {"rows": rows, "share": share}


def run_floats(kernel: str, a: np.ndarray, b: np.ndarray, call: tuple[dict, dict, dict], target: Target) -> np.ndarray:
    """relu(a @ b + bias), bias being 1, 2, 3, ..."""
    (m, k), n = a.shape, b.shape[1]
    buffers, sizes, params = call
    bias = np.arange(1, n + 1, dtype=np.float32)
    sizes = {"M": m, "N": n, "K": k, "a_row": k, "y_row": n, "alpha": 0, "beta": 0, **sizes}
    variant = Variant.of(kernel, activation="relu", lanes=target.lanes, **params)
    buffers = {"a": a, "bias": bias, "slopes": None, "y": poison((m, n)), **buffers}
    return run(variant, buffers, sizes, target)["y"]


def check_floats(got: np.ndarray, a: np.ndarray, b: np.ndarray) -> None:
    expected = np.maximum(a.astype(np.float64) @ b + np.arange(1, b.shape[1] + 1), 0)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5 * np.sqrt(b.shape[0]))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("group", "target"), in_turn([1, 4], TARGETS), ids=named)
def test_lists(target: Target, shape: tuple[int, int, int], group: int) -> None:
    (m, n, k), rng = shape, np.random.default_rng(3)
    for density in DENSITIES:
        a, b = rng.standard_normal((m, k), np.float32), sparse(rng, k, n, density, group)
        got = run_floats("gemm.f32.sparse_lists", a, b, lists_call(b, group, target), target)
        check_floats(got, a, b)


@MASKS_NEED
@pytest.mark.parametrize("shape", [*SHAPES, (9, 70, 300)])
@pytest.mark.parametrize(("rows", "blocks"), [(1, 1), (1, 4), (3, 2)])
def test_masks(shape: tuple[int, int, int], rows: int, blocks: int) -> None:
    (m, n, k), rng, target = shape, np.random.default_rng(4), host_target()
    for density in DENSITIES:
        a, b = rng.standard_normal((m, k), np.float32), sparse(rng, k, n, density)
        got = run_floats("gemm.f32.sparse_masks", a, b, masks_call(b, rows, blocks, target), target)
        check_floats(got, a, b)


@pytest.mark.parametrize("shape", [*SHAPES, (9, 70, 300), (35, 20, 40)])
@pytest.mark.parametrize(("share", "target"), in_turn([1, 4], TARGETS), ids=named)
def test_rows(target: Target, shape: tuple[int, int, int], share: int) -> None:
    (m, n, k), rng = shape, np.random.default_rng(6)
    for rows in (4, target.lanes, 2 * target.lanes + 4):
        for density in DENSITIES:
            a, b = rng.standard_normal((m, k), np.float32), sparse(rng, k, n, density, share)
            got = run_floats("gemm.f32.sparse_rows", a, b, rows_call(b, rows, share, target), target)
            check_floats(got, a, b)


@pytest.mark.parametrize("kernel", ["lists", pytest.param("masks", marks=MASKS_NEED)])
def test_one_weight(kernel: str) -> None:
    target, a = host_target(), np.arange(1, 71, dtype=np.float32)[None]
    for row, column in ((0, 0), (69, 36), (64, 16)):
        b = np.zeros((70, 37), np.float32)
        b[row, column] = -0.5
        call = lists_call(b, 1, target) if kernel == "lists" else masks_call(b, 1, 2, target)
        check_floats(run_floats(f"gemm.f32.sparse_{kernel}", a, b, call, target), a, b)


@pytest.mark.parametrize("kernel", ["lists", "quartets", "rows", pytest.param("masks", marks=MASKS_NEED)])
def test_infinities_count_where_there_is_a_weight(kernel: str) -> None:
    """As in a sum over the weights that are not zero: no product of zero and infinity is made."""
    rng, target = np.random.default_rng(5), host_target()
    group = 4 if kernel == "quartets" else 1
    a, b = rng.standard_normal((2, 90), np.float32), sparse(rng, 90, 40, 0.2, group)
    a[0, 5], a[1, 77] = np.inf, np.nan
    call = lists_call(b, group, target)
    if kernel in ("masks", "rows"):
        call = masks_call(b, 2, 2, target) if kernel == "masks" else rows_call(b, 4, 1, target)
    name = "lists" if kernel == "quartets" else kernel
    got = run_floats(f"gemm.f32.sparse_{name}", a, b, call, target)
    for row, position in ((0, 5), (1, 77)):
        reached = b[position] != 0
        others = np.where(np.arange(90) == position, 0, a[row]).astype(np.float64) @ b + np.arange(1, 41)
        np.testing.assert_allclose(got[row, ~reached], np.maximum(others, 0)[~reached], atol=1e-4)
        if row == 0:
            np.testing.assert_array_equal(got[row, reached], np.where(b[position] > 0, np.inf, 0)[reached])
        else:
            assert np.isnan(got[row, reached]).all()


@pytest.mark.parametrize(("kernel", "target"), in_turn(["lists", "quartets", "rows", "masks"], TARGETS), ids=named)
@pytest.mark.parametrize("signed", [False, True])
def test_bytes_equal_the_reference(target: Target, kernel: str, signed: bool) -> None:
    if kernel == "masks" and target.lanes != 16:
        pytest.skip("masks are of 16 lanes")
    rng, dtype = np.random.default_rng(7), np.int8 if signed else np.uint8
    for m, n, k, density in ((1, 37, 512, 0.1), (3, 19, 24, 0.5), (2, 70, 600, 0.02), (1, 5, 8, 1.0)):
        a: Any = rng.integers(0, 256, (m, k)).astype(np.uint8).view(dtype)
        b = np.where(
            sparse(rng, k, n, density, 4 if kernel == "quartets" else 1) != 0, rng.integers(-128, 128, (k, n)), 0
        ).astype(np.int8)
        bias = rng.integers(-4000, 4000, n).astype(np.int32)
        b_scale = rng.uniform(0.5, 1.5, n).astype(np.float32)
        a_scale, y_scale = np.float32(2e-3 / np.sqrt(k * density)), np.float32(1.5)
        a_zero, y_zero = np.asarray(-9 if signed else 119, dtype), np.asarray(33, dtype)
        expected = q_linear_gemm(
            a, np.asarray(a_scale), a_zero, b, b_scale, np.zeros(n, np.int8), bias, np.asarray(y_scale), y_zero
        )
        correction = (int(a_zero) + (128 if signed else 0)) * b.sum(0, dtype=np.int64)
        words = byte_words(b)
        if kernel == "masks":
            buffers, sizes, params = masks_call(words, 2, 2, target)
        elif kernel == "rows":
            buffers, sizes, params = rows_call(words, target.lanes, 2, target)
        else:
            buffers, sizes, params = lists_call(words, 4 if kernel == "quartets" else 1, target)
        buffers |= {"a": a, "bias": (bias - correction).astype(np.int32), "slopes": a_scale * b_scale / y_scale}
        sizes |= {"M": m, "N": n, "K": k // 4, "a_row": k // 4, "y_row": n}
        sizes |= {"alpha": int(y_zero), "beta": int(np.iinfo(dtype).min)}
        element = "i8" if signed else "u8"
        name = f"gemm.u8.sparse_{'lists' if kernel == 'quartets' else kernel}"
        variant = Variant.of(name, activation="requantize", lanes=target.lanes, element=element, **params)
        got = run(variant, {**buffers, "y": poison((m, n), dtype)}, sizes, target)["y"]
        np.testing.assert_array_equal(got, expected)


def test_packing_keeps_what_is_not_zero() -> None:
    b = np.zeros((5, 6), np.float32)
    b[1, 2], b[1, 5], b[4, 2] = 1.0, np.nan, 3.0
    masks = pack_masks(b, 4, 1)
    np.testing.assert_array_equal(masks.starts, [[0, 0], [2, 2], [3, 3]])
    np.testing.assert_array_equal(masks.positions, [1, 4, 1])
    np.testing.assert_array_equal(masks.masks.reshape(-1), [4, 4, 2])
    np.testing.assert_array_equal(masks.words, [1.0, 3.0, np.nan])
    lists = pack_lists(b, 4, 1, panel=4)
    np.testing.assert_array_equal(lists.counts, [[[0, 0, 1, 0], [0, 0, 1, 0]], [[0, 1, 0, 0], [0, 0, 0, 0]]])
    np.testing.assert_array_equal(lists.positions, [1, 0, 1])
    np.testing.assert_array_equal(lists.words, [1.0, 3.0, np.nan])
    np.testing.assert_array_equal(lists.starts, [0, 2, 3])


@pytest.mark.parametrize("group", [1, 4])
@pytest.mark.parametrize("density", [0.05, 0.5, 1.0])
def test_panels_keep_chains_short(group: int, density: float) -> None:
    b = sparse(np.random.default_rng(8), 9000, 8, density, group)
    panel = choose_panel(b, group, LIST_SUMS[group], 4096)
    longest = pack_lists(b, 8, group, panel).counts.max()
    assert longest <= CHAIN * LIST_SUMS[group]
    assert panel == 4096 or pack_lists(b, 8, group, 2 * panel).counts.max() > CHAIN * LIST_SUMS[group]
