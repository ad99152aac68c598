"""Convolution of a plain input by Winograd's method in rows: odd sizes, guard pages, poisoned scratch, any split."""

import numpy as np
import pytest

from cnnc.runtime.cpu.conv_plain_winograd import NAME, pack_plain_winograd, phase_taps
from cnnc.runtime.cpu.winograd_error import winograd_error
from cnnc.runtime.jit.target import host_target
from cnnc.runtime.kernel import Variant
from tests.kernels import reference
from tests.kernels.guarded import float_bits, from_blocked, run_kernel, to_blocked
from tests.rotation import in_turn

pytestmark = pytest.mark.jit

LANES = host_target().lanes
CASES = {
    "one": {"x": (1, 1, 1, 1), "w": (1, 1, 3, 3), "pads": (1, 1, 1, 1)},
    "7x7 stride 2": {"x": (2, 3, 17, 31), "w": (33, 3, 7, 7), "stride": (2, 2), "pads": (3, 3, 3, 3)},
    "11x11 stride 4": {"x": (1, 3, 31, 67), "w": (20, 3, 11, 11), "stride": (4, 4), "pads": (2, 2, 2, 2)},
    "5x5": {"x": (1, 2, 9, 70), "w": (16, 2, 5, 5), "pads": (2, 2, 2, 2)},
    "3x3 stride 2": {"x": (2, 3, 13, 14), "w": (20, 3, 3, 3), "stride": (2, 2), "pads": (1, 1, 1, 1)},
    "asymmetric": {"x": (1, 2, 11, 26), "w": (16, 2, 3, 4), "stride": (1, 2), "pads": (0, 3, 2, 1)},
    "stride 3x1": {"x": (1, 1, 13, 31), "w": (5, 1, 2, 5), "stride": (3, 1), "pads": (2, 0, 2, 1)},
    "padding beyond window": {"x": (1, 3, 2, 2), "w": (5, 3, 3, 3), "pads": (7, 9, 5, 8)},
    "window beyond input": {"x": (1, 2, 2, 1), "w": (3, 2, 5, 5), "pads": (3, 3, 3, 3)},
    "1-D": {"x": (2, 10, 141), "w": (17, 10, 5), "stride": (2,), "pads": (3, 1)},
    "3-D": {
        "x": (2, 3, 5, 6, 17),
        "w": (16, 3, 3, 2, 7),
        "stride": (2, 1, 2),
        "dilation": (2, 1, 1),
        "pads": (2, 0, 3, 2, 1, 3),
    },
}
DEVIATIONS = 6


def _triple(values, fill):
    return (fill,) * (3 - len(values)) + tuple(values)


def run(case, outputs=4, columns=5, blocks=1, item_rows=2, residual=False, **how):
    """(result, expected in float64, bound of their difference)."""
    rng = np.random.default_rng(0)
    rank = len(case["x"]) - 2
    stride, dilation = case.get("stride", (1,) * rank), case.get("dilation", (1,) * rank)
    pads = case.get("pads", (0,) * 2 * rank)
    x, w = rng.standard_normal(case["x"], np.float32), rng.standard_normal(case["w"], np.float32)
    bias = rng.standard_normal(w.shape[0], np.float32)
    expected = reference.conv(x, w, stride, dilation, pads, 1) + bias.reshape(1, -1, *(1,) * rank)
    triples = {
        "D H W": _triple(x.shape[2:], 1),
        "OD OH OW": _triple(expected.shape[2:], 1),
        "KD KH KW": _triple(w.shape[2:], 1),
        "SD SH SW": _triple(stride, 1),
        "DD DH DW": _triple(dilation, 1),
        "PD PH PW": _triple(pads[:rank], 0),
    }
    sizes = {name: size for names, triple in triples.items() for name, size in zip(names.split(), triple)}
    window, step = sizes.pop("KW"), sizes.pop("SW")
    del sizes["DH"], sizes["DW"]
    oc_blocks = -(-w.shape[0] // (LANES * blocks)) * blocks
    sizes |= {"N": x.shape[0], "C": x.shape[1], "YB": oc_blocks, "item_rows": item_rows}
    sizes |= {"alpha": float_bits(-0.5), "beta": float_bits(1.5)}
    result = np.zeros((x.shape[0], oc_blocks * LANES, *expected.shape[2:]), np.float32)
    packed = pack_plain_winograd(w, outputs, step, LANES, blocks)
    arrays = {"x": x, "weights": packed, "y": to_blocked(result, LANES)}
    arrays["bias"] = np.zeros(oc_blocks * LANES, np.float32)
    arrays["bias"][: bias.size] = bias
    if residual:
        other = rng.standard_normal(result.shape, np.float32)
        arrays["residual"] = to_blocked(other, LANES)
        expected = np.clip(expected + other[:, : w.shape[0]], -0.5, 1.5)
    options = {"outputs": outputs, "window": window, "stride": step, "columns": columns, "blocks": blocks}
    options |= {"residual": int(residual), "activation": "clip" if residual else "none", "lanes": LANES}
    got = run_kernel(Variant.of(NAME, **options), arrays, sizes, **how)["y"]
    products = w[0].size // window * step
    error = winograd_error((1, outputs), (1, phase_taps(window, step)), products) * float(np.sqrt(w[0].size))
    bound = DEVIATIONS * error + 2.0**-23 * float(np.max(np.abs(expected)))
    return from_blocked(got, w.shape[0]), expected, bound


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("at_start", [False, True])
def test_matches_definition(name, at_start):
    got, expected, bound = run(CASES[name], at_start=at_start)
    np.testing.assert_allclose(got, expected, rtol=0, atol=bound)


@pytest.mark.parametrize(("columns", "outputs"), in_turn([1, 3, 12], [5, 1, 2, 3]))
def test_any_tile_with_residual_and_clip(outputs, columns):
    got, expected, bound = run(CASES["7x7 stride 2"], outputs, columns, blocks=2, residual=True)
    np.testing.assert_allclose(got, expected, rtol=0, atol=bound)


@pytest.mark.parametrize("item_rows", [1, 9])
@pytest.mark.parametrize("splits", [1, 3])
@pytest.mark.parametrize("name", ["7x7 stride 2", "3-D"])
def test_any_split_gives_the_same_bits(name, item_rows, splits):
    whole, _, _ = run(CASES[name])
    split, _, _ = run(CASES[name], item_rows=item_rows, splits=splits)
    assert np.array_equal(whole, split)
