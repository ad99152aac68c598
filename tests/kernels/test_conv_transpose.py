"""Transposed convolution against scattering: strides, dilations, pads, output padding, groups, ranks."""

from math import prod

import numpy as np
import pytest

from cnnc.runtime.cpu.conv_packing import pack_channels, pack_weights
from cnnc.runtime.cpu.conv_transpose import as_convolution
from cnnc.runtime.jit.target import host_target
from cnnc.runtime.kernel import Variant
from tests.kernels import reference
from tests.kernels.guarded import from_blocked, run_kernel, to_blocked
from tests.numeric.tolerance import bound

pytestmark = pytest.mark.jit

CASES = {
    "one": {"x": (1, 1, 1, 1), "w": (1, 1, 1, 1)},
    "3x3": {"x": (2, 19, 5, 7), "w": (19, 17, 3, 3), "pads": (1, 1, 1, 1)},
    "stride is window": {"x": (1, 32, 5, 6), "w": (32, 16, 2, 2), "stride": (2, 2)},
    "4x4 stride 2": {"x": (1, 17, 7, 6), "w": (17, 5, 4, 4), "stride": (2, 2), "pads": (1, 1, 1, 1)},
    "output padding": {
        "x": (1, 16, 4, 5),
        "w": (16, 33, 3, 3),
        "stride": (2, 3),
        "pads": (1, 0, 1, 2),
        "extra": (1, 2),
    },
    "stride over window": {"x": (1, 3, 4, 3), "w": (3, 4, 2, 1), "stride": (3, 4)},
    "dilated": {"x": (1, 5, 4, 6), "w": (5, 6, 3, 2), "stride": (2, 1), "dilation": (2, 3), "pads": (2, 1, 0, 3)},
    "groups": {"x": (1, 12, 4, 5), "w": (12, 5, 3, 3), "stride": (2, 2), "groups": 3},
    "1-D": {"x": (2, 9, 11), "w": (9, 20, 5), "stride": (3,), "pads": (2, 1)},
    "3-D": {
        "x": (1, 5, 3, 4, 2),
        "w": (5, 16, 3, 2, 3),
        "stride": (2, 1, 2),
        "pads": (1, 0, 1, 0, 1, 1),
        "extra": (1, 0, 0),
    },
}


def run_transpose(case, tiles=(2, 1, 1), residual=False, **run):
    rng = np.random.default_rng(4)
    rank = len(case["x"]) - 2
    stride, dilation = case.get("stride", (1,) * rank), case.get("dilation", (1,) * rank)
    pads, extra = case.get("pads", (0,) * 2 * rank), case.get("extra", (0,) * rank)
    groups, lanes = case.get("groups", 1), host_target().lanes
    x = rng.standard_normal(case["x"], np.float32)
    w = rng.standard_normal(case["w"], np.float32)
    expected = reference.conv_transpose(x, w, stride, dilation, pads, extra, groups)
    oc = expected.shape[1]
    bias = rng.standard_normal(oc, np.float32)
    other = rng.standard_normal(expected.shape, np.float32) * residual
    expected = np.tanh(expected + bias.reshape(-1, *(1,) * rank) + other)
    packed = pack_weights(as_convolution(w, groups), lanes, 1, groups)
    sizes = {"N": x.shape[0], "XB": -(-x.shape[1] // lanes), "YB": -(-oc // lanes), "alpha": 0, "beta": 0}
    volumes = {
        "{}": (x.shape[2:], 1),
        "O{}": (expected.shape[2:], 1),
        "K{}": (w.shape[2:], 1),
        "S{}": (stride, 1),
        "D{}": (dilation, 1),
        "P{}": (pads[:rank], 0),
    }
    for form, (values, fill) in volumes.items():
        sizes |= dict(zip((form.format(axis) for axis in "DHW"), (fill,) * (3 - rank) + tuple(values)))
    sizes |= {"segment_count": packed.segment_count, "segment_rows": len(packed.segments)}
    sizes |= {"weight_floats": packed.weights.size}
    sizes |= dict(zip(("row_tiles", "column_tiles", "oc_tiles"), tiles))
    arrays = {"x": to_blocked(x, lanes), "weights": packed.weights, "segments": packed.segments}
    arrays |= {"bias": pack_channels(bias, oc, lanes), "y": to_blocked(np.zeros(expected.shape, np.float32), lanes)}
    if residual:
        arrays["residual"] = to_blocked(other.astype(np.float32), lanes)
    options = {"rows": 2, "columns": 5, "blocks": 1, "activation": "tanh", "residual": int(residual), "lanes": lanes}
    variant = Variant.of("conv_transpose.f32.blocked", **options)
    return from_blocked(run_kernel(variant, arrays, sizes, **run)["y"], oc), expected


def assert_close(got, expected, case):
    """An output is the sum of at most all products of one output channel."""
    products = case["w"][0] // case.get("groups", 1) * prod(case["w"][2:])
    np.testing.assert_allclose(got, expected, rtol=0, atol=bound(got, expected, products))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("at_start", [False, True])
def test_matches_definition(name, at_start):
    got, expected = run_transpose(CASES[name], at_start=at_start)
    assert_close(got, expected, CASES[name])


def test_residual():
    got, expected = run_transpose(CASES["output padding"], residual=True)
    assert_close(got, expected, CASES["output padding"])


@pytest.mark.parametrize("tiles", [(1, 1, 1), (4, 2, 3)])
def test_any_split_gives_the_same_bits(tiles):
    whole, _ = run_transpose(CASES["output padding"])
    split, _ = run_transpose(CASES["output padding"], tiles=tiles, splits=3)
    assert np.array_equal(whole, split)
