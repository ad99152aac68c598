"""1x1 convolution as a product over flattened pixels: tails, groups, lane maps, guard pages, any split."""

import numpy as np
import pytest

from cnnc.runtime.cpu.conv_packing import fills_pairs, pack_bfloat_weights, pack_channels, pack_weights
from cnnc.runtime.cpu.pointwise_tiling import tail_halves
from cnnc.runtime.jit.target import host_target
from cnnc.runtime.kernel import Variant
from cnnc.types import Layout
from tests.kernels import reference
from tests.kernels.bfloat import needs_bfloat_products, rounded
from tests.kernels.guarded import float_bits, from_blocked, run_kernel, to_blocked

pytestmark = pytest.mark.jit


def run_pointwise(
    n,
    ic,
    oc,
    pixels,
    groups=1,
    blocks=1,
    tiles=(4, 2, 1),
    pieces=(),
    prelu=False,
    prologue="",
    has_tail=False,
    products="f32",
    **run,
):
    rng = np.random.default_rng(ic * oc + pixels)
    lanes = host_target().lanes
    x = rng.standard_normal((n, ic, pixels), np.float32)
    w = rng.standard_normal((oc, ic // groups, 1), np.float32)
    other = rng.standard_normal((n, oc, pixels), np.float32)
    slopes = rng.standard_normal(oc, np.float32)
    scale, shift = rng.standard_normal((2, ic), np.float32)
    gate = rng.standard_normal((n, ic), np.float32)
    read = x
    if prologue == "gate":
        read = x * gate[:, :, None]
    elif prologue:
        read = (x.astype(np.float64) * scale[:, None] + shift[:, None]).astype(np.float32)  # fused
        read = {"relu": np.maximum(read, 0), "clip": np.clip(read, -0.5, 0.75), "none": read}[prologue]
    factors = (rounded(read), rounded(w)) if products == "bf16" else (read, w)
    expected = reference.conv(*factors, (1,), (1,), (0, 0), groups) + other
    expected = np.where(expected < 0, expected * slopes[:, None], expected) if prelu else np.maximum(expected, 0)
    where = Layout(lanes, pieces).lanes(ic)
    physical = np.full((n, Layout(lanes, pieces).physical_channels(ic), pixels), np.nan, np.float32)
    physical[:, where] = x
    tail = tail_halves(oc, blocks, lanes) if has_tail else 0
    pack = pack_bfloat_weights if products == "bf16" else pack_weights
    packed = pack(w, lanes, blocks, groups, where, tail_lanes=tail * lanes // 2)
    padded = -(-oc // (lanes * blocks)) * blocks - (blocks - -(-tail // 2) if tail else 0)
    sizes = {"N": n, "XB": physical.shape[1] // lanes, "YB": padded, "pixels": pixels}
    sizes |= {"segment_count": packed.segment_count, "segment_rows": len(packed.segments)}
    sizes |= {
        "weight_floats": packed.weights.size,
        "slab_tiles": tiles[0],
        "pixel_tiles": tiles[1],
        "oc_tiles": tiles[2],
    }
    sizes |= {"alpha": float_bits(0), "beta": float_bits(0)}
    full = np.full((n, padded * lanes, pixels), np.nan, np.float32)
    full[:, :oc] = other
    arrays = {"x": to_blocked(physical, lanes), "weights": packed.weights, "segments": packed.segments}
    arrays |= {"bias": np.zeros(padded * lanes, np.float32), "residual": to_blocked(full, lanes)}
    arrays["y"] = np.zeros_like(arrays["residual"])
    if prelu:
        arrays["slopes"] = np.resize(pack_channels(slopes, oc, lanes), padded * lanes)
    sizes |= {"input_alpha": float_bits(-0.5), "input_beta": float_bits(0.75)}
    options = {"columns": 6, "blocks": blocks, "activation": "prelu" if prelu else "relu", "residual": 1}
    options |= {"tail": tail} if tail else {}
    sizes |= {"input_image": physical.shape[1] + 5 if prologue == "gate" else 0}
    if prologue:
        options["prologue"] = prologue
    if prologue == "gate":
        arrays["input_scale"] = np.full(n * sizes["input_image"], np.nan, np.float32)
        for image in range(n):
            arrays["input_scale"][image * sizes["input_image"] + np.asarray(where)] = gate[image]
        arrays["input_scale"] = arrays["input_scale"][:-5]  # the gap behind the last image is not read
    elif prologue:
        for name, values in (("input_scale", scale), ("input_shift", shift)):
            arrays[name] = np.full(physical.shape[1], np.nan, np.float32)
            arrays[name][where] = values
    if products == "bf16":
        options["products"] = products
    variant = Variant.of(f"conv.{products}.blocked.pointwise", lanes=lanes, **options)
    got = from_blocked(run_kernel(variant, arrays, sizes, **run)["y"], oc)
    return got, expected, 1e-6 * np.sqrt(ic)


CASES = [
    {"n": 1, "ic": 1, "oc": 1, "pixels": 1},
    {"n": 2, "ic": 24, "oc": 19, "pixels": 13},
    {"n": 1, "ic": 33, "oc": 70, "pixels": 49, "blocks": 2},
    {"n": 1, "ic": 40, "oc": 48, "pixels": 12, "groups": 4},
    {"n": 1, "ic": 23, "oc": 16, "pixels": 35, "pieces": (5, 17, 1)},
    {"n": 1, "ic": 17, "oc": 31, "pixels": 29, "prelu": True},
    {"n": 2, "ic": 24, "oc": 70, "pixels": 13, "tiles": (1, 1, 3), "prologue": "relu"},
    {"n": 1, "ic": 23, "oc": 80, "pixels": 49, "tiles": (3, 3, 2), "pieces": (5, 17, 1), "prologue": "clip"},
    {"n": 1, "ic": 16, "oc": 16, "pixels": 5, "prologue": "none"},
    {"n": 3, "ic": 23, "oc": 20, "pixels": 15, "tiles": (3, 2, 1), "pieces": (5, 17, 1), "prologue": "gate"},
    {"n": 2, "ic": 5, "oc": 3, "pixels": 7, "has_tail": True},
    {"n": 2, "ic": 300, "oc": 24, "pixels": 13, "prelu": True, "has_tail": True},
    {"n": 2, "ic": 9, "oc": 70, "pixels": 12, "blocks": 4, "has_tail": True, "prologue": "relu"},
    {"n": 1, "ic": 24, "oc": 24, "pixels": 12, "groups": 3, "has_tail": True},
    {"n": 1, "ic": 130, "oc": 39, "pixels": 6, "blocks": 2, "has_tail": True},
]


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("at_start", [False, True])
def test_matches_definition(case, at_start):
    got, expected, bound = run_pointwise(**case, at_start=at_start)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=bound)


@pytest.mark.parametrize("prologue", ["", "relu", "gate"])
@pytest.mark.parametrize("tiles", [(1, 1, 1), (3, 2, 4)])
def test_any_split_gives_the_same_bits(tiles, prologue):
    whole, _, _ = run_pointwise(2, 24, 70, 40, prologue=prologue)
    split, _, _ = run_pointwise(2, 24, 70, 40, tiles=tiles, splits=3, prologue=prologue)
    assert np.array_equal(whole, split)


BFLOAT_CASES = [
    {"n": 1, "ic": 2, "oc": 1, "pixels": 1},
    {"n": 2, "ic": 24, "oc": 19, "pixels": 13},
    {"n": 1, "ic": 34, "oc": 70, "pixels": 49, "blocks": 2, "tiles": (3, 3, 2)},
    {"n": 1, "ic": 40, "oc": 48, "pixels": 12, "groups": 4},
    {"n": 1, "ic": 24, "oc": 16, "pixels": 35, "pieces": (4, 18, 2)},
    {"n": 1, "ic": 22, "oc": 31, "pixels": 29, "prelu": True},
    {"n": 2, "ic": 24, "oc": 70, "pixels": 13, "tiles": (1, 1, 3), "prologue": "relu"},
    {"n": 1, "ic": 24, "oc": 80, "pixels": 49, "tiles": (3, 3, 2), "pieces": (4, 18, 2), "prologue": "clip"},
    {"n": 3, "ic": 24, "oc": 20, "pixels": 15, "tiles": (3, 2, 1), "pieces": (4, 18, 2), "prologue": "gate"},
    {"n": 2, "ic": 6, "oc": 3, "pixels": 7, "has_tail": True},
    {"n": 2, "ic": 300, "oc": 24, "pixels": 13, "prelu": True, "has_tail": True},
    {"n": 2, "ic": 10, "oc": 70, "pixels": 12, "blocks": 4, "has_tail": True, "prologue": "relu"},
]


@needs_bfloat_products
@pytest.mark.parametrize("case", BFLOAT_CASES, ids=str)
@pytest.mark.parametrize("at_start", [False, True])
def test_bfloat_products_match_the_sum_of_rounded_factors(case, at_start):
    got, expected, bound = run_pointwise(**case, products="bf16", at_start=at_start)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=bound)


@needs_bfloat_products
@pytest.mark.parametrize("prologue", ["", "relu", "gate"])
@pytest.mark.parametrize("tiles", [(1, 1, 1), (3, 3, 4)])
def test_any_split_of_bfloat_products_gives_the_same_bits(tiles, prologue):
    whole, _, _ = run_pointwise(2, 24, 70, 40, prologue=prologue, products="bf16")
    split, _, _ = run_pointwise(2, 24, 70, 40, tiles=tiles, splits=3, prologue=prologue, products="bf16")
    assert np.array_equal(whole, split)


@pytest.mark.parametrize(
    ("lanes", "groups", "fills"),
    [
        (range(6), 1, True),
        (range(5), 1, False),
        ((0, 1, 2, 16, 17, 18), 1, False),
        ((0, 1, 16, 17), 1, True),
        (range(6), 2, False),
        (range(8), 2, True),
    ],
)
def test_pairs_hold_channels_of_one_group_only(lanes, groups, fills):
    assert fills_pairs(list(lanes), groups) is fills
