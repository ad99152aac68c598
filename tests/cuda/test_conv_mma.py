"""The implicit GEMM convolution on tensor cores, on the emulator: equal to the definition with rounded factors."""

from __future__ import annotations

import numpy as np
import pytest

from cnnc.runtime.cuda.tensor_precision import rounded
from cnnc.runtime.cuda.warp_tile import WarpTile, pack_fragments, tile_params
from cnnc.runtime.kernel import Variant
from tests.cuda.emulated import blocked, launch, plain
from tests.kernels import reference

RNG = np.random.default_rng(5)
SMALL = (32, 16, 2, 2, 4)
"""Pixels and channels of a warp, warps of a block along both, blocks of a step."""


def run(
    x,
    w,
    precision,
    *,
    tile=SMALL,
    stride=(1, 1),
    dilation=(1, 1),
    pad=(0, 0),
    groups=1,
    activation="none",
    residual=None,
    bias=None,
    slopes=None,
    architecture="sm_80",
):
    """(y, counters) of the kernel."""
    shape = WarpTile(*tile, precision)
    kernel = w.shape[2:]
    result = [
        (size + 2 * p - d * (k - 1) - 1) // s + 1
        for size, p, d, k, s in zip(x.shape[2:], pad, dilation, kernel, stride)
    ]
    oc, channels = w.shape[0], x.shape[1] // groups
    x_blocks, y_blocks = -(-channels // 8), -(-oc // groups // 8)
    assert groups == 1 or not (channels % 8 or oc // groups % 8)
    source = blocked(x)
    y = np.full((x.shape[0], groups * y_blocks, *result, 8), np.nan, np.float32)
    padded = np.zeros((2, 8 * groups * y_blocks), np.float32)
    padded[0, :oc] = 0 if bias is None else bias
    padded[1, :oc] = 0 if slopes is None else slopes
    other = None if residual is None else blocked(residual)
    sizes = {"images": x.shape[0], "groups": groups, "x_blocks": x_blocks, "y_blocks": y_blocks}
    sizes |= {"last_lanes": channels - 8 * (x_blocks - 1), "D": 1, "OD": 1, "KD": 1, "alpha": 0, "beta": 0}
    sizes |= {"H": x.shape[2], "W": x.shape[3], "OH": result[0], "OW": result[1], "KH": kernel[0], "KW": kernel[1]}
    sizes |= {"stride_d": 1, "stride_h": stride[0], "stride_w": stride[1]}
    sizes |= {"dilation_d": 1, "dilation_h": dilation[0], "dilation_w": dilation[1]}
    sizes |= {"begin_d": 0, "begin_h": pad[0], "begin_w": pad[1]}
    sizes |= {"x_image": source[0].size, "y_image": y[0].size, "residual_image": 0 if other is None else other[0].size}
    buffers = {"y": y, "x": source, "weights": pack_fragments(w, groups, shape), "bias": padded[0]}
    buffers |= {"slopes": None if slopes is None else padded[1].copy(), "residual": other}
    variant = Variant.of(
        "conv.mma.implicit_gemm",
        **tile_params(shape),
        window=int((*kernel, *stride, *pad) != (1, 1, 1, 1, 0, 0)),
        tail=int(channels % 8 != 0),
        activation=activation,
        residual=int(residual is not None),
    )
    counters = launch(variant, buffers, sizes, architecture=architecture)
    return plain(y, oc), counters


def expected(x, w, precision, **window):
    """The convolution of rounded factors, in float64."""
    window.setdefault("stride", (1, 1))
    window.setdefault("dilation", (1, 1))
    pad = window.get("pad", (0, 0))
    x, w = (rounded(values, precision).astype(np.float64) for values in (x, w))
    return reference.conv(x, w, window["stride"], window["dilation"], (*pad, *pad), window.get("groups", 1))


def random(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("precision", ["tf32", "f16", "bf16"])
@pytest.mark.parametrize(
    ("x_shape", "w_shape", "window"),
    [
        ((2, 13, 9, 7), (38, 13, 3, 3), {"stride": (2, 2), "pad": (1, 1)}),
        ((1, 40, 5, 3), (8, 40, 1, 1), {}),
        ((1, 3, 6, 9), (7, 3, 5, 2), {"pad": (2, 1), "dilation": (1, 2)}),
        ((1, 32, 5, 5), (48, 16, 3, 3), {"pad": (1, 1), "groups": 2}),
    ],
    ids=str,
)
def test_equals_definition_of_rounded_factors(precision, x_shape, w_shape, window):
    x, w = random(*x_shape), random(*w_shape)
    y, counters = run(x, w, precision, **window)
    np.testing.assert_allclose(y, expected(x, w, precision, **window), atol=2e-4)
    assert counters.conflicts == 0


TILES = [(64, 64, 2, 2, 2), (64, 32, 2, 2, 4), (32, 64, 1, 2, 2)]


@pytest.mark.parametrize("tile", TILES, ids=str)
@pytest.mark.parametrize("precision", ["tf32", "f16"])
def test_every_tile(tile, precision):
    """Two images whose pixels share blocks of threads, and steps that reach behind the last block of channels."""
    x, w = random(2, 22, 7, 11), random(70, 22, 3, 3)
    y, counters = run(x, w, precision, tile=tile, pad=(1, 1))
    np.testing.assert_allclose(y, expected(x, w, precision, pad=(1, 1)), atol=3e-4)
    assert counters.conflicts == 0


@pytest.mark.parametrize("activation", ["none", "relu", "hard_swish", "prelu"])
def test_epilogue(activation):
    x, w = random(1, 16, 6, 5), random(20, 16, 1, 1)
    bias, slopes, residual = random(20), random(20), random(1, 20, 6, 5)
    y, _ = run(x, w, "bf16", activation=activation, bias=bias, residual=residual, slopes=slopes)
    sums = expected(x, w, "bf16") + bias[:, None, None] + residual
    found = {
        "none": sums,
        "relu": np.maximum(sums, 0),
        "hard_swish": sums * np.clip(sums / 6 + 0.5, 0, 1),
        "prelu": np.where(sums < 0, sums * slopes[:, None, None], sums),
    }[activation]
    np.testing.assert_allclose(y, found, atol=1e-4)


def test_turing_multiplies_f16_in_halves():
    x, w = random(1, 24, 6, 5), random(20, 24, 3, 3)
    y, counters = run(x, w, "f16", pad=(1, 1), architecture="sm_75")
    np.testing.assert_allclose(y, expected(x, w, "f16", pad=(1, 1)), atol=2e-4)
    _, ampere = run(x, w, "f16", pad=(1, 1))
    assert counters.issued["tensor"] == 2 * ampere.issued["tensor"]


def test_f16_has_no_number_beyond_its_range():
    """65519 rounds to 65504, 65520 to infinity; infinity times 0 is not a number."""
    x = np.zeros((1, 8, 1, 32), np.float32)
    x[0, 0, 0, :3] = 65519, 65520, -1e6
    w = np.zeros((16, 8, 1, 1), np.float32)
    w[:8, 0] = 1
    y, _ = run(x, w, "f16")
    assert np.all(y[0, :8, 0, :3] == [65504, np.inf, -np.inf])
    assert np.all(np.isnan(y[0, 8:, 0, 1:3])) and np.all(y[0, :, 0, 3:] == 0)
    y, _ = run(x, w, "bf16")
    assert np.all(np.isfinite(y))


@pytest.mark.parametrize("precision", ["tf32", "f16"])
def test_memory_is_read_and_written_by_whole_sectors(precision):
    """A 1x1 convolution whose tiles divide the map: no sector is touched twice by an instruction."""
    x, w = random(1, 64, 16, 16), random(64, 64, 1, 1)
    _, counters = run(x, w, precision, tile=(64, 32, 2, 2, 2))
    assert counters.sectors == counters.least_sectors and counters.conflicts == 0
    assert "load local" not in counters.issued and "store local" not in counters.issued
