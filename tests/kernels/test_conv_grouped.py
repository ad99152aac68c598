"""Convolutions of small groups against their definition; what one group holds never reaches another."""

from math import prod

import numpy as np
import pytest

from cnnc.runtime.cpu.conv_grouped import grouping_refusal, pack_grouped
from cnnc.runtime.cpu.conv_packing import pack_channels
from cnnc.runtime.jit.kernel_library import assembly
from cnnc.runtime.jit.listing import hottest_loop
from cnnc.runtime.jit.target import host_target, x86_target
from cnnc.runtime.kernel import Variant
from tests.kernels import reference
from tests.kernels.guarded import float_bits, from_blocked, run_kernel, to_blocked
from tests.kernels.test_conv_direct import _sizes
from tests.numeric.tolerance import bound

LANES = host_target().lanes
CASES = {
    "4 a group": {"x": (2, 24, 7, 9), "w": (24, 4, 3, 3), "groups": 6, "pads": (1, 1, 1, 1)},
    "2 a group": {"x": (1, 38, 6, 5), "w": (38, 2, 3, 3), "groups": 19, "pads": (1, 1, 1, 1)},
    "half a block a group, stride 2": {
        "x": (1, 3 * LANES, 11, 12),
        "w": (3 * LANES, LANES // 2, 3, 3),
        "groups": 6,
        "stride": (2, 2),
        "pads": (1, 1, 1, 1),
    },
    "two filters a channel": {"x": (1, 21, 6, 7), "w": (42, 1, 3, 3), "groups": 21, "pads": (1, 1, 1, 1)},
    "1 to 4, 1x1": {"x": (2, 9, 5, 6), "w": (36, 1, 1, 1), "groups": 9},
    "2 to 4, dilated": {"x": (1, 18, 9, 10), "w": (36, 2, 3, 2), "groups": 9, "dilation": (2, 3), "pads": (2, 3, 1, 0)},
    "3 to 4": {"x": (1, 12, 6, 7), "w": (16, 3, 5, 5), "groups": 4, "pads": (2, 2, 2, 2), "lanes": 16},
    "few groups of one output": {"x": (1, 4, 5, 6), "w": (2, 2, 3, 3), "groups": 2},
    "1-D": {"x": (2, 12, 23), "w": (12, 4, 5), "groups": 3, "stride": (2,), "pads": (3, 1)},
    "3-D": {"x": (1, 20, 4, 5, 6), "w": (20, 4, 3, 2, 3), "groups": 5, "stride": (2, 1, 1), "pads": (1, 0, 1, 1, 1, 1)},
}


def run_grouped(case, tiles=(2, 1, 1), residual=False, poison=None, **run):
    """(kernel's result, definition in float64); ``poison`` is (index into x, value)."""
    rng = np.random.default_rng(0)
    rank = len(case["x"]) - 2
    stride, dilation = case.get("stride", (1,) * rank), case.get("dilation", (1,) * rank)
    pads, groups = case.get("pads", (0,) * 2 * rank), case["groups"]
    x, w = rng.standard_normal(case["x"], np.float32), rng.standard_normal(case["w"], np.float32)
    bias = rng.standard_normal(w.shape[0], np.float32)
    expected = reference.conv(x, w, stride, dilation, pads, groups) + bias.reshape(1, -1, *(1,) * rank)
    if poison is not None:
        x[poison[0]] = poison[1]
    assert grouping_refusal(x.shape[1], w.shape[0], groups, LANES) is None
    packed = pack_grouped(w, LANES, groups)
    sizes = _sizes(x.shape, w.shape, expected.shape, stride, dilation, pads, LANES, packed, tiles)
    sizes |= {"alpha": float_bits(-0.5), "beta": float_bits(1.5)}
    arrays = {"x": to_blocked(x, LANES), "weights": packed.weights, "segments": packed.segments}
    arrays |= {"y": to_blocked(np.zeros(expected.shape, np.float32), LANES)}
    arrays["bias"] = pack_channels(bias, w.shape[0], LANES)
    if residual:
        other = rng.standard_normal(expected.shape, np.float32)
        arrays["residual"] = to_blocked(other, LANES)
        expected = np.clip(expected + other, -0.5, 1.5)
    options = {"rows": 2, "columns": 5, "blocks": 1, "input_block": LANES, "lanes": LANES}
    options |= {"group_inputs": w.shape[1], "group_outputs": w.shape[0] // groups, "residual": int(residual)}
    options["activation"] = "clip" if residual else "none"
    got = run_kernel(Variant.of("conv.f32.blocked.grouped", **options), arrays, sizes, **run)["y"]
    return from_blocked(got, w.shape[0]), expected


def assert_close(got, expected, case):
    np.testing.assert_allclose(got, expected, rtol=0, atol=bound(got, expected, prod(case["w"][1:])))


@pytest.mark.jit
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("at_start", [False, True])
def test_matches_definition(name, at_start):
    if CASES[name].get("lanes", LANES) != LANES:
        pytest.skip("its groups straddle blocks of this machine's vectors")
    got, expected = run_grouped(CASES[name], at_start=at_start)
    assert_close(got, expected, CASES[name])


@pytest.mark.jit
def test_residual_and_clip():
    got, expected = run_grouped(CASES["4 a group"], residual=True)
    assert_close(got, expected, CASES["4 a group"])


@pytest.mark.jit
@pytest.mark.parametrize("tiles", [(1, 1, 1), (9, 3, 2)])
def test_any_split_gives_the_same_bits(tiles):
    whole, _ = run_grouped(CASES["4 a group"])
    split, _ = run_grouped(CASES["4 a group"], tiles=tiles, splits=5)
    assert np.array_equal(whole, split)


@pytest.mark.jit
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["4 a group", "2 to 4, dilated", "two filters a channel"])
def test_one_group_never_reaches_another(name, value):
    case = CASES[name]
    group = 1
    inputs, outputs = case["w"][1], case["w"][0] // case["groups"]
    clean, _ = run_grouped(case)
    spoilt, _ = run_grouped(case, poison=((0, slice(group * inputs, (group + 1) * inputs)), value))
    touched = np.zeros(clean.shape, bool)
    touched[0, group * outputs : (group + 1) * outputs] = True
    assert np.array_equal(clean[~touched], spoilt[~touched])
    assert not np.isfinite(spoilt[touched]).any()


@pytest.mark.jit
@pytest.mark.parametrize("group", [2, 4, 8])
def test_no_product_with_zeros_and_no_spills(group):
    options = {"rows": 1, "columns": 14, "blocks": 1, "input_block": 16, "lanes": 16}
    options |= {"group_inputs": group, "group_outputs": group, "activation": "relu", "residual": 0}
    facts = hottest_loop(assembly(Variant.of("conv.f32.blocked.grouped", **options), x86_target("avx512")))
    assert facts.multiply_adds == 14 * group
    assert facts.stack_moves == 0


@pytest.mark.parametrize(
    ("channels", "out_channels", "groups", "fragment"),
    [
        (32, 32, 2, "do not divide"),
        (35, 21, 7, "do not divide"),
        (32, 16, 4, "several blocks"),
        (18, 48, 6, "several blocks"),
    ],
)
def test_refusals(channels, out_channels, groups, fragment):
    reason = grouping_refusal(channels, out_channels, groups, 16)
    assert reason is not None and fragment in reason


def test_lanes_must_follow_each_other():
    apart = [*range(8), *range(16, 24)]
    assert "follow" in str(grouping_refusal(16, 16, 4, 16, apart))
    assert grouping_refusal(16, 32, 4, 16, apart) is None
