"""Depthwise convolution against its definition: borders, strides, dilations, run-time windows, lane maps."""

from math import prod

import numpy as np
import pytest

from cnnc.runtime.cpu.conv_depthwise import pack_depthwise
from cnnc.runtime.cpu.conv_packing import pack_channels
from cnnc.runtime.cpu.conv_tiling import choose_depthwise_columns
from cnnc.runtime.jit.target import host_target
from cnnc.runtime.kernel import Variant
from tests.kernels import reference
from tests.kernels.guarded import float_bits, from_blocked, run_kernel, to_blocked
from tests.numeric.tolerance import bound

pytestmark = pytest.mark.jit

CASES = {
    "one pixel": {"x": (1, 1, 1, 1), "k": (3, 3), "pads": (1, 1, 1, 1)},
    "3x3": {"x": (2, 19, 7, 9), "k": (3, 3), "pads": (1, 1, 1, 1)},
    "3x3 wide": {"x": (1, 33, 4, 31), "k": (3, 3), "pads": (1, 1, 1, 1)},
    "3x3 stride 2": {"x": (1, 17, 13, 26), "k": (3, 3), "stride": (2, 2), "pads": (0, 0, 1, 1)},
    "5x5": {"x": (1, 16, 11, 23), "k": (5, 5), "pads": (2, 2, 2, 2)},
    "5x5 stride 2": {"x": (1, 16, 11, 23), "k": (5, 5), "stride": (2, 2), "pads": (2, 1, 2, 3)},
    "no pads": {"x": (1, 5, 9, 10), "k": (2, 4)},
    "dilated": {"x": (1, 16, 15, 17), "k": (3, 3), "dilation": (2, 3), "pads": (2, 3, 2, 3)},
    "window beyond input": {"x": (1, 2, 3, 2), "k": (7, 7), "pads": (3, 3, 3, 3)},
    "3-D": {"x": (1, 18, 5, 6, 7), "k": (3, 2, 3), "stride": (2, 1, 1), "pads": (1, 0, 1, 1, 1, 1)},
}


