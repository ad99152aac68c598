"""Winograd convolution against its definition: odd sizes, poisoned pad lanes, guard pages, any split of the items."""

import numpy as np
import pytest

from cnnc.runtime.cpu.conv_packing import pack_channels
from cnnc.runtime.cpu.winograd_error import winograd_error
from cnnc.runtime.cpu.winograd_packing import pack_taps, pack_winograd
from cnnc.runtime.jit.target import host_target
from cnnc.runtime.kernel import Variant
from tests.kernels import reference
from tests.kernels.guarded import float_bits, from_blocked, run_kernel, to_blocked

pytestmark = pytest.mark.jit
LONG_OUTPUTS = [pytest.param(outputs, marks=pytest.mark.slow, id=str(outputs)) for outputs in [(2, 2), (3, 3), (1, 5)]]

CASES = {
    "one": {"x": (1, 1, 1, 1), "w": (1, 1, 3, 3), "pads": (1, 1, 1, 1)},
    "3x3": {"x": (2, 19, 7, 9), "w": (33, 19, 3, 3), "pads": (1, 1, 1, 1)},
    "no padding": {"x": (1, 17, 18, 14), "w": (16, 17, 3, 3)},
    "asymmetric": {"x": (1, 5, 11, 6), "w": (16, 5, 3, 3), "pads": (0, 3, 2, 1)},
    "dilated": {"x": (2, 16, 15, 17), "w": (16, 16, 3, 3), "dilation": (2, 3), "pads": (2, 3, 2, 3)},
    "dilation beyond map": {"x": (1, 3, 5, 4), "w": (7, 3, 3, 3), "dilation": (4, 7), "pads": (4, 7, 4, 7)},
    "padding beyond window": {"x": (1, 2, 2, 1), "w": (3, 2, 3, 3), "pads": (5, 4, 6, 7)},
    "3-D": {"x": (2, 18, 5, 6, 7), "w": (16, 18, 3, 3, 3), "pads": (1, 0, 1, 1, 1, 1)},
    "3-D strided depth": {
        "x": (1, 4, 7, 6, 7),
        "w": (16, 4, 2, 3, 3),
        "stride": (2, 1, 1),
        "dilation": (3, 1, 1),
        "pads": (4, 0, 1, 4, 1, 1),
    },
    "groups of blocks": {"x": (1, 64, 5, 6), "w": (64, 32, 3, 3), "groups": 2, "pads": (1, 1, 1, 1)},
    "groups of 20": {"x": (1, 60, 5, 6), "w": (60, 20, 3, 3), "groups": 3, "pads": (1, 1, 1, 1)},
    "many channels": {"x": (1, 300, 5, 6), "w": (16, 300, 3, 3), "pads": (1, 1, 1, 1)},
}


DEVIATIONS = 6
"""Of some thousand normal errors the largest is about four deviations: inputs and weights are standard normal, so that
sums of K products, and with them their errors, have the deviation sqrt(K) times the relative one."""


