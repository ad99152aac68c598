"""Rounding to the types of tensor cores: as PTX's ``cvt`` rounds, on the emulator."""

from __future__ import annotations

import numpy as np
import pytest

from cnnc.errors import InternalError
from cnnc.runtime.cuda.conv_packing import InputBlocks
from cnnc.runtime.cuda.target import cuda_target
from cnnc.runtime.cuda.tensor_precision import TENSOR_PRECISIONS, precision_refusal, rounded, rounded_bits
from cnnc.runtime.cuda.warp_tile import WarpTile, matrix_words, pack_fragments
from tests.ptx.snippets import run_snippet

RNG = np.random.default_rng(11)
HARD = [0.0, -0.0, 1.0, 65504.0, 65519.0, 65520.0, -7e5, 3e38, 1e-7, 3e-8, 1e-40, np.inf, -np.inf]
VALUES = np.array([*HARD, *RNG.standard_normal(19) * 10.0 ** RNG.integers(-6, 5, 19)], np.float32)
TIES = (np.arange(32, dtype=np.uint32) << 12 | np.uint32(0x3F800000)).view(np.float32)
HALF_TIES = (np.arange(32, dtype=np.uint32) << 15 | np.uint32(0x3F800000)).view(np.float32)


@pytest.mark.parametrize("values", [VALUES, TIES, HALF_TIES], ids=["values", "ties", "coarse ties"])
@pytest.mark.parametrize("precision", ["tf32", "f16", "bf16"])
def test_rounds_as_the_instruction_does(precision, values):
    if precision == "tf32":
        text, kind = "cvt.rna.tf32.f32 %y, %x;", "b32"
    else:
        text, kind = f".reg .f32 %zero; mov.f32 %zero, 0f00000000; cvt.rn.{precision}x2.f32 %y, %zero, %x;", "b32"
    found, _ = run_snippet(text, {"%x": ("f32", values)}, {"%y": kind})
    assert np.array_equal(rounded_bits(values, precision).astype(np.uint32), found["%y"])


@pytest.mark.parametrize("precision", ["tf32", "f16", "bf16"])
def test_limit_is_the_last_that_stays_finite(precision):
    limit = np.float32(TENSOR_PRECISIONS[precision].limit)
    assert np.isfinite(rounded(limit, precision))
    with np.errstate(over="ignore"):
        assert not np.isfinite(rounded(np.nextafter(limit, np.float32(np.inf)), precision))


@pytest.mark.parametrize(("precision", "step"), [("tf32", 2.0**-10), ("f16", 2.0**-10), ("bf16", 2.0**-7)])
def test_relative_error_is_half_a_step(precision, step):
    values = np.abs(RNG.standard_normal(1000)).astype(np.float32) + 1
    assert np.max(np.abs(rounded(values, precision) - values) / values) <= step / 2
    assert np.array_equal(rounded(rounded(values, precision), precision), rounded(values, precision))


def test_architectures():
    assert precision_refusal("f16", cuda_target("sm_75")) is None
    assert precision_refusal("tf32", cuda_target("sm_80")) is None
    for precision in ("tf32", "bf16"):
        assert precision_refusal(precision, cuda_target("sm_75")) == (
            f"tensor cores multiply {precision} from sm_80 on, this is sm_75"
        )


@pytest.mark.parametrize("precision", ["tf32", "f16"])
def test_fragments_hold_every_weight_once(precision):
    tile = WarpTile(32, 16, 2, 2, 4, precision)
    weights = rounded(RNG.standard_normal((2 * 40, 24, 3)).astype(np.float32), precision)
    packed = pack_fragments(weights, InputBlocks(tuple(range(2 * 24)), 2), tile)
    assert packed.size == 2 * 2 * 3 * tile.weight_bytes // 4
    elements = packed.view(np.float32 if precision == "tf32" else np.float16).astype(np.float32)
    assert np.array_equal(np.sort(elements[elements != 0]), np.sort(weights.reshape(-1)))


def test_matrices_fill_whole_tiles():
    tile = WarpTile(32, 16, 2, 2, 4, "f16")
    assert pack_fragments(np.ones((33, 65)), InputBlocks(tuple(range(65)), 1), tile).size == matrix_words(33, 65, tile)


@pytest.mark.parametrize("shape", [(16, 32, 2, 2, 2), (32, 16, 2, 2, 2), (24, 16, 2, 2, 4), (32, 16, 2, 2, 3)], ids=str)
def test_tiles_whose_threads_cannot_share_the_copies_are_refused(shape):
    with pytest.raises(InternalError, match="do not share its copies evenly"):
        WarpTile(*shape, "f16")