def run_depthwise(case, runtime_window=False, splits=1, item_rows=2, residual=False, **run):
    rng = np.random.default_rng(3)
    rank = len(case["k"])
    stride, dilation = case.get("stride", (1,) * rank), case.get("dilation", (1,) * rank)
    pads = case.get("pads", (0,) * 2 * rank)
    lanes = host_target().lanes
    x = rng.standard_normal(case["x"], np.float32)
    channels = x.shape[1]
    w = rng.standard_normal((channels, 1, *case["k"]), np.float32)
    bias = rng.standard_normal(channels, np.float32)
    expected = reference.conv(x, w, stride, dilation, pads, channels) + bias.reshape(-1, *(1,) * rank)
    columns = choose_depthwise_columns(expected.shape[-1], lanes)
    sizes = {"N": x.shape[0], "CB": -(-channels // lanes), "item_rows": item_rows}
    groups = {
        "{}": (x.shape[2:], 1),
        "O{}": (expected.shape[2:], 1),
        "K{}": (case["k"], 1),
        "S{}": (stride, 1),
        "D{}": (dilation, 1),
        "P{}": (pads[:rank], 0),
    }
    for form, (values, fill) in groups.items():
        sizes |= dict(zip((form.format(axis) for axis in "DHW"), (fill,) * (3 - rank) + tuple(values)))
    sizes |= {"alpha": float_bits(0.1), "beta": 0}
    y = to_blocked(np.zeros(expected.shape, np.float32), lanes)
    arrays = {"x": to_blocked(x, lanes), "weights": pack_depthwise(w, lanes), "y": y}
    arrays["bias"] = pack_channels(bias, channels, lanes)
    slopes = np.full(channels, 0.1, np.float32)
    if residual:
        other = rng.standard_normal(expected.shape, np.float32)
        expected = expected + other
        slopes = rng.standard_normal(channels, np.float32)
        arrays |= {"residual": to_blocked(other, lanes), "slopes": pack_channels(slopes, channels, lanes)}
    window = (0, 0, 0) if runtime_window else (case["k"][-1], stride[-1], dilation[-1])
    options = dict(zip(("window", "stride", "dilation"), window)) | {"columns": columns, "residual": int(residual)}
    options["activation"] = "prelu" if residual else "leaky_relu"
    variant = Variant.of("conv.f32.blocked.depthwise", lanes=lanes, **options)
    got = from_blocked(run_kernel(variant, arrays, sizes, splits=splits, **run)["y"], channels)
    return got, np.where(expected < 0, slopes.reshape(-1, *(1,) * rank) * expected, expected)


def assert_close(got, expected, window):
    np.testing.assert_allclose(got, expected, rtol=0, atol=bound(got, expected, prod(window)))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("runtime_window", [False, True])
@pytest.mark.parametrize("at_start", [False, True])
def test_matches_definition(name, runtime_window, at_start):
    got, expected = run_depthwise(CASES[name], runtime_window, at_start=at_start)
    assert_close(got, expected, CASES[name]["k"])


def test_residual_and_slopes():
    got, expected = run_depthwise(CASES["3x3 wide"], residual=True)
    assert_close(got, expected, CASES["3x3 wide"]["k"])


def test_images_apart_from_each_other():
    """x, residual and y are ranges of channels of larger tensors; rows are wide enough for tiles of every kind."""
    rng = np.random.default_rng(5)
    lanes, columns = host_target().lanes, 5
    tensors = {name: rng.standard_normal((2, 3, 4, 18, lanes), np.float32) for name in ("x", "residual", "y")}
    w = rng.standard_normal((2 * lanes, 1, 3, 3), np.float32)
    gap = 4 * 18 * lanes  # the third block of channels is not part of the operands
    sizes = {
        "N": 2,
        "CB": 2,
        "D": 1,
        "H": 4,
        "W": 18,
        "OD": 1,
        "OH": 4,
        "OW": 18,
        "item_rows": 2,
        "alpha": 0,
        "beta": 0,
    }
    sizes |= dict(zip(("KD", "KH", "KW", "PD", "PH", "PW"), (1, 3, 3, 0, 1, 1)))
    sizes |= dict.fromkeys(("SD", "SH", "SW", "DD", "DH", "DW"), 1)
    sizes |= {"x_gap": gap, "y_gap": gap, "residual_gap": gap}
    options = {"columns": columns, "window": 3, "stride": 1, "dilation": 1, "residual": 1, "activation": "none"}
    arrays = {name: tensor.reshape(-1)[:-gap] for name, tensor in tensors.items()}
    arrays |= {"weights": pack_depthwise(w, lanes), "bias": np.zeros(2 * lanes, np.float32)}
    variant = Variant.of("conv.f32.blocked.depthwise", lanes=lanes, **options)
    y = np.append(run_kernel(variant, arrays, sizes)["y"], tensors["y"].reshape(-1)[-gap:]).reshape(tensors["y"].shape)
    x, residual = (from_blocked(tensors[name], 2 * lanes) for name in ("x", "residual"))
    expected = reference.conv(x, w, (1, 1), (1, 1), (1, 1, 1, 1), 2 * lanes) + residual
    assert_close(from_blocked(y, 2 * lanes), expected, w.shape[2:])
    assert np.array_equal(y[:, 2], tensors["y"][:, 2])


def test_any_split_gives_the_same_bits():
    whole, _ = run_depthwise(CASES["3x3 wide"])
    split, _ = run_depthwise(CASES["3x3 wide"], splits=4, item_rows=1)
    assert np.array_equal(whole, split)


def test_packing_follows_the_lane_map():
    w = np.arange(1, 4, dtype=np.float32).reshape(3, 1, 1, 1)
    packed = pack_depthwise(w, 4, input_lanes=[0, 5, 2])
    assert packed.reshape(-1).tolist() == [1, 0, 3, 0, 0, 2, 0, 0]