def run_winograd(
    case,
    outputs=(4, 4),
    tiles=(1, 1, 1),
    activation="none",
    residual=False,
    blocks=1,
    seed=0,
    poison=None,
    taps=0,
    **run,
):
    """(result, expected, bound of their difference)."""
    rng = np.random.default_rng(seed)
    rank = len(case["x"]) - 2
    stride, dilation = case.get("stride", (1,) * rank), case.get("dilation", (1,) * rank)
    pads, groups = case.get("pads", (0,) * 2 * rank), case.get("groups", 1)
    x = rng.standard_normal(case["x"], np.float32)
    if poison is not None:
        x[(0, 1, *poison)] = np.nan
    w = rng.standard_normal(case["w"], np.float32)
    bias = rng.standard_normal(w.shape[0], np.float32)
    expected = reference.conv(x, w, stride, dilation, pads, groups) + bias.reshape(1, -1, *(1,) * rank)
    lanes = host_target().lanes
    packed = pack_taps(w, lanes, 1, groups) if taps else pack_winograd(w, outputs, lanes, blocks, tiles[1], groups)
    volume = lambda values, fill: (fill,) * (3 - len(values)) + tuple(values)  # noqa: E731
    sizes = dict(zip(("D", "H", "W"), volume(x.shape[2:], 1)))
    sizes |= dict(zip(("OD", "OH", "OW"), volume(expected.shape[2:], 1)))
    sizes |= {"KD": volume(w.shape[2:], 1)[0], "SD": volume(stride, 1)[0]}
    sizes |= dict(zip(("DD", "DH", "DW"), volume(dilation, 1)))
    sizes |= dict(zip(("PD", "PH", "PW"), volume(pads[:rank], 0)))
    sizes |= {"N": x.shape[0], "XB": -(-x.shape[1] // lanes), "YB": -(-w.shape[0] // lanes)}
    sizes |= {"segment_count": packed.segment_count, "segment_rows": len(packed.segments)}
    sizes |= {"weight_floats": packed.weights.size, "alpha": float_bits(-0.5), "beta": float_bits(1.5)}
    sizes |= {"fill": 0, **dict(zip(("column_tiles", "chunk_tiles", "oc_tiles"), tiles))}
    y = to_blocked(np.zeros(expected.shape, np.float32), lanes)
    arrays = {"x": to_blocked(x, lanes), "weights": packed.weights, "segments": packed.segments, "y": y}
    arrays["bias"] = pack_channels(bias, w.shape[0], lanes)
    if residual:
        other = rng.standard_normal(expected.shape, np.float32)
        arrays["residual"] = to_blocked(other, lanes)
        expected = expected + other
    options = {
        "out_rows": outputs[0],
        "out_columns": outputs[1],
        "window_rows": w.shape[-2] if rank > 1 else 1,
        "window_columns": w.shape[-1],
        "columns": 4 if taps else 5,
        "blocks": blocks,
        "activation": activation,
        "residual": int(residual),
        "lanes": lanes,
    }
    if taps:
        options["taps"] = 1
    variant = Variant.of("conv.f32.blocked.winograd", **options)
    got = from_blocked(run_kernel(variant, arrays, sizes, **run)["y"], w.shape[0])
    window = (w.shape[-2] if rank > 1 else 1, w.shape[-1])
    error = winograd_error(outputs, window, w[0].size // (window[0] * window[1])) * float(np.sqrt(w[0].size))
    return got, expected, DEVIATIONS * error + 2.0**-24 * float(np.nanmax(np.abs(expected)))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("at_start", [False, True])
def test_matches_definition(name, at_start):
    got, expected, bound = run_winograd(CASES[name], at_start=at_start)
    np.testing.assert_allclose(got, expected, rtol=0, atol=bound)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("at_start", [False, True])
def test_tiles_that_transform_weights_match_definition(name, at_start):
    got, expected, bound = run_winograd(CASES[name], taps=1, at_start=at_start)
    np.testing.assert_allclose(got, expected, rtol=0, atol=bound)


@pytest.mark.parametrize("outputs", [(4, 2), *LONG_OUTPUTS], ids=str)
def test_other_outputs_of_tiles_that_transform_weights(outputs):
    case = CASES["3x3"] if outputs[0] > 1 else {**CASES["3x3"], "w": (33, 19, 1, 3)}
    got, expected, bound = run_winograd(case, outputs, tiles=(2, 1, 2), taps=1, residual=True)
    np.testing.assert_allclose(got, expected, rtol=0, atol=bound)


@pytest.mark.parametrize("tiles", [(1, 2, 2), (9, 3, 3), (2, 1, 3), (2, 2, 4)])
@pytest.mark.parametrize(("splits", "one_worker"), [(1, True), (2, False), (5, False), (5, True)])
@pytest.mark.parametrize("name", ["3x3", "3-D", "groups of blocks"])
def test_any_split_gives_the_same_bits(name, tiles, splits, one_worker):
    whole, _, _ = run_winograd(CASES[name])
    split, _, _ = run_winograd(CASES[name], tiles=tiles, splits=splits, one_worker=one_worker)
    assert np.array_equal(whole, split)


def test_residual_and_clip():
    got, expected, bound = run_winograd(CASES["3x3"], activation="clip", residual=True)
    np.testing.assert_allclose(got, np.clip(expected, -0.5, 1.5), rtol=0, atol=bound)


def test_two_blocks_a_tile():
    got, expected, bound = run_winograd({**CASES["3x3"], "w": (32, 19, 3, 3)}, blocks=2)
    np.testing.assert_allclose(got, expected, rtol=0, atol=bound)


@pytest.mark.parametrize("outputs", [(4, 2), (6, 6), *LONG_OUTPUTS], ids=str)
def test_other_outputs(outputs):
    case = CASES["3x3"] if outputs[0] > 1 else {**CASES["3x3"], "w": (33, 19, 1, 3)}
    got, expected, bound = run_winograd(case, outputs)
    np.testing.assert_allclose(got, expected, rtol=0, atol=bound)


ACCURATE = {
    "F(2x2, 3x3)": ((2, 2), (3, 3)),
    "F(3x3, 3x3)": ((3, 3), (3, 3)),
    "F(4x4, 3x3)": ((4, 4), (3, 3)),
    "F(6x6, 3x3)": ((6, 6), (3, 3)),
    "F(2x2, 5x5)": ((2, 2), (5, 5)),
    "F(2, 7)": ((1, 2), (1, 7)),
}


@pytest.mark.parametrize("channels", [16, 300])
@pytest.mark.parametrize(("name", "taps"), [*((name, 0) for name in ACCURATE), ("F(2x2, 3x3)", 1), ("F(4x4, 3x3)", 1)])
def test_error_bound(name, channels, taps):
    outputs, window = ACCURATE[name]
    case = {"x": (1, channels, 20, 21), "w": (16, channels, *window)}
    got, expected, _ = run_winograd(case, outputs, taps=taps)
    error = np.sqrt(np.mean((got - expected) ** 2) / np.mean(expected**2))
    assert error <= winograd_error(outputs, window, channels)
