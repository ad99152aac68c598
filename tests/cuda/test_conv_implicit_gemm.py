"""The implicit GEMM convolution on the emulator, against its definition: odd sizes, poisoned pad lanes."""

from __future__ import annotations

import numpy as np
import pytest

from cnnc.runtime.cuda.conv_implicit_gemm import pack
from cnnc.runtime.kernel import Variant
from tests.cuda.emulated import blocked, launch, plain
from tests.kernels import reference

TILES = [(8, 8, 8, 8), (4, 8, 8, 8), (8, 4, 8, 8), (4, 4, 8, 8)]


@pytest.mark.parametrize("tile", TILES, ids=str)
@pytest.mark.parametrize(
    ("x_shape", "w_shape", "stride", "pad"),
    [((2, 13, 9, 7), (38, 13, 3, 3), 2, 1), ((1, 16, 5, 3), (8, 16, 1, 1), 1, 0), ((1, 3, 6, 9), (7, 3, 5, 2), 1, 1)],
)
def test_equals_definition(tile, x_shape, w_shape, stride, pad):
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal(x_shape, np.float32), rng.standard_normal(w_shape, np.float32)
    expected = reference.conv(x, w, (stride,) * 2, (1, 1), (pad,) * 4)
    rows, columns, row_threads, column_threads = tile
    params = {"rows": rows, "columns": columns, "row_threads": row_threads, "column_threads": column_threads}
    variant = Variant.of(
        "conv.f32.implicit_gemm", **params, window=int(w_shape[2:] != (1, 1)), tail=1, activation="none", residual=0
    )
    x_blocks, y_blocks = -(-x_shape[1] // 8), -(-w_shape[0] // 8)
    y = np.full((x_shape[0], y_blocks, *expected.shape[2:], 8), np.nan, np.float32)
    source = blocked(x)
    sizes = {"images": x_shape[0], "groups": 1, "x_blocks": x_blocks, "y_blocks": y_blocks}
    sizes |= {"last_lanes": x_shape[1] - 8 * (x_blocks - 1), "D": 1, "OD": 1, "KD": 1}
    sizes |= {"H": x_shape[2], "W": x_shape[3], "OH": expected.shape[2], "OW": expected.shape[3]}
    sizes |= {"KH": w_shape[2], "KW": w_shape[3]}
    sizes |= {"stride_d": 1, "stride_h": stride, "stride_w": stride, "begin_d": 0, "begin_h": pad, "begin_w": pad}
    sizes |= {"dilation_d": 1, "dilation_h": 1, "dilation_w": 1, "alpha": 0, "beta": 0}
    sizes |= {"x_image": source[0].size, "y_image": y[0].size, "residual_image": 0}
    bias = np.zeros(8 * y_blocks, np.float32)
    packed = pack(w, 1, rows * row_threads)
    buffers = {"y": y, "x": source, "weights": packed, "bias": bias, "slopes": None, "residual": None}
    counters = launch(variant, buffers, sizes)
    np.testing.assert_allclose(plain(y, w_shape[0]), expected, atol=1e-4)
    assert counters.conflicts == 0
