"""First layers and depthwise convolutions of bytes on the emulator, against their NumPy meaning."""

from __future__ import annotations

import numpy as np
import pytest

from cnnc.runtime.cuda.byte_tile import ByteTile
from cnnc.runtime.cuda.conv_depthwise_bytes import pack_words
from cnnc.runtime.cuda.conv_plain_input_bytes import pack_quads
from cnnc.runtime.host.quantized import q_linear_conv
from cnnc.runtime.kernel import Variant
from tests.cuda.emulated import blocked, launch, plain

X_SCALE, Y_SCALE = np.float32(0.02), np.float32(0.5)
DTYPES = pytest.mark.parametrize(("dtype", "x_zero"), [(np.uint8, 121), (np.int8, -7)])
NAMES = {np.uint8: "u8", np.int8: "i8"}


def _layer(x_shape, w_shape, dtype, seed=0):
    """(x, weights, bias, scales of the weights)."""
    rng, limits, count = np.random.default_rng(seed), np.iinfo(dtype), w_shape[0]
    x = rng.integers(limits.min, limits.max, x_shape, dtype=dtype, endpoint=True)
    w = rng.integers(-128, 127, w_shape, dtype=np.int8, endpoint=True)
    return x, w, rng.integers(-999, 999, count, dtype=np.int32), rng.uniform(0.01, 0.03, count).astype(np.float32)


def _expected(x, w, bias, scales, x_zero, y_zero, **attributes):
    zeros = np.asarray(x_zero, x.dtype), np.zeros(len(w), np.int8), np.asarray(y_zero, x.dtype)
    return q_linear_conv(x, X_SCALE, zeros[0], w, scales, zeros[1], Y_SCALE, zeros[2], bias, **attributes)


def _epilogue(w, bias, scales, x_zero, y_zero, dtype, lanes, room):
    """Buffers and sizes of the end of a layer."""
    folded, factors = np.zeros(room, np.int32), np.zeros(room, np.float32)
    folded[lanes] = bias - x_zero * w.reshape(len(w), -1).sum(1, dtype=np.int32)
    factors[lanes] = X_SCALE * scales / Y_SCALE
    sizes = {"fill": (x_zero & 255) * 0x01010101, "y_zero": y_zero, "y_least": int(np.iinfo(dtype).min)}
    return {"bias": folded, "factors": factors}, sizes


@DTYPES
@pytest.mark.parametrize("tile", [ByteTile(1, 8, 8, 8, 8), ByteTile(0, 4, 8, 8, 8)], ids=str)
@pytest.mark.parametrize(
    ("x_shape", "w_shape", "strides", "dilation", "pads"),
    [
        ((2, 3, 12, 20), (38, 3, 7, 7), (2, 2), 1, (3, 3, 3, 3)),
        ((1, 1, 9, 13), (8, 1, 3, 5), (1, 3), 2, (2, 4, 1, 3)),
    ],
)
def test_plain_input(dtype, x_zero, tile, x_shape, w_shape, strides, dilation, pads):
    x, w, bias, scales = _layer(x_shape, w_shape, dtype)
    expected = _expected(x, w, bias, scales, x_zero, 5, pads=pads, strides=strides, dilations=(dilation, 1))
    n, channels, height, width = x_shape
    y_blocks = -(-w_shape[0] // 8)
    y = np.full((n, y_blocks, *expected.shape[2:], 8), 99, dtype)
    buffers, sizes = _epilogue(w, bias, scales, x_zero, 5, dtype, np.arange(w_shape[0]), 8 * y_blocks)
    buffers |= {"y": y, "x": x, "weights": pack_quads(w, tile)}
    sizes |= {"images": n, "C": channels, "H": height, "W": width, "OH": y.shape[2], "OW": y.shape[3]}
    sizes |= {"KH": w_shape[2], "QW": -(-w_shape[3] // 4), "y_blocks": y_blocks, "stride_h": strides[0]}
    sizes |= {"stride_w": strides[1], "dilation_h": dilation, "begin_h": pads[0], "begin_w": pads[1]}
    sizes |= {"x_image": x[0].size, "y_image": y[0].size}
    params = {name: getattr(tile, name) for name in ByteTile.__dataclass_fields__}
    variant = Variant.of("conv.u8.plain_input", **params, element=NAMES[dtype], aligned=int(width % 4 == 0))
    assert launch(variant, buffers, sizes).conflicts == 0
    np.testing.assert_array_equal(plain(y, w_shape[0]), expected)


@DTYPES
@pytest.mark.parametrize("rows", [1, 4])
@pytest.mark.parametrize(
    ("spatial", "kernel", "strides", "dilations", "pads"),
    [
        ((9, 7), (3, 3), (2, 2), (1, 1), (1, 1, 1, 1)),
        ((11, 6), (5, 2), (1, 1), (2, 1), (4, 0, 4, 1)),
        ((4, 5, 6), (3, 1, 3), (1, 2, 1), (1, 1, 2), (1, 0, 2, 1, 0, 2)),
    ],
)
def test_depthwise(dtype, x_zero, rows, spatial, kernel, strides, dilations, pads):
    channels, images = 13, 2
    x, w, bias, scales = _layer((images, channels, *spatial), (channels, 1, *kernel), dtype)
    window = {"pads": pads, "strides": strides, "dilations": dilations}
    expected = _expected(x, w, bias, scales, x_zero, 5, group=channels, **window)
    source = blocked(x, pad=77)
    blocks = source.shape[1]
    result = (*(1,) * (3 - len(spatial)), *expected.shape[2:])
    y = np.full((images, blocks, *expected.shape[2:], 8), 99, dtype)
    buffers, sizes = _epilogue(w, bias, scales, x_zero, 5, dtype, np.arange(channels), 8 * blocks)
    buffers |= {"y": y, "x": source, "weights": pack_words(w, range(channels), blocks)}
    sizes |= {"images": images, "blocks": blocks, "x_image": source[0].size, "y_image": y[0].size}
    for names, values, fill in (
        ("D H W", spatial, 1),
        ("OD OH OW", result, 1),
        ("KD KH KW", kernel, 1),
        ("stride_d stride_h stride_w", strides, 1),
        ("dilation_d dilation_h dilation_w", dilations, 1),
        ("begin_d begin_h begin_w", pads[: len(spatial)], 0),
    ):
        sizes |= dict(zip(names.split(), (*(fill,) * (3 - len(values)), *values)))
    launch(Variant.of("conv.u8.depthwise", rows=rows, element=NAMES[dtype]), buffers, sizes)
    np.testing.assert_array_equal(plain(y, channels), expected)
