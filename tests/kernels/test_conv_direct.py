"""Direct convolution against its definition: odd sizes, poisoned pad lanes, guard pages, any split of the items."""

import numpy as np
import pytest

from cnnc.runtime.cpu.conv_packing import pack_bfloat_weights, pack_channels, pack_weights
from cnnc.runtime.jit.target import host_target
from cnnc.runtime.kernel import Variant
from tests.kernels import reference
from tests.kernels.bfloat import needs_bfloat_products, rounded
from tests.kernels.guarded import float_bits, from_blocked, run_kernel, to_blocked

pytestmark = pytest.mark.jit

CASES = {
    "one": {"x": (1, 1, 1, 1), "w": (1, 1, 1, 1)},
    "3x3": {"x": (2, 19, 7, 9), "w": (33, 19, 3, 3), "pads": (1, 1, 1, 1)},
    "asymmetric": {"x": (1, 5, 11, 6), "w": (16, 5, 3, 4), "pads": (0, 3, 2, 1)},
    "stride2": {"x": (1, 17, 13, 14), "w": (20, 17, 3, 3), "stride": (2, 2), "pads": (1, 1, 1, 1)},
    "stride3x1": {"x": (1, 16, 13, 31), "w": (16, 16, 5, 2), "stride": (3, 1), "pads": (2, 0, 2, 1)},
    "1x1 stride2": {"x": (1, 31, 9, 9), "w": (16, 31, 1, 1), "stride": (2, 2)},
    "dilated": {"x": (1, 16, 15, 17), "w": (16, 16, 3, 3), "dilation": (2, 3), "pads": (2, 3, 2, 3)},
    "dilated stride": {
        "x": (1, 3, 15, 17),
        "w": (7, 3, 3, 3),
        "dilation": (2, 3),
        "stride": (3, 2),
        "pads": (2, 3, 0, 1),
    },
    "window beyond input": {"x": (1, 2, 2, 1), "w": (3, 2, 5, 5), "pads": (3, 3, 3, 3)},
    "1-D": {"x": (2, 10, 41), "w": (17, 10, 5), "stride": (2,), "pads": (3, 1)},
    "3-D": {"x": (1, 18, 5, 6, 7), "w": (16, 18, 3, 2, 3), "stride": (2, 1, 1), "pads": (1, 0, 1, 1, 1, 1)},
    "first layer": {"x": (2, 3, 41, 83), "w": (20, 3, 7, 7), "stride": (2, 2), "pads": (3, 3, 3, 3)},
    "groups of blocks": {"x": (1, 64, 5, 6), "w": (32, 32, 3, 3), "groups": 2, "pads": (1, 1, 1, 1)},
    "groups of 4": {"x": (1, 24, 5, 6), "w": (24, 4, 3, 3), "groups": 6, "pads": (1, 1, 1, 1)},
    "groups of 3 to 5": {"x": (1, 21, 5, 6), "w": (35, 3, 2, 2), "groups": 7},
}


def _volume(values, fill):
    return (fill,) * (3 - len(values)) + tuple(values)


