"""Convolution in place against its definition: odd sizes, poisoned pad lanes, guard pages, any split of the items."""

import numpy as np
import pytest

from cnnc.runtime.cpu.conv_grouped import pack_grouped
from cnnc.runtime.cpu.conv_packing import pack_channels, pack_two_groups, pack_weights
from cnnc.runtime.cpu.window_parts import Axis, format_ranges, parse_ranges, part_ranges, tap_ranges
from cnnc.runtime.cpu.window_tiling import MOST_PARTS, WindowLayer, rank_window_tilings
from cnnc.runtime.jit.kernel_library import assembly
from cnnc.runtime.jit.listing import hottest_loop
from cnnc.runtime.jit.target import host_target, x86_target
from cnnc.runtime.kernel import Variant
from tests.kernels import reference
from tests.kernels.guarded import float_bits, from_blocked, run_kernel, to_blocked
from tests.kernels.test_conv_direct import _sizes
from tests.rotation import in_turn

LANES = host_target().lanes
CASES = {
    "one": {"x": (1, 1, 1, 1), "w": (1, 1, 1, 1)},
    "3x3": {"x": (2, 19, 7, 9), "w": (33, 19, 3, 3), "pads": (1, 1, 1, 1)},
    "asymmetric": {"x": (1, 5, 11, 6), "w": (16, 5, 3, 4), "pads": (0, 3, 2, 1)},
    "stride2": {"x": (1, 17, 13, 14), "w": (20, 17, 3, 3), "stride": (2, 2), "pads": (1, 1, 1, 1)},
    "stride3x1": {"x": (1, 16, 13, 31), "w": (16, 16, 5, 2), "stride": (3, 1), "pads": (2, 0, 2, 1)},
    "1x1 stride2": {"x": (1, 31, 9, 9), "w": (16, 31, 1, 1), "stride": (2, 2)},
    "dilated": {"x": (1, 16, 15, 17), "w": (16, 16, 3, 3), "dilation": (2, 3), "pads": (2, 3, 2, 3)},
    "mostly padding": {"x": (1, 9, 7, 8), "w": (16, 9, 3, 3), "dilation": (6, 8), "pads": (6, 8, 6, 8)},
    "only padding": {"x": (1, 3, 2, 2), "w": (5, 3, 1, 1), "pads": (7, 6, 5, 4)},
    "window beyond input": {"x": (1, 2, 2, 1), "w": (3, 2, 5, 5), "pads": (3, 3, 3, 3)},
    "1-D": {"x": (2, 10, 41), "w": (17, 10, 5), "stride": (2,), "pads": (3, 1)},
    "3-D": {"x": (1, 18, 5, 6, 7), "w": (16, 18, 3, 2, 3), "stride": (2, 1, 1), "pads": (1, 0, 1, 1, 1, 1)},
    "groups of blocks": {"x": (1, 64, 5, 6), "w": (32, 32, 3, 3), "groups": 2, "pads": (1, 1, 1, 1)},
    "groups of 3 to 5": {"x": (1, 21, 5, 6), "w": (35, 3, 2, 2), "groups": 7},
}
PERMUTED = {
    "4 a group": {"x": (2, 24, 7, 9), "w": (24, 4, 3, 3), "groups": 6, "pads": (1, 1, 1, 1)},
    "2 a group": {"x": (1, 38, 6, 5), "w": (38, 2, 3, 3), "groups": 19, "pads": (1, 1, 1, 1)},
    "two filters a channel": {"x": (1, LANES // 2, 6, 7), "w": (LANES, 1, 3, 3), "groups": LANES // 2},
}
HALVES = {
    "8 a group": {"x": (1, 24, 6, 7), "w": (24, 8, 3, 3), "groups": 3, "pads": (1, 1, 1, 1)},
    "24 a group": {"x": (2, 48, 5, 6), "w": (48, 24, 1, 1), "groups": 2},
    "8 to 16, stride 2": {"x": (1, 24, 9, 8), "w": (48, 8, 3, 3), "groups": 3, "stride": (2, 2)},
}
"""On vectors of half a block."""
TWO_GROUPS = {
    "20 to 24 a group": {"x": (1, 60, 6, 7), "w": (72, 20, 3, 3), "groups": 3, "pads": (1, 1, 1, 1)},
    "24 to 20 a group, 1x1": {"x": (2, 72, 5, 6), "w": (60, 24, 1, 1), "groups": 3},
    "21 a group, stride 2": {"x": (1, 63, 9, 8), "w": (63, 21, 3, 2), "groups": 3, "stride": (2, 2)},
}
"""Whose vectors of outputs are of two groups."""


def _triple(values, fill):
    return (fill,) * (3 - len(values)) + tuple(values)


def run_window(case, row_tiles=2, oc_tiles=1, blocks=1, residual=False, tile=(2, 5), poison=None, **run):
    """(kernel's result, definition in float64); ``poison`` is (index into x, value)."""
    rng = np.random.default_rng(0)
    rank = len(case["x"]) - 2
    stride, dilation = case.get("stride", (1,) * rank), case.get("dilation", (1,) * rank)
    pads, groups = case.get("pads", (0,) * 2 * rank), case.get("groups", 1)
    x, w = rng.standard_normal(case["x"], np.float32), rng.standard_normal(case["w"], np.float32)
    bias = rng.standard_normal(w.shape[0], np.float32)
    expected = reference.conv(x, w, stride, dilation, pads, groups) + bias.reshape(1, -1, *(1,) * rank)
    if poison is not None:
        x[poison[0]] = poison[1]
    is_permuted = case in PERMUTED.values()
    vector = LANES // 2 if case in HALVES.values() else LANES
    if is_permuted:
        packed = pack_grouped(w, LANES, groups)
    elif case in TWO_GROUPS.values():
        packed = pack_two_groups(w, LANES, groups, range(x.shape[1]), LANES)
    else:
        packed = pack_weights(w, vector, blocks, groups, None, LANES)
    sizes = _sizes(x.shape, w.shape, expected.shape, stride, dilation, pads, LANES, packed, (row_tiles, 0, oc_tiles))
    del sizes["column_tiles"]
    sizes |= {"alpha": float_bits(-0.5), "beta": float_bits(1.5), "tile_count": -(-w.shape[0] // (vector * blocks))}
    arrays = {"x": to_blocked(x, LANES), "weights": packed.weights, "segments": packed.segments}
    arrays |= {"y": to_blocked(np.zeros(expected.shape, np.float32), LANES)}
    arrays["bias"] = pack_channels(bias, w.shape[0], LANES)
    if residual:
        other = rng.standard_normal(expected.shape, np.float32)
        arrays["residual"] = to_blocked(other, LANES)
        expected = np.clip(expected + other, -0.5, 1.5)
    rows, columns = tile
    _, height, width = (
        Axis(*sizes)
        for sizes in zip(
            _triple(x.shape[2:], 1),
            _triple(expected.shape[2:], 1),
            _triple(w.shape[2:], 1),
            _triple(stride, 1),
            _triple(dilation, 1),
            _triple(pads[:rank], 0),
        )
    )
    options = {"rows": rows, "columns": columns, "blocks": blocks, "stride": stride[-1], "lanes": LANES}
    options |= {"row_parts": format_ranges(part_ranges(height, rows)), "residual": int(residual)}
    options |= {"column_parts": format_ranges(part_ranges(width, columns))}
    options["activation"] = "clip" if residual else "none"
    if vector < LANES:
        options["vector"] = vector
    if case in TWO_GROUPS.values():
        options["two_groups"] = 1
    if is_permuted:
        options |= {"group_inputs": w.shape[1], "group_outputs": w.shape[0] // groups}
    got = run_kernel(Variant.of("conv.f32.blocked.window", **options), arrays, sizes, **run)["y"]
    return from_blocked(got, w.shape[0]), expected


@pytest.mark.jit
@pytest.mark.parametrize("name", [*CASES, *PERMUTED, *HALVES, *TWO_GROUPS])
@pytest.mark.parametrize("at_start", [False, True])
def test_matches_definition(name, at_start):
    got, expected = run_window((CASES | PERMUTED | HALVES | TWO_GROUPS)[name], at_start=at_start)
    np.testing.assert_allclose(got, expected, rtol=0, atol=2e-5)


@pytest.mark.jit
@pytest.mark.parametrize(
    ("name", "tile"), in_turn(["3x3", "stride2", "mostly padding", "3-D"], [(1, 1), (1, 3), (3, 4)], 0), ids=str
)
def test_any_tile(name, tile):
    got, expected = run_window(CASES[name], tile=tile)
    np.testing.assert_allclose(got, expected, rtol=0, atol=2e-5)


@pytest.mark.jit
@pytest.mark.parametrize("tiles", [(1, 1), (9, 2)])
def test_any_split_gives_the_same_bits(tiles):
    whole, _ = run_window(CASES["3x3"])
    split, _ = run_window(CASES["3x3"], *tiles, splits=5)
    assert np.array_equal(whole, split)


@pytest.mark.jit
@pytest.mark.parametrize("name", ["3x3", "groups of blocks"])
def test_two_blocks_a_tile_with_residual_and_clip(name):
    case = {**CASES[name], "w": (64, *CASES[name]["w"][1:])}
    got, expected = run_window(case, blocks=2, residual=True)
    np.testing.assert_allclose(got, expected, rtol=0, atol=2e-5)


@pytest.mark.jit
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_inputs_reach_their_window_only(value):
    case = CASES["dilated"]
    clean, _ = run_window(case)
    spoilt, _ = run_window(case, poison=((0, 1, 0, 5), value))
    touched = np.zeros(clean.shape, bool)
    touched[:, :, [0, 2]] = True
    touched[..., [*range(2), *range(3, 5), *range(6, 8), *range(9, 17)]] = False
    assert np.array_equal(clean[~touched], spoilt[~touched])
    assert not np.isfinite(spoilt[touched]).any()


@pytest.mark.jit
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("name", TWO_GROUPS)
def test_one_group_never_reaches_another(name, value):
    inputs, outputs = TWO_GROUPS[name]["w"][1], TWO_GROUPS[name]["w"][0] // 3
    clean, _ = run_window(TWO_GROUPS[name])
    spoilt, _ = run_window(TWO_GROUPS[name], poison=((slice(None), slice(inputs, 2 * inputs)), value))
    touched = np.zeros(clean.shape, bool)
    touched[:, outputs : 2 * outputs] = True
    assert np.array_equal(clean[~touched], spoilt[~touched])
    assert not np.isfinite(spoilt[touched]).any()


def test_ranges_are_what_the_taps_show():
    axis = Axis(source=9, result=5, window=3, stride=2, dilation=1, begin=1)
    # Tiles of 3 and 2 pixels; only the first tap at the first pixel and the last at the last lie in the padding.
    assert tap_ranges(axis, 3) == {(0, 3): 2, (1, 3): 1, (0, 2): 2, (0, 1): 1}
    assert parse_ranges(format_ranges(part_ranges(axis, 3))) == part_ranges(axis, 3) == ((0, 1), (0, 2), (0, 3), (1, 3))
    assert part_ranges(Axis(2, 3, 1, 1, 1, 9), 2) == ((0, 2),)


@pytest.mark.parametrize("lanes", [8, 16])
@pytest.mark.parametrize(("size", "dilation"), [(1, 1), (7, 1), (14, 12), (28, 36), (55, 1), (224, 2)])
def test_tiles_fit_the_registers_and_have_few_parts(lanes, size, dilation):
    axis = Axis(size, size, 3, 1, dilation, dilation)
    for oc_blocks in (1, 4, 12):
        layer = WindowLayer((Axis(1, 1, 1, 1, 1, 0), axis, axis), 1, 64, oc_blocks, lanes)
        costs = []
        for cost, tiling in rank_window_tilings(layer, 5):
            assert tiling.rows * tiling.columns * tiling.blocks + tiling.blocks < (32 if lanes == 16 else 16)
            assert len(part_ranges(axis, tiling.rows)) * len(part_ranges(axis, tiling.columns)) <= MOST_PARTS
            assert oc_blocks % (tiling.blocks * tiling.oc_tiles) == 0 or tiling.oc_tiles > 1
            costs.append(cost)
        assert costs == sorted(costs)


@pytest.mark.jit
@pytest.mark.parametrize(
    ("rows", "columns", "blocks"),
    [
        (2, 14, 1),
        *(pytest.param(*tile, marks=pytest.mark.slow) for tile in [(1, 28, 1), (2, 7, 2), (4, 7, 1), (1, 9, 3)]),
    ],
)
def test_no_spills(rows, columns, blocks):
    parts = {
        "row_parts": format_ranges(part_ranges(Axis(4 * rows, 4 * rows, 3, 1, 1, 1), rows)),
        "column_parts": format_ranges(part_ranges(Axis(columns, columns, 3, 1, 1, 1), columns)),
    }
    options = {"rows": rows, "columns": columns, "blocks": blocks, "stride": 1, "lanes": 16, "residual": 0}
    variant = Variant.of("conv.f32.blocked.window", activation="relu", **options, **parts)
    facts = hottest_loop(assembly(variant, x86_target("avx512")))
    assert facts.multiply_adds == rows * columns * blocks
    assert facts.stack_moves == 0


@pytest.mark.jit
def test_no_spills_where_vectors_are_of_two_groups():
    options = {"rows": 1, "columns": 28, "blocks": 1, "stride": 1, "lanes": 16, "residual": 0, "two_groups": 1}
    parts = {"row_parts": "0-1", "column_parts": "0-28"}
    variant = Variant.of("conv.f32.blocked.window", activation="relu", **options, **parts)
    facts = hottest_loop(assembly(variant, x86_target("avx512")))
    assert facts.multiply_adds == facts.folded_loads == 28
    assert facts.stack_moves == 0
