"""The depthwise convolution on the emulator, against its definition: borders, strides, dilations, gaps, NaN in pads."""

from __future__ import annotations

import numpy as np
import pytest

from cnnc.runtime.cpu.conv_depthwise import pack_depthwise
from cnnc.runtime.kernel import Variant
from tests.cuda.emulated import blocked, launch, plain
from tests.kernels import reference
from tests.kernels.guarded import float_bits
from tests.numeric.tolerance import bound

CASES = {
    "one pixel": {"x": (1, 1, 1, 1), "k": (3, 3), "pads": (1, 1, 1, 1)},
    "3x3": {"x": (2, 19, 7, 9), "k": (3, 3), "pads": (1, 1, 1, 1)},
    "3x3 stride 2": {"x": (1, 17, 13, 26), "k": (3, 3), "stride": (2, 2), "pads": (0, 0, 1, 1)},
    "5x5": {"x": (1, 16, 11, 13), "k": (5, 5), "pads": (2, 2, 2, 2)},
    "5x5 stride 2": {"x": (1, 8, 11, 23), "k": (5, 5), "stride": (2, 2), "pads": (2, 1, 2, 3)},
    "2x4": {"x": (1, 5, 9, 10), "k": (2, 4)},
    "dilated": {"x": (1, 16, 15, 17), "k": (3, 3), "dilation": (2, 3), "pads": (2, 3, 2, 3)},
    "window beyond input": {"x": (1, 2, 3, 2), "k": (7, 7), "pads": (3, 3, 3, 3)},
    "1-D": {"x": (3, 9, 21), "k": (5,), "stride": (3,), "pads": (2, 2)},
    "3-D": {"x": (1, 18, 5, 6, 7), "k": (3, 2, 3), "stride": (2, 1, 1), "pads": (1, 0, 1, 1, 1, 1)},
    "3-D known": {"x": (1, 8, 3, 6, 5), "k": (3, 3, 3), "stride": (1, 2, 1), "pads": (1,) * 6},
}


def sizes_of(x_shape, y_shape, case):
    rank = len(case["k"])
    found = {"N": x_shape[0], "CB": -(-x_shape[1] // 8), "alpha": float_bits(0.1), "beta": 0}
    groups = {
        "{}": (x_shape[2:], 1),
        "O{}": (y_shape[2:], 1),
        "K{}": (case["k"], 1),
        "S{}": (case.get("stride", (1,) * rank), 1),
        "D{}": (case.get("dilation", (1,) * rank), 1),
        "P{}": (case.get("pads", (0,) * 2 * rank)[:rank], 0),
    }
    for form, (values, fill) in groups.items():
        found |= dict(zip((form.format(axis) for axis in "DHW"), (fill,) * (3 - rank) + tuple(values)))
    return found | {"x_gap": 0, "y_gap": 0, "residual_gap": 0}


def variant_of(case, rows, known, activation="leaky_relu", residual=0):
    rank = len(case["k"])
    height, stride = (1, *case["k"])[-2], (1, *case.get("stride", (1,) * rank))[-2]
    window = (height, case["k"][-1], stride) if known else (0, 0, 0)
    options = dict(zip(("window", "window_columns", "stride"), window))
    return Variant.of("conv.f32.depthwise", rows=rows, lanes=8, activation=activation, residual=residual, **options)


def run_depthwise(case, rows, known, seed=3):
    rng = np.random.default_rng(seed)
    rank = len(case["k"])
    x = rng.standard_normal(case["x"], np.float32)
    channels = x.shape[1]
    w = rng.standard_normal((channels, 1, *case["k"]), np.float32)
    bias = rng.standard_normal(channels, np.float32)
    stride, dilation = case.get("stride", (1,) * rank), case.get("dilation", (1,) * rank)
    expected = reference.conv(x, w, stride, dilation, case.get("pads", (0,) * 2 * rank), channels)
    expected += bias.reshape(-1, *(1,) * rank)
    y = blocked(np.full(expected.shape, np.nan, np.float32))
    buffers = {"x": blocked(x), "weights": pack_depthwise(w, 8), "y": y, "residual": None, "slopes": None}
    buffers["bias"] = blocked(bias[None], pad=0.0)
    counters = launch(variant_of(case, rows, known), buffers, sizes_of(x.shape, expected.shape, case))
    return plain(y, channels), np.where(expected < 0, np.float32(0.1) * expected, expected), counters


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("known", [False, True])
def test_matches_definition(name, known):
    case = CASES[name]
    if known and case.get("dilation"):
        pytest.skip("a known window has no dilation")
    got, expected, _ = run_depthwise(case, 4, known)
    np.testing.assert_allclose(got, expected, rtol=0, atol=bound(got, expected, int(np.prod(case["k"]))))


@pytest.mark.parametrize("rows", [1, 2, 8])
def test_any_number_of_rows_gives_the_same_bits(rows):
    assert np.array_equal(run_depthwise(CASES["3x3"], rows, True)[0], run_depthwise(CASES["3x3"], 4, True)[0])


def test_images_apart_from_each_other_with_residual_and_slopes():
    """x, residual and y are ranges of channels of larger tensors, and y lies over the residual."""
    rng = np.random.default_rng(5)
    x, other = (rng.standard_normal((2, 3, 4, 18, 8), np.float32) for _ in range(2))
    before = other.copy()
    w = rng.standard_normal((16, 1, 3, 3), np.float32)
    slopes, bias = rng.standard_normal((2, 16), np.float32)
    case = {"k": (3, 3), "pads": (1, 1, 1, 1)}
    gap = 4 * 18 * 8
    sizes = sizes_of((2, 16, 4, 18), (2, 16, 4, 18), case) | dict.fromkeys(("x_gap", "y_gap", "residual_gap"), gap)
    buffers = {"x": x, "weights": pack_depthwise(w, 8), "bias": bias, "slopes": slopes, "residual": other, "y": other}
    launch(variant_of(case, 4, True, "prelu", 1), buffers, sizes)
    expected = reference.conv(plain(x, 16), w, (1, 1), (1, 1), (1, 1, 1, 1), 16) + plain(before, 16)
    expected += bias[:, None, None]
    expected = np.where(expected < 0, slopes[:, None, None] * expected, expected)
    got = plain(other, 16)
    np.testing.assert_allclose(got, expected, rtol=0, atol=bound(got, expected, 9))
    assert np.array_equal(other[:, 2], before[:, 2])


def test_nothing_is_read_or_written_in_parts_of_sectors():
    counters = run_depthwise({"x": (1, 32, 8, 16), "k": (3, 3), "pads": (1, 1, 1, 1)}, 4, True)[2]
    assert counters.sectors <= 1.1 * counters.least_sectors
    assert counters.issued["load local"] == counters.issued["store local"] == 0
