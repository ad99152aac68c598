"""Sparse convolution against its definition: densities, windows, parts, tails, prologues, guard pages, any split."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cnnc.runtime.cpu.conv_packing import pack_channels
from cnnc.runtime.cpu.sparse_packing import channel_rows, pack_sparse
from cnnc.runtime.cpu.sparse_tiling import SparseLayer, last_pixels, most_vectors, rank_sparse_tilings
from cnnc.runtime.cpu.tile_table import CHAIN
from cnnc.runtime.jit.kernel_library import assembly
from cnnc.runtime.jit.listing import densest_loop
from cnnc.runtime.jit.target import host_target, x86_target
from cnnc.runtime.kernel import Target, Variant
from cnnc.types import Layout
from tests.kernels import reference
from tests.kernels.guarded import float_bits, from_blocked, run_kernel, to_blocked
from tests.kernels.test_conv_strassen import with_gap
from tests.kernels.test_sum_accuracy import check

NAME = "conv.f32.blocked.sparse"
FEW = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
MANY_GROUPS = 1 << 20
LANES = host_target().lanes
QUARTER = LANES // 4


def zeroed(w, density, pattern, seed=0):
    """``w`` [OC, ...] with a share of ``density`` left: "any" elements, "block4", "one" element, or "rows" of zeros."""
    rng = np.random.default_rng(seed)
    kept = rng.random(w.shape) < density
    if pattern == "block4":
        kept = np.repeat(kept[: -(-len(w) // 4)], 4, axis=0)[: len(w)]
    if pattern == "one":
        kept = np.zeros(w.size, bool)
        kept[rng.integers(w.size)] = True
        kept = kept.reshape(w.shape)
    if pattern == "rows":
        kept[::3] = False
    return np.where(kept, w, np.float32(0))


def run_sparse(
    x=(1, 24, 9),
    w=(20, 24, 1),
    stride=None,
    dilation=None,
    pads=None,
    density=0.2,
    pattern="any",
    vectors=2,
    share=1,
    last=0,
    oc_blocks=1,
    part_groups=MANY_GROUPS,
    pieces=(),
    activation="none",
    residual=False,
    prologue="",
    gaps=(0, 0, 0),
    poison=None,
    **run,
):
    """(result, expected, bound of their difference); ``poison`` is (input channel, pixel, value) of the first image."""
    rank = len(x) - 2
    stride, dilation = stride or (1,) * rank, dilation or (1,) * rank
    pads = pads or (0,) * (2 * rank)
    rng = np.random.default_rng(sum(x) + sum(w))
    lanes = LANES
    n, channels, oc = x[0], x[1], w[0]
    data = rng.standard_normal(x, np.float32)
    if poison is not None:
        data[0, poison[0]].reshape(-1)[poison[1]] = poison[2]
    weights = zeroed(rng.standard_normal(w, np.float32), density, pattern)
    bias, slopes = rng.standard_normal((2, oc), np.float32)
    scale, shift = rng.standard_normal((2, channels), np.float32)
    gate = rng.standard_normal((n, channels), np.float32)
    wide = (-1, *(1,) * rank)
    read = data.astype(np.float64)
    if prologue == "gate":
        read = read * gate.reshape(n, channels, *(1,) * rank)
    elif prologue:
        read = (read * scale.reshape(wide) + shift.reshape(wide)).astype(np.float32)  # fused
        read = {"relu": np.maximum(read, 0), "clip": np.clip(read, -0.5, 0.75), "none": read}[prologue]
    # NaN * 0 is NaN in the definition; lists leave zeros out.
    exact = reference.conv(np.nan_to_num(read, posinf=0, neginf=0), weights, stride, dilation, pads)
    expected = exact + bias.reshape(wide)
    layout = Layout(lanes, pieces)
    where = layout.lanes(channels)
    physical = np.full((n, layout.physical_channels(channels), *x[2:]), np.nan, np.float32)
    physical[:, where] = data
    blocks_in, blocks_out = physical.shape[1] // lanes, -(-oc // lanes)
    packed = pack_sparse(
        channel_rows(weights, lanes, blocks_in, where), lanes, blocks_out, vectors * lanes * 4, share, part_groups
    )
    result = expected.shape[2:]
    sizes = {"N": n, "XB": blocks_in, "YB": blocks_out}
    for names, values, filler in (
        ("D H W", x[2:], 1),
        ("OD OH OW", result, 1),
        ("KD KH KW", w[2:], 1),
        ("SD SH SW", stride, 1),
        ("DD DH DW", dilation, 1),
        ("PD PH PW", pads[:rank], 0),
    ):
        sizes |= dict(zip(names.split(), (filler,) * (3 - rank) + tuple(values)))
    sizes |= {"group_count": len(packed.groups), "parts": packed.parts, "entry_words": packed.entries.size}
    sizes |= {"oc_blocks": oc_blocks, "alpha": float_bits(-0.5), "beta": float_bits(1.5)}
    sizes |= dict(zip(("x_gap", "y_gap", "residual_gap"), gaps))
    sizes |= {"input_alpha": float_bits(-0.5), "input_beta": float_bits(0.75), "input_image": 0, "fill": 0}
    arrays = {"x": with_gap(to_blocked(physical, lanes), gaps[0])}
    arrays |= {"entries": packed.entries, "index": packed.index, "groups": packed.groups}
    arrays |= {"bias": pack_channels(bias, oc, lanes)}
    y_blocked = np.zeros((n, blocks_out, *result, lanes), np.float32)
    arrays["y"] = with_gap(y_blocked, gaps[1])
    if residual:
        other = rng.standard_normal(expected.shape, np.float32)
        arrays["residual"] = with_gap(to_blocked(other, lanes), gaps[2])
        expected = expected + other
    if activation == "prelu":
        arrays["slopes"] = pack_channels(slopes, oc, lanes)
    if prologue == "gate":
        sizes["input_image"] = physical.shape[1] + 5
        arrays["input_scale"] = np.full(n * sizes["input_image"], np.nan, np.float32)
        for image in range(n):
            arrays["input_scale"][image * sizes["input_image"] + np.asarray(where)] = gate[image]
        arrays["input_scale"] = arrays["input_scale"][:-5]  # the gap behind the last image is not read
    elif prologue:
        for name, values in (("input_scale", scale), ("input_shift", shift)):
            arrays[name] = np.full(physical.shape[1], np.nan, np.float32)
            arrays[name][where] = values
    options = {"vectors": vectors, "share": share, "activation": activation, "residual": int(residual)}
    options |= ({"prologue": prologue} if prologue else {}) | ({"last": last} if last else {})
    y = run_kernel(Variant.of(NAME, lanes=lanes, **options), arrays, sizes, **run)["y"]
    image = y_blocked[0].size
    images = np.stack([y[start : start + image] for start in range(0, y.size, image + gaps[1])])
    got = from_blocked(images.reshape(y_blocked.shape), oc)
    activated = {
        "none": expected,
        "relu": np.maximum(expected, 0),
        "clip": np.clip(expected, -0.5, 1.5),
        "prelu": np.where(expected < 0, expected * slopes.reshape(wide), expected),
    }
    bound = 3e-6 * np.sqrt(np.prod(w[1:])) * max(1.0, float(np.abs(scale).max())) + 1e-6
    return got, activated[activation], bound


MAP = {"x": (1, 20, 11, 9), "w": (24, 20, 3, 3), "pads": (1, 1, 1, 1)}
CASES = {
    "one pixel": {"x": (1, 5, 1), "w": (3, 5, 1)},
    "a vector and a pixel": {"x": (1, 20, LANES + 1), "w": (20, 20, 1), "vectors": 1},
    "whole tile": {"x": (1, 24, 2 * LANES)},
    "several tiles": {"x": (1, 24, 7, 13), "w": (40, 24, 1, 1), "oc_blocks": 2},
    "images": {"x": (3, 24, 5, 5), "w": (20, 24, 1, 1)},
    "window": MAP,
    "window of five": {"x": (2, 5, 8, 7), "w": (6, 5, 5, 5), "pads": (2, 2, 2, 2)},
    "strides": MAP | {"stride": (2, 2)},
    "strides that differ": MAP | {"stride": (1, 3), "pads": (0, 2, 1, 0)},
    "stride of columns": MAP | {"stride": (2, 1), "w": (9, 20, 1, 1), "pads": (0,) * 4},
    "dilation": MAP | {"dilation": (2, 3), "pads": (2, 3, 2, 3)},
    "padding beyond the window": MAP | {"pads": (4, 5, 3, 4)},
    "no padding": MAP | {"pads": (0, 0, 0, 0)},
    "three dimensions": {"x": (2, 6, 4, 5, 7), "w": (18, 6, 3, 3, 2), "stride": (1, 2, 1), "pads": (1, 1, 0, 1, 1, 1)},
    "one dimension": {"x": (1, 20, 50), "w": (20, 20, 7), "pads": (3, 3), "stride": (2,)},
    "dense": MAP | {"density": 1.0},
    "no weights": MAP | {"density": 0.0},
    "no weights, parts": MAP | {"density": 0.0, "part_groups": 1},
    "one weight": MAP | {"pattern": "one"},
    "empty filters": MAP | {"pattern": "rows"},
    "parts": MAP | {"part_groups": 2, "oc_blocks": 2},
    "parts, items of one block": MAP | {"part_groups": 3},
    "parts of one group": {"x": (2, 40, 6, 7), "w": (33, 40, 1, 1), "part_groups": 1, "vectors": 3},
    "long sums": {"x": (1, 600, 20), "w": (20, 600, 1), "density": 0.9},
    "pairs": MAP | {"share": 2, "vectors": 3},
    "fours": MAP | {"share": 4, "pattern": "block4"},
    "fours of anything": MAP | {"share": 4, "part_groups": 4, "oc_blocks": 2},
    "pieces": MAP | {"pieces": (5, 14, 1)},
    "last tile of a quarter": MAP | {"x": (2, 20, 7, 7), "vectors": 4, "last": 3 * LANES + QUARTER},
    "last tile of a half": {"x": (1, 24, 2 * LANES + 3), "vectors": 1, "last": LANES // 2},
    "last tile of vectors": MAP | {"x": (1, 20, 10, 10), "vectors": 4, "last": 3 * LANES, "part_groups": 2},
    "last tile, fours": MAP | {"x": (1, 20, 7, 7), "vectors": 4, "last": 3 * LANES + QUARTER, "share": 4},
    "clip": MAP | {"activation": "clip", "residual": True},
    "prelu": MAP | {"activation": "prelu", "residual": True, "part_groups": 2},
    "relu": MAP | {"activation": "relu"},
    "prologue": MAP | {"prologue": "relu", "x": (2, 20, 11, 9)},
    "prologue of pieces": MAP | {"prologue": "clip", "pieces": (5, 14, 1)},
    "gate": MAP | {"prologue": "gate", "x": (3, 20, 6, 7), "pieces": (5, 14, 1)},
    "ranges of channels": MAP | {"x": (3, 20, 6, 7), "gaps": (5, 9, 3), "residual": True},
    "same ranges": MAP | {"x": (2, 20, 6, 7), "gaps": (0, 7, 7), "residual": True, "activation": "relu"},
    "most vectors": MAP | {"vectors": most_vectors(1, LANES), "x": (1, 20, 20, 19)},
    "most vectors, fours": MAP | {"vectors": most_vectors(4, LANES), "share": 4},
}


@pytest.mark.jit
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("at_start", [False, True])
def test_matches_definition(name, at_start):
    got, expected, bound = run_sparse(**CASES[name], at_start=at_start)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=bound)


@pytest.mark.jit
@pytest.mark.parametrize("one_worker", [False, True])
@pytest.mark.parametrize("oc_blocks", [1, 2, 9])
@pytest.mark.parametrize("name", ["images", "parts", "fours of anything", "prologue", "several tiles"])
def test_any_split_gives_the_same_bits(name, oc_blocks, one_worker):
    whole, _, _ = run_sparse(**CASES[name])
    for splits in (2, 5):
        case = {**CASES[name], "oc_blocks": oc_blocks}
        split, _, _ = run_sparse(**case, splits=splits, one_worker=one_worker)
        assert np.array_equal(whole, split)


@pytest.mark.jit
@pytest.mark.parametrize("share", [1, 2])
def test_vectors_of_a_tile_do_not_change_bits(share):
    got = [run_sparse(**MAP, share=share, vectors=vectors)[0] for vectors in (1, 3, 4)]
    assert np.array_equal(got[0], got[1]) and np.array_equal(got[0], got[2])


@pytest.mark.jit
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_what_is_not_finite_reaches_sums_with_a_weight_for_it(value):
    case = {"x": (1, 24, 40), "w": (40, 24, 1), "density": 0.3}
    clean, _, _ = run_sparse(**case)
    spoilt, _, _ = run_sparse(**case, poison=(5, 17, value))
    rng = np.random.default_rng(sum(case["x"]) + sum(case["w"]))
    rng.standard_normal(case["x"], np.float32)
    weights = zeroed(rng.standard_normal(case["w"], np.float32), 0.3, "any")
    reads = weights[:, 5, 0] != 0
    assert reads.any() and not reads.all()
    assert not np.isfinite(spoilt[0, reads, 17]).any()
    apart = np.ones_like(clean, bool)
    apart[0, reads, 17] = False
    assert np.array_equal(clean[apart], spoilt[apart])


@st.composite
def convolutions(draw):
    """Arguments of ``run_sparse`` for a 2-D convolution with at least one output pixel."""
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    ic, oc = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    window, stride, dilation = draw(pair), draw(pair), draw(pair)
    begins, ends = (draw(st.tuples(st.integers(0, 3), st.integers(0, 3))) for _ in range(2))
    least = [max(1, (window[a] - 1) * dilation[a] + 1 - begins[a] - ends[a]) for a in range(2)]
    size = tuple(draw(st.integers(low, low + 17)) for low in least)
    return {
        "x": (draw(st.integers(1, 2)), ic, *size),
        "w": (oc, ic, *window),
        "stride": stride,
        "dilation": dilation,
        "pads": begins + ends,
        "density": draw(st.sampled_from([0.0, 0.02, 0.1, 0.5, 1.0])),
        "pattern": draw(st.sampled_from(["any", "block4", "one", "rows"])),
        "oc_blocks": draw(st.integers(1, 3)),
        "part_groups": draw(st.sampled_from([1, 2, 5, MANY_GROUPS])),
        "splits": draw(st.integers(1, 4)),
    }


@pytest.mark.jit
@FEW
@given(case=convolutions(), share=st.sampled_from([1, 4]))
def test_random_convolutions(case, share):
    got, expected, bound = run_sparse(**case, share=share, vectors=2)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=bound)


@pytest.mark.jit
@pytest.mark.parametrize("k", [64, CHAIN, CHAIN + 1, 2 * CHAIN, 4608])
def test_sums_have_two_levels(k):
    got, expected, _ = run_sparse(x=(1, k, 30), w=(20, k, 1), density=1.0)
    check(got, expected, k)


def test_no_list_is_longer_than_a_chain():
    rng = np.random.default_rng(0)
    weights = zeroed(rng.standard_normal((40, 2000, 1, 1), np.float32), 0.4, "any")
    packed = pack_sparse(channel_rows(weights, 16, 125, range(2000)), 16, 3, 64, 1, MANY_GROUPS)
    lengths = packed.index[:, :, 1:]
    assert packed.parts > 1 and lengths.max() <= CHAIN
    assert lengths.sum() == len(packed.entries) == np.count_nonzero(weights)


@pytest.mark.parametrize("part_groups", [1, 3, MANY_GROUPS])
@pytest.mark.parametrize(("share", "pattern"), [(1, "any"), (2, "any"), (4, "block4"), (4, "one"), (1, "rows")])
def test_lists_hold_all_weights(share, pattern, part_groups):
    """Lists that are walked as the kernel does give the weights back."""
    rng = np.random.default_rng(1)
    lanes, blocks_in, blocks_out, taps = 8, 3, 2, 4
    weights = zeroed(rng.standard_normal((13, 20, 2, 2), np.float32), 0.2, pattern)
    rows = channel_rows(weights, lanes, blocks_in, range(2, 22))
    packed = pack_sparse(rows, lanes, blocks_out, 32, share, part_groups)
    found = np.zeros((blocks_out * lanes, blocks_in, taps, lanes), np.float32)
    for part in range(packed.parts):
        for block in range(blocks_out):
            start, *lengths = packed.index[part, block]
            assert start % packed.entries[0].nbytes == 0
            first = start // packed.entries[0].nbytes
            for number, length in enumerate(lengths):
                for offset, *bits in packed.entries[first : first + length]:
                    assert offset % 32 == 0
                    group, lane = divmod(offset // 32, lanes)
                    channel = block * lanes + number * share
                    in_block, tap = packed.groups[group]
                    values = np.array(bits, np.int32).view(np.float32)
                    assert not found[channel : channel + share, in_block, tap, lane].any()
                    found[channel : channel + share, in_block, tap, lane] = values
                first += length
    assert np.array_equal(found[:13], rows) and not found[13:].any()


def test_groups_that_nothing_reads_are_left_out():
    weights = np.zeros((8, 32, 3, 3), np.float32)
    weights[2, 17, 1, 2] = weights[5, 18, 1, 2] = weights[5, 3, 0, 0] = 1
    packed = pack_sparse(channel_rows(weights, 8, 4, range(32)), 8, 1, 64, 1, MANY_GROUPS)
    assert packed.groups.tolist() == [[0, 0], [2, 5]]


@pytest.mark.parametrize("lanes", [4, 8, 16])
@pytest.mark.parametrize("share", [1, 2, 4])
def test_sums_fit_the_registers(lanes, share):
    registers = 32 if lanes == 16 else 16
    assert most_vectors(share, lanes) * share + share < registers


@pytest.mark.parametrize("lanes", [4, 8, 16])
@pytest.mark.parametrize("vectors", [1, 3, 8])
def test_last_tiles_compute_their_pixels(lanes, vectors):
    tile = vectors * lanes
    for pixels in range(1, 3 * tile):
        count = (pixels - 1) % tile + 1
        last = last_pixels(pixels, vectors, lanes)
        assert count <= last <= tile
        assert last % lanes in {0, lanes // 2, lanes // 4} and (last % lanes == 0 or last % lanes >= 4)
        assert last - count < max(4, lanes // 4) or last % lanes in {0, lanes // 2}
        assert last_pixels(pixels, vectors, lanes, narrows=False) == -(-count // lanes) * lanes


def ranked(density, pixels=196, channels=256, count=1):
    """Tilings of a 1x1 layer of so many channels with zeros anywhere."""
    entries = ((1, round(density * channels**2)), (2, round((1 - (1 - density) ** 2) * channels**2 / 2)))
    layer = SparseLayer(1, pixels, 1, channels // LANES, LANES, channels // LANES, LANES, entries)
    return rank_sparse_tilings(layer, count)


def test_fewer_weights_cost_less():
    costs = [ranked(density)[0][0] for density in (0.5, 0.3, 0.1, 0.02, 0)]
    assert costs == sorted(costs, reverse=True) and costs[-1] > 0


def test_tilings_are_ranked_and_fit():
    found = ranked(0.1, count=1000)
    assert [cost for cost, _ in found] == sorted(cost for cost, _ in found)
    assert len({tiling for _, tiling in found}) == len(found)
    for _, tiling in found:
        assert 1 <= tiling.vectors <= most_vectors(tiling.share, LANES) and tiling.part_groups >= 1
    # Zeros anywhere leave few places to share.
    assert found[0][1].share == 1
    assert ranked(0.1, pixels=49)[0][1].vectors <= -(-49 // LANES)


@pytest.mark.jit
@pytest.mark.parametrize("level", ["avx512", "avx2"])
@pytest.mark.parametrize("share", [1, 4])
def test_sums_stay_in_registers(level, share):
    target = x86_target(level)
    vectors = most_vectors(share, target.lanes)
    facts = densest_loop(assembly(_variant(vectors, share, target), target))
    assert facts.multiply_adds % (vectors * share) == 0
    assert facts.stack_moves <= (facts.multiply_adds // 4 if (level, share) == ("avx2", 4) else 0)


@pytest.mark.jit
def test_code_for_another_cpu():
    target = Target("aarch64-unknown-none-elf", "generic", "", 16)
    listing = assembly(_variant(4, 1, target), target)
    assert listing.count("fmla") >= 4


def _variant(vectors, share, target):
    return Variant.of(NAME, vectors=vectors, share=share, lanes=target.lanes, activation="relu", residual=0)
