"""Convolution of a plain input in place against its definition: odd sizes, guard pages, any split of the items."""

from math import prod

import numpy as np
import pytest

from cnnc.runtime.cpu.conv_plain_input import pack_plain_input
from cnnc.runtime.cpu.window_parts import Axis, format_places, parse_places, tile_places
from cnnc.runtime.cpu.window_tiling import WindowLayer, rank_plain_tilings
from cnnc.runtime.jit.kernel_library import assembly
from cnnc.runtime.jit.listing import hottest_block
from cnnc.runtime.jit.target import host_target, x86_target
from cnnc.runtime.kernel import Variant
from tests.kernels import reference
from tests.kernels.guarded import float_bits, from_blocked, run_kernel, to_blocked
from tests.numeric.tolerance import bound

LANES = host_target().lanes
CASES = {
    "one": {"x": (1, 1, 1, 1), "w": (1, 1, 1, 1)},
    "3x3 stride 2": {"x": (2, 3, 13, 14), "w": (20, 3, 3, 3), "stride": (2, 2), "pads": (1, 1, 1, 1)},
    "7x7 stride 2": {"x": (1, 3, 17, 31), "w": (33, 3, 7, 7), "stride": (2, 2), "pads": (3, 3, 3, 3)},
    "asymmetric": {"x": (1, 2, 11, 6), "w": (16, 2, 3, 4), "pads": (0, 3, 2, 1)},
    "stride 3x4": {"x": (1, 1, 13, 31), "w": (5, 1, 5, 2), "stride": (3, 4), "pads": (2, 0, 2, 1)},
    "dilated": {"x": (1, 4, 15, 17), "w": (7, 4, 3, 3), "dilation": (2, 3), "stride": (3, 2), "pads": (2, 3, 0, 1)},
    "only padding": {"x": (1, 3, 2, 2), "w": (5, 3, 1, 1), "pads": (7, 6, 5, 4)},
    "window beyond input": {"x": (1, 2, 2, 1), "w": (3, 2, 5, 5), "pads": (3, 3, 3, 3)},
    "1-D": {"x": (2, 10, 41), "w": (17, 10, 5), "stride": (2,), "pads": (3, 1)},
    "3-D": {"x": (1, 3, 5, 6, 7), "w": (16, 3, 3, 2, 3), "stride": (2, 1, 1), "pads": (1, 0, 1, 1, 1, 1)},
    "long sums": {"x": (1, 40, 5, 6), "w": (4, 40, 3, 3), "pads": (1, 1, 1, 1)},
}


def _triple(values, fill):
    return (fill,) * (3 - len(values)) + tuple(values)


