"""Convolutions of small groups on the emulator against their definition: any lanes, gaps, NaN in what is not read."""

from __future__ import annotations

import numpy as np
import pytest

from cnnc.runtime.cuda.conv_grouped import KERNEL, pack_grouped
from cnnc.runtime.kernel import Variant
from tests.cuda.emulated import blocked, launch, plain
from tests.kernels import reference
from tests.kernels.guarded import float_bits
from tests.numeric.tolerance import bound

CASES = {
    "4 a group": {"x": (2, 24, 7, 9), "w": (24, 4, 3, 3), "groups": 6, "pads": (1, 1, 1, 1), "quads": True},
    "2 a group": {"x": (1, 38, 6, 5), "w": (38, 2, 3, 3), "groups": 19, "pads": (1, 1, 1, 1)},
    "20 to 24, 1x1": {"x": (1, 60, 5, 6), "w": (72, 20, 1, 1), "groups": 3, "quads": True},
    "17 to 20": {"x": (1, 68, 5, 3), "w": (80, 17, 1, 1), "groups": 4},
    "4 a group, stride 2": {
        "x": (1, 24, 11, 12),
        "w": (24, 4, 3, 3),
        "groups": 6,
        "stride": (2, 2),
        "pads": (0, 1, 1, 0),
        "quads": True,
    },
    "two filters a channel": {"x": (1, 21, 6, 7), "w": (42, 1, 3, 3), "groups": 21, "pads": (1, 1, 1, 1)},
    "2 to 4, dilated": {"x": (1, 18, 9, 10), "w": (36, 2, 3, 2), "groups": 9, "dilation": (2, 3), "pads": (2, 3, 1, 0)},
    "few groups of one output": {"x": (1, 4, 5, 6), "w": (2, 2, 3, 3), "groups": 2},
    "1-D": {"x": (2, 12, 23), "w": (12, 4, 5), "groups": 3, "stride": (2,), "pads": (3, 1), "quads": True},
    "3-D": {
        "x": (1, 20, 4, 5, 6),
        "w": (20, 4, 3, 2, 3),
        "groups": 5,
        "stride": (2, 1, 1),
        "pads": (1, 0, 1, 1, 1, 1),
        "quads": True,
    },
}


