"""1x1 convolution by Strassen's method against its definition: odd maps, prologues, guard pages, any split, errors."""

import numpy as np
import pytest

from cnnc.runtime.cpu.conv_packing import pack_channels
from cnnc.runtime.cpu.strassen_error import amplified, strassen_error
from cnnc.runtime.cpu.strassen_packing import pack_strassen
from cnnc.runtime.cpu.strassen_products import ADD, COLLECT, DIFFERENCES, FINISH, KEEP, PRODUCTS, TEMPORARIES
from cnnc.runtime.jit.target import host_target
from cnnc.runtime.kernel import Variant
from tests.kernels.guarded import float_bits, from_blocked, run_kernel, to_blocked

DEVIATIONS = 6
"""Of some thousand normal errors the largest is about four deviations; the worst of the four blocks of a result has an
error 1.1 times the mean square one."""


def run_strassen(
    n=1,
    ic_blocks=2,
    oc_blocks=2,
    pixels=13,
    columns=3,
    blocks=1,
    tiles=(1, 1),
    activation="none",
    residual=False,
    prologue="",
    gaps=(0, 0, 0),
    poison=None,
    strided=None,
    **run,
):
    """(result, expected, bound of their difference); ``poison`` is (channel, pixel, value) of the first image.

    ``strided`` is (rows, columns of x, vertical, horizontal stride), which give ``pixels``.
    """
    rows, row, down, right = strided or (1, pixels, 1, 1)
    taken = (np.arange(0, rows, down)[:, None] * row + np.arange(0, row, right)).reshape(-1)
    x_pixels, pixels = rows * row, taken.size
    rng = np.random.default_rng(pixels)
    lanes = host_target().lanes
    ic, oc = ic_blocks * lanes, oc_blocks * lanes
    x = rng.standard_normal((n, ic, x_pixels), np.float32)
    if poison is not None:
        x[0, poison[0], poison[1]] = poison[2]
    w = rng.standard_normal((oc, ic), np.float32)
    bias, slopes = rng.standard_normal((2, oc), np.float32)
    scale, shift = rng.standard_normal((2, ic), np.float32)
    read = x[:, :, taken].astype(np.float64)
    if prologue:
        read = read * scale[:, None] + shift[:, None]
        read = {"relu": np.maximum(read, 0), "clip": np.clip(read, -0.5, 0.75), "none": read}[prologue]
    expected = w.astype(np.float64) @ read + bias[:, None]
    packed = pack_strassen(w, lanes, blocks)
    sizes = {"N": n, "XB": ic_blocks, "YB": oc_blocks, "pixels": pixels, "weight_floats": packed.size}
    sizes |= {"pixel_tiles": tiles[0], "oc_tiles": tiles[1], "alpha": float_bits(-0.5), "beta": float_bits(1.5)}
    sizes |= {"input_alpha": float_bits(-0.5), "input_beta": float_bits(0.75), "input_image": 0}
    sizes |= dict(zip(("x_gap", "y_gap", "residual_gap"), gaps))
    sizes |= {"x_pixels": x_pixels, "row_pixels": pixels, "row_step": 0, "column_step": 1}
    if strided:
        sizes |= {"row_pixels": -(-row // right), "row_step": down * row, "column_step": right}
    arrays = {"x": with_gap(to_blocked(x, lanes), gaps[0]), "weights": packed, "bias": pack_channels(bias, oc, lanes)}
    arrays["y"] = with_gap(np.zeros((n, oc_blocks, pixels, lanes), np.float32), gaps[1])
    if residual:
        other = rng.standard_normal(expected.shape, np.float32)
        arrays["residual"] = with_gap(to_blocked(other, lanes), gaps[2])
        expected = expected + other
    if activation == "prelu":
        arrays["slopes"] = pack_channels(slopes, oc, lanes)
    if prologue:
        arrays |= {"input_scale": scale, "input_shift": shift}
    options = {"columns": columns, "blocks": blocks, "activation": activation, "residual": int(residual)}
    options |= {"prologue": prologue} if prologue else {}
    options |= {"strided": 1} if strided else {}
    variant = Variant.of("conv.f32.blocked.strassen", lanes=lanes, **options)
    y = run_kernel(variant, arrays, sizes, **run)["y"]
    image = oc * pixels
    images = np.stack([y[start : start + image] for start in range(0, y.size, image + gaps[1])])
    got = from_blocked(images.reshape(n, oc_blocks, pixels, lanes), oc)
    activated = {
        "none": expected,
        "relu": np.maximum(expected, 0),
        "clip": np.clip(expected, -0.5, 1.5),
        "prelu": np.where(expected < 0, expected * slopes[:, None], expected),
    }
    bound = DEVIATIONS * strassen_error(ic) * np.sqrt(ic) * max(1.0, float(np.abs(slopes).max()))
    return got, activated[activation], bound + 2.0**-22


def with_gap(images, gap):
    """Images behind each other with ``gap`` NaN between them."""
    flat = [np.concatenate([image.reshape(-1), np.full(gap, np.nan, np.float32)]) for image in images]
    joined = np.concatenate(flat)
    return joined[: joined.size - gap] if gap else joined


CASES = {
    "one pixel": {"pixels": 1},
    "fewer pixels than half a tile": {"pixels": 2},
    "one pixel in the second half": {"pixels": 4},
    "whole tiles": {"pixels": 12},
    "rest": {"pixels": 29, "tiles": (2, 1)},
    "images": {"n": 3, "pixels": 7, "tiles": (2, 1)},
    "odd halves": {"ic_blocks": 6, "oc_blocks": 6, "tiles": (1, 2)},
    "two blocks": {"oc_blocks": 12, "blocks": 2, "tiles": (5, 2), "columns": 5},
    "long sums": {"ic_blocks": 36, "pixels": 7},
    "clip": {"activation": "clip", "residual": True},
    "prelu": {"activation": "prelu", "oc_blocks": 4, "residual": True},
    "prologue": {"prologue": "relu", "activation": "relu", "pixels": 25, "tiles": (3, 1), "n": 2},
    "prologue of whole tiles": {"prologue": "clip", "pixels": 12, "tiles": (1, 1)},
    "strides": {"strided": (7, 9, 2, 3), "n": 2, "tiles": (2, 1)},
    "strides of whole tiles": {"strided": (6, 8, 2, 2), "gaps": (5, 0, 0), "n": 2},
    "stride of columns": {"strided": (5, 5, 1, 2), "prologue": "relu"},
    "stride of rows": {"strided": (5, 4, 4, 1), "residual": True},
    "ranges of channels": {"n": 3, "gaps": (5, 9, 3), "residual": True},
    "same ranges": {"n": 2, "gaps": (0, 7, 7), "residual": True, "activation": "relu"},
}


@pytest.mark.jit
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("at_start", [False, True])
def test_matches_definition(name, at_start):
    got, expected, bound = run_strassen(**CASES[name], at_start=at_start)
    np.testing.assert_allclose(got, expected, rtol=0, atol=bound)


@pytest.mark.jit
@pytest.mark.parametrize("one_worker", [False, True])
@pytest.mark.parametrize("tiles", [(1, 1), (2, 2), (9, 1), (1, 9)])
@pytest.mark.parametrize("name", ["images", "odd halves", "prologue"])
def test_any_split_gives_the_same_bits(name, tiles, one_worker):
    whole, _, _ = run_strassen(**CASES[name])
    for splits in (2, 5):
        split, _, _ = run_strassen(**{**CASES[name], "tiles": tiles}, splits=splits, one_worker=one_worker)
        assert np.array_equal(whole, split)


@pytest.mark.jit
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_what_is_not_finite_spoils_two_pixels(value):
    clean, _, _ = run_strassen(pixels=13)
    spoilt, _, _ = run_strassen(pixels=13, poison=(5, 4, value))
    # Pixels 0..2 and 3..5 are the halves of a tile.
    assert not np.isfinite(spoilt[0, :, 4]).any()
    apart = np.ones(13, bool)
    apart[[1, 4]] = False
    assert np.array_equal(clean[:, :, apart], spoilt[:, :, apart])


@pytest.mark.jit
@pytest.mark.parametrize("ic_blocks", [2, 8, 16, 36])
def test_error_bound(ic_blocks):
    got, expected, _ = run_strassen(ic_blocks=ic_blocks, oc_blocks=4, pixels=120)
    error = np.sqrt(np.mean((got - expected) ** 2) / np.mean(expected**2))
    bound = strassen_error(ic_blocks * host_target().lanes)
    assert 0.3 * bound < error <= bound


def test_products_add_up_to_the_product():
    """Coefficients of W_ik X_kj in each block of the result."""
    operands = list(np.eye(4))
    for first, second in DIFFERENCES:
        operands.append(operands[first] - operands[second])
    temporaries, blocks = [np.zeros((4, 4))] * TEMPORARIES, {}
    for product in PRODUCTS:
        total = np.outer(product.weights, operands[product.operand])
        for step, which in product.steps:
            if step == ADD:
                total = total + temporaries[which]
            elif step == COLLECT:
                temporaries[which] = temporaries[which] + total
            elif step == KEEP:
                temporaries[which] = total
            else:
                assert step == FINISH and which not in blocks
                blocks[which] = total
    for row, column in np.ndindex(2, 2):
        wanted = np.zeros((4, 4))
        for inner in range(2):
            wanted[2 * row + inner, 2 * inner + column] = 1
        assert np.array_equal(blocks[2 * row + column], wanted)


def test_errors_are_those_of_winograds_form():
    # One block is the sum of two products, the others have squares of 1 + 9 + 4 + 4 products, over 2 of the result.
    assert amplified() == (2 + 3 * 18) / 4 / 2