def run_plain(case, columns=5, blocks=1, item_rows=2, oc_tiles=1, residual=False, **run):
    """(kernel's result, definition in float64)."""
    rng = np.random.default_rng(0)
    rank = len(case["x"]) - 2
    stride, dilation = case.get("stride", (1,) * rank), case.get("dilation", (1,) * rank)
    pads = case.get("pads", (0,) * 2 * rank)
    x, w = rng.standard_normal(case["x"], np.float32), rng.standard_normal(case["w"], np.float32)
    bias = rng.standard_normal(w.shape[0], np.float32)
    expected = reference.conv(x, w, stride, dilation, pads, 1) + bias.reshape(1, -1, *(1,) * rank)
    packed = pack_plain_input(w, LANES, blocks)
    triples = {
        "D H W": _triple(x.shape[2:], 1),
        "OD OH OW": _triple(expected.shape[2:], 1),
        "KD KH KW": _triple(w.shape[2:], 1),
        "SD SH SW": _triple(stride, 1),
        "DD DH DW": _triple(dilation, 1),
        "PD PH PW": _triple(pads[:rank], 0),
    }
    sizes = {name: size for names, triple in triples.items() for name, size in zip(names.split(), triple)}
    oc_blocks = -(-w.shape[0] // (LANES * blocks)) * blocks
    sizes |= {"N": x.shape[0], "C": x.shape[1], "YB": oc_blocks, "item_rows": item_rows, "oc_tiles": oc_tiles}
    sizes |= {"alpha": float_bits(-0.5), "beta": float_bits(1.5)}
    result = np.zeros((x.shape[0], oc_blocks * LANES, *expected.shape[2:]), np.float32)
    arrays = {"x": x, "weights": packed, "y": to_blocked(result, LANES)}
    arrays["bias"] = np.zeros(oc_blocks * LANES, np.float32)
    arrays["bias"][: bias.size] = bias
    if residual:
        other = rng.standard_normal(result.shape, np.float32)
        arrays["residual"] = to_blocked(other, LANES)
        expected = np.clip(expected + other[:, : w.shape[0]], -0.5, 1.5)
    width = Axis(*(triple[2] for triple in triples.values()))
    options = {"columns": columns, "blocks": blocks, "stride": sizes["SW"], "dilation": sizes["DW"], "lanes": LANES}
    options |= {"places": format_places(tile_places(width, columns)), "residual": int(residual)}
    options["activation"] = "clip" if residual else "none"
    got = run_kernel(Variant.of("conv.f32.blocked.plain_input", **options), arrays, sizes, **run)["y"]
    return from_blocked(got, w.shape[0]), expected


def assert_close(got, expected, case):
    np.testing.assert_allclose(got, expected, rtol=0, atol=bound(got, expected, prod(case["w"][1:])))


@pytest.mark.jit
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("at_start", [False, True])
def test_matches_definition(name, at_start):
    got, expected = run_plain(CASES[name], at_start=at_start)
    assert_close(got, expected, CASES[name])


@pytest.mark.jit
@pytest.mark.parametrize("columns", [1, 3, 16])
def test_any_tile_with_residual_and_clip(columns):
    got, expected = run_plain(CASES["7x7 stride 2"], columns=columns, blocks=2, residual=True)
    assert_close(got, expected, CASES["7x7 stride 2"])


@pytest.mark.jit
@pytest.mark.parametrize(("item_rows", "oc_tiles"), [(1, 1), (9, 2)])
def test_any_split_gives_the_same_bits(item_rows, oc_tiles):
    whole, _ = run_plain(CASES["7x7 stride 2"])
    split, _ = run_plain(CASES["7x7 stride 2"], item_rows=item_rows, oc_tiles=oc_tiles, splits=3)
    assert np.array_equal(whole, split)


def test_places_are_runs_of_like_tiles():
    axis = Axis(source=224, result=112, window=3, stride=2, dilation=1, begin=1)
    whole = (0, 28)
    places = ((1, ((1, 28), whole, whole)), (3, (whole, whole, whole)))
    assert tile_places(axis, 28) == places == parse_places(format_places(places))


@pytest.mark.parametrize("lanes", [8, 16])
def test_tiles_fit_the_registers(lanes):
    for size in (1, 9, 28, 111, 224):
        axis = Axis(2 * size, size, 3, 2, 1, 1)
        for _, tiling in rank_plain_tilings(WindowLayer((Axis(1, 1, 1, 1, 1, 0), axis, axis), 1, 3, 2, lanes), 5):
            assert tiling.columns <= size
            assert tiling.columns * tiling.blocks + tiling.blocks < (32 if lanes == 16 else 16)
            assert 1 <= tiling.row_tiles <= size


@pytest.mark.jit
def test_no_spills():
    places = format_places(tile_places(Axis(224, 112, 3, 2, 1, 1), 28))
    options = {"columns": 28, "blocks": 1, "stride": 2, "dilation": 1, "lanes": 16, "residual": 0, "places": places}
    variant = Variant.of("conv.f32.blocked.plain_input", activation="relu", **options)
    facts = hottest_block(assembly(variant, x86_target("avx512")))
    assert facts.multiply_adds == 3 * 28  # a row of the window
    assert facts.stack_moves == 0