def run_grouped(case, rows=4, activation="none", residual=False, pieces=None, gap=0, poison=None):
    """(result, definition in float64, counters).

    ``pieces``: channels of the pieces that x lies in; ``gap``: blocks of channels behind each image of all tensors;
    ``poison``: index of a NaN in x.
    """
    rng = np.random.default_rng(0)
    rank = len(case["x"]) - 2
    stride, dilation = case.get("stride", (1,) * rank), case.get("dilation", (1,) * rank)
    pads, groups = case.get("pads", (0,) * 2 * rank), case["groups"]
    x, w = rng.standard_normal(case["x"], np.float32), rng.standard_normal(case["w"], np.float32)
    bias = rng.standard_normal(w.shape[0], np.float32)
    if poison is not None:
        x[poison] = np.nan
    expected = reference.conv(x, w, stride, dilation, pads, groups) + bias.reshape(1, -1, *(1,) * rank)
    pieces = pieces or [x.shape[1]]
    parts = np.split(x, np.cumsum(pieces)[:-1], 1)
    firsts = np.cumsum([0, *(-(-count // 8) * 8 for count in pieces)])
    lanes = [int(first) + lane for first, count in zip(firsts, pieces) for lane in range(count)]
    packed = pack_grouped(w, groups, lanes)
    assert packed.quads == case.get("quads", False)
    far = lambda a: np.concatenate([a, np.full((len(a), gap, *a.shape[2:]), np.nan, np.float32)], 1)  # noqa: E731
    source = far(np.concatenate([blocked(part) for part in parts], 1))
    volume = lambda values, fill: (fill,) * (3 - len(values)) + tuple(values)  # noqa: E731
    sizes = {"N": x.shape[0], "XB": source.shape[1] - gap, "YB": -(-w.shape[0] // 8), "inputs": w.shape[1]}
    for names, values, fill in (
        (("D", "H", "W"), x.shape[2:], 1),
        (("OD", "OH", "OW"), expected.shape[2:], 1),
        (("KD", "KH", "KW"), w.shape[2:], 1),
        (("SD", "SH", "SW"), stride, 1),
        (("DD", "DH", "DW"), dilation, 1),
        (("PD", "PH", "PW"), pads[:rank], 0),
    ):
        sizes |= dict(zip(names, volume(values, fill)))
    sizes |= {"alpha": float_bits(-0.5), "beta": float_bits(1.5), "x_gap": gap * 8 * int(np.prod(x.shape[2:]))}
    sizes |= dict.fromkeys(("y_gap", "residual_gap"), gap * 8 * int(np.prod(expected.shape[2:])))
    other = rng.standard_normal(expected.shape, np.float32) if residual else None
    y = far(blocked(np.full(expected.shape, np.nan, np.float32)))
    buffers = {"x": source, "weights": packed.weights, "lanes": packed.lanes, "slopes": None, "y": y}
    buffers |= {"bias": blocked(bias[None], pad=0.0), "residual": None if other is None else far(blocked(other))}
    variant = Variant.of(
        KERNEL.name, rows=rows, quads=int(packed.quads), activation=activation, residual=int(residual), lanes=8
    )
    counters = launch(variant, buffers, sizes)
    if gap:
        assert np.all(np.isnan(y[:, -gap:]))
    return plain(y, w.shape[0]), expected if other is None else expected + other, counters


@pytest.mark.parametrize("name", CASES)
def test_matches_definition(name):
    got, expected, _ = run_grouped(CASES[name])
    np.testing.assert_allclose(got, expected, rtol=0, atol=bound(got, expected, int(np.prod(CASES[name]["w"][1:]))))


@pytest.mark.parametrize("name", ["4 a group", "2 a group"])
def test_gaps_residual_and_clip(name):
    got, expected, _ = run_grouped(CASES[name], rows=2, activation="clip", residual=True, gap=1)
    np.testing.assert_allclose(got, np.clip(expected, -0.5, 1.5), rtol=0, atol=bound(got, expected, 36))


def test_input_in_pieces():
    case = {**CASES["4 a group"], "quads": False}
    got, expected, _ = run_grouped(case, pieces=[3, 14, 7])
    np.testing.assert_allclose(got, expected, rtol=0, atol=bound(got, expected, 36))


@pytest.mark.parametrize("name", ["4 a group", "2 a group"])
def test_a_nan_stays_in_its_group(name):
    got, expected, _ = run_grouped(CASES[name], poison=(0, 5, 3, 4))
    assert np.any(np.isnan(got)) and np.array_equal(np.isnan(got), np.isnan(expected))


def test_whole_sectors_and_no_local_memory():
    case = {"x": (1, 32, 8, 16), "w": (32, 4, 3, 3), "groups": 8, "pads": (1, 1, 1, 1), "quads": True}
    counters = run_grouped(case)[2]
    assert counters.sectors <= 1.1 * counters.least_sectors
    assert counters.issued["load local"] == counters.issued["store local"] == 0


def test_tables_are_checked():
    sizes = dict.fromkeys(KERNEL.sizes, 1) | {"inputs": 8, "XB": 2}
    refusal = lambda quads, *lanes: KERNEL.table_refusal(  # noqa: E731
        sizes, {"quads": quads}, {"lanes": np.array(lanes, np.int32).view(np.uint8)}
    )
    assert refusal(1, 0, 2) is None and refusal(0, *[15] * 64) is None
    assert "lanes" in refusal(1, 0, 3) and "lanes" in refusal(1, -1, 0) and "lanes" in refusal(0, *[16] * 64)