def _sizes(x_shape, w_shape, y_shape, stride, dilation, pads, lanes, packed, tiles):
    rank = len(x_shape) - 2
    sizes = dict(zip(("D", "H", "W"), _volume(x_shape[2:], 1)))
    sizes |= dict(zip(("OD", "OH", "OW"), _volume(y_shape[2:], 1)))
    sizes |= dict(zip(("KD", "KH", "KW"), _volume(w_shape[2:], 1)))
    sizes |= dict(zip(("SD", "SH", "SW"), _volume(stride, 1)))
    sizes |= dict(zip(("DD", "DH", "DW"), _volume(dilation, 1)))
    sizes |= dict(zip(("PD", "PH", "PW"), _volume(pads[:rank], 0)))
    sizes |= {"N": x_shape[0], "XB": -(-x_shape[1] // lanes), "YB": -(-y_shape[1] // lanes)}
    sizes |= {"segment_count": packed.segment_count, "segment_rows": len(packed.segments)}
    sizes |= {"weight_floats": packed.weights.size}
    return sizes | dict(zip(("row_tiles", "column_tiles", "oc_tiles"), tiles)) | {"fill": 0}


def run_conv(
    case,
    tiles=(2, 1, 1),
    activation="none",
    residual=False,
    blocks=1,
    plain=False,
    seed=0,
    poison=None,
    products="f32",
    **run,
):
    rng = np.random.default_rng(seed)
    rank = len(case["x"]) - 2
    stride, dilation = case.get("stride", (1,) * rank), case.get("dilation", (1,) * rank)
    pads, groups = case.get("pads", (0,) * 2 * rank), case.get("groups", 1)
    x = rng.standard_normal(case["x"], np.float32)
    if poison is not None:
        x[(0, 1, *poison)] = np.nan
    w = rng.standard_normal(case["w"], np.float32)
    bias = rng.standard_normal(w.shape[0], np.float32)
    factors = (rounded(x), rounded(w)) if products == "bf16" else (x, w)
    expected = reference.conv(*factors, stride, dilation, pads, groups) + bias.reshape(1, -1, *(1,) * rank)
    lanes = host_target().lanes
    if products == "bf16":
        packed = pack_bfloat_weights(w, lanes, blocks, groups)
    else:
        packed = pack_weights(w, lanes, blocks, groups, input_block=1 if plain else None)
    sizes = _sizes(x.shape, w.shape, expected.shape, stride, dilation, pads, lanes, packed, tiles)
    if plain:
        sizes["XB"] = x.shape[1]
    sizes |= {"alpha": float_bits(-0.5), "beta": float_bits(1.5)}
    y = to_blocked(np.zeros(expected.shape, np.float32), lanes)
    arrays = {"x": x if plain else to_blocked(x, lanes), "weights": packed.weights, "segments": packed.segments, "y": y}
    arrays["bias"] = pack_channels(bias, w.shape[0], lanes)
    if residual:
        other = rng.standard_normal(expected.shape, np.float32)
        arrays["residual"] = to_blocked(other, lanes)
        expected = expected + other
    options = {
        "rows": 2,
        "columns": 5,
        "blocks": blocks,
        "activation": activation,
        "residual": int(residual),
        "lanes": lanes,
        "input_block": 1 if plain else lanes,
    }
    if products == "bf16":
        options["products"] = products
    variant = Variant.of(f"conv.{products}.blocked.direct", **options)
    got = from_blocked(run_kernel(variant, arrays, sizes, **run)["y"], w.shape[0])
    bound = 4e-7 * np.sqrt(w[0].size) * max(1.0, float(np.abs(expected).max()))
    return got, expected, bound


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("at_start", [False, True])
@pytest.mark.parametrize("plain", [False, True])
def test_matches_definition(name, at_start, plain):
    got, expected, bound = run_conv(CASES[name], at_start=at_start, plain=plain)
    np.testing.assert_allclose(got, expected, rtol=0, atol=bound)


@pytest.mark.parametrize("tiles", [(1, 1, 1), (9, 3, 2)])
@pytest.mark.parametrize("splits", [2, 5])
def test_any_split_gives_the_same_bits(tiles, splits):
    whole, _, _ = run_conv(CASES["3x3"])
    split, _, _ = run_conv(CASES["3x3"], tiles=tiles, splits=splits)
    assert np.array_equal(whole, split)


@pytest.mark.parametrize("name", ["3x3", "groups of blocks", "1x1 stride2"])
def test_two_blocks_a_tile(name):
    case = CASES[name]
    even = {**case, "w": (32 * case.get("groups", 1), *case["w"][1:])}
    got, expected, bound = run_conv(even, blocks=2)
    np.testing.assert_allclose(got, expected, rtol=0, atol=bound)


def test_infinite_and_nan_inputs_stay_in_their_window():
    case = {"x": (1, 3, 9, 9), "w": (5, 3, 3, 3), "pads": (1, 1, 1, 1)}
    clean, _, _ = run_conv(case)
    spoilt, _, _ = run_conv(case, poison=(4, 4))
    touched = np.zeros(clean.shape, bool)
    touched[..., 3:6, 3:6] = True
    assert np.array_equal(clean[~touched], spoilt[~touched])
    assert np.isnan(spoilt[touched]).all()


def test_residual_and_clip():
    got, expected, bound = run_conv(CASES["3x3"], activation="clip", residual=True)
    np.testing.assert_allclose(got, np.clip(expected, -0.5, 1.5), rtol=0, atol=bound)


BFLOAT_CASES = {
    "one": {"x": (1, 2, 1, 1), "w": (1, 2, 1, 1)},
    "3x3": {"x": (2, 18, 7, 9), "w": (33, 18, 3, 3), "pads": (1, 1, 1, 1)},
    "stride2": {"x": (1, 22, 13, 14), "w": (20, 22, 3, 3), "stride": (2, 2), "pads": (1, 1, 1, 1)},
    "1x1 stride2": {"x": (1, 30, 9, 9), "w": (16, 30, 1, 1), "stride": (2, 2)},
    "dilated": {"x": (1, 16, 15, 17), "w": (16, 16, 3, 3), "dilation": (2, 3), "pads": (2, 3, 2, 3)},
    "3-D": {"x": (1, 18, 5, 6, 7), "w": (16, 18, 3, 2, 3), "stride": (2, 1, 1), "pads": (1, 0, 1, 1, 1, 1)},
    "groups of blocks": {"x": (1, 64, 5, 6), "w": (32, 32, 3, 3), "groups": 2, "pads": (1, 1, 1, 1)},
    "groups of 4": {"x": (1, 24, 5, 6), "w": (24, 4, 3, 3), "groups": 6, "pads": (1, 1, 1, 1)},
}


@needs_bfloat_products
@pytest.mark.parametrize(("name", "blocks"), [*((name, 1) for name in BFLOAT_CASES), ("groups of blocks", 2)])
@pytest.mark.parametrize("at_start", [False, True])
def test_bfloat_products_match_the_sum_of_rounded_factors(name, blocks, at_start):
    got, expected, bound = run_conv(
        BFLOAT_CASES[name], blocks=blocks, activation="none", residual=True, products="bf16", at_start=at_start
    )
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=bound)


@needs_bfloat_products
@pytest.mark.parametrize("tiles", [(1, 1, 1), (2, 2, 2)])
def test_any_split_of_bfloat_products_gives_the_same_bits(tiles):
    whole, _, _ = run_conv(BFLOAT_CASES["stride2"], products="bf16")
    split, _, _ = run_conv(BFLOAT_CASES["stride2"], tiles=tiles, splits=3, products="bf16")
    assert np.array_equal(whole, split)
