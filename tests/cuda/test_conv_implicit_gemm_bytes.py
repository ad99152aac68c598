"""Convolutions of bytes on the emulator, against their NumPy meaning: odd sizes, pad lanes that hold anything."""

from __future__ import annotations

import numpy as np
import pytest

from cnnc.runtime.cuda.byte_tile import ByteTile
from cnnc.runtime.cuda.byte_tiling import taps_of_step
from cnnc.runtime.cuda.conv_implicit_gemm_bytes import pack
from cnnc.runtime.host.quantized import q_linear_conv
from cnnc.runtime.kernel import Variant
from tests.cuda.emulated import blocked, launch, plain

TILES = [
    ByteTile(1, 8, 8, 8, 8),
    ByteTile(1, 4, 8, 16, 4, 8),
    ByteTile(0, 8, 8, 8, 8),
    ByteTile(0, 4, 4, 8, 8),
]


def run_conv(
    x, w, factors_of, tile, *, stride=1, pad=0, dilation=1, groups=1, x_zero=0, y_zero=0, y_dtype=np.uint8, **more
):
    """(result of the kernel, expected, counters) of a convolution with two spatial axes; bias is drawn."""
    rng = np.random.default_rng(1)
    oc = w.shape[0]
    bias = rng.integers(-999, 999, oc, dtype=np.int32)
    x_scale, y_scale = np.float32(0.02), np.float32(0.5)
    w_scale = factors_of(oc)
    expected = q_linear_conv(
        x,
        x_scale,
        np.asarray(x_zero, x.dtype),
        w,
        w_scale,
        np.zeros(oc, np.int8),
        y_scale,
        np.asarray(y_zero, y_dtype),
        bias,
        pads=(pad,) * 4,
        strides=(stride,) * 2,
        dilations=(dilation,) * 2,
        group=groups,
    )
    n, c, height, width = x.shape
    x_blocks, y_blocks = -(-c // groups // 8), -(-oc // groups // 8)
    taps = taps_of_step(x_blocks, tile.blocks)
    variant = Variant.of(
        "conv.u8.implicit_gemm",
        tensor=tile.tensor,
        rows=tile.rows,
        columns=tile.columns,
        row_threads=tile.row_threads,
        column_threads=tile.column_threads,
        blocks=tile.blocks,
        taps=taps,
        window=int(w.shape[2:] != (1, 1)),
        element={"u": "u8", "i": "i8"}[x.dtype.kind],
    )
    source = blocked(x, pad=77)
    y = np.full((n, groups * y_blocks, *expected.shape[2:], 8), 99, y_dtype)
    lanes = np.zeros(groups * y_blocks * 8, np.int32)
    sums = w.reshape(oc, -1).sum(1, dtype=np.int32)
    lanes[:oc] = bias - x_zero * sums
    factors = np.zeros(lanes.size, np.float32)
    factors[:oc] = x_scale * w_scale / y_scale
    sizes = {"images": n, "groups": groups, "x_blocks": x_blocks, "y_blocks": y_blocks, "D": 1, "OD": 1, "KD": 1}
    sizes |= {"H": height, "W": width, "OH": y.shape[2], "OW": y.shape[3], "KH": w.shape[2], "KW": w.shape[3]}
    sizes |= {"stride_d": 1, "stride_h": stride, "stride_w": stride, "begin_d": 0, "begin_h": pad, "begin_w": pad}
    sizes |= {"dilation_d": 1, "dilation_h": dilation, "dilation_w": dilation}
    sizes |= {"x_image": source[0].size, "y_image": y[0].size, "fill": (x_zero & 255) * 0x01010101}
    sizes |= {"y_zero": y_zero, "y_least": int(np.iinfo(y_dtype).min)}
    buffers = {"y": y, "x": source, "weights": pack(w, groups, tile), "bias": lanes, "factors": factors}
    counters = launch(variant, buffers, sizes, **more)
    return plain(y, oc), expected, counters


def _scales(count):
    return np.random.default_rng(2).uniform(0.5, 2, count).astype(np.float32) * np.float32(0.01)


@pytest.mark.parametrize("tile", TILES, ids=str)
@pytest.mark.parametrize(
    ("x_shape", "w_shape", "stride", "pad", "dtype", "x_zero"),
    [
        ((2, 37, 9, 7), (38, 37, 3, 3), 2, 1, np.uint8, 121),
        ((1, 64, 5, 3), (8, 64, 1, 1), 1, 0, np.int8, -7),
        ((1, 3, 6, 9), (70, 3, 5, 2), 1, 1, np.int8, 3),
    ],
)
def test_equals_meaning(tile, x_shape, w_shape, stride, pad, dtype, x_zero):
    rng = np.random.default_rng(0)
    limits = np.iinfo(dtype)
    x = rng.integers(limits.min, limits.max, x_shape, dtype=dtype, endpoint=True)
    w = rng.integers(-128, 127, w_shape, dtype=np.int8, endpoint=True)
    found, expected, counters = run_conv(
        x, w, _scales, tile, stride=stride, pad=pad, x_zero=x_zero, y_zero=5 if dtype is np.int8 else 130, y_dtype=dtype
    )
    np.testing.assert_array_equal(found, expected)
    assert counters.conflicts == 0
