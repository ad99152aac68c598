"""Winograd convolution of three launches on the emulator: odd sizes, dilations, depths, gaps, NaN in pad lanes."""

from __future__ import annotations

import numpy as np
import pytest

from cnnc.ptx import Counters
from cnnc.runtime.cpu.winograd_error import winograd_error
from cnnc.runtime.cuda import kernel_def
from cnnc.runtime.cuda.conv_winograd_input import KERNEL as INPUT
from cnnc.runtime.cuda.winograd_shape import WinogradShape, m_bytes, pack_winograd, v_bytes
from cnnc.runtime.kernel import Variant
from tests.cuda.emulated import blocked, launch, plain
from tests.kernels import reference
from tests.kernels.guarded import float_bits

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
}
DEVIATIONS = 6
"""As in ``tests/kernels/test_conv_winograd.py``."""
TILES = {
    "64x64": (8, 8, 8, 8),
    "32x32": (4, 4, 8, 8),
    "64x32": (8, 4, 8, 8),
    "128x64": (8, 8, 16, 8),
    "64x128": (8, 8, 8, 16),
}


def volume(values, fill):
    return (fill,) * (3 - len(values)) + tuple(values)


def run_winograd(
    case, outputs=(4, 4), tile="32x32", activation="none", residual=False, poison=None, pieces=None, gap=0, seed=0
):
    """(result, expected, bound of their difference, counters of the three launches).

    ``pieces``: channels of the pieces that x lies in; ``gap``: blocks of channels behind each image of all tensors.
    """
    rng = np.random.default_rng(seed)
    rank = len(case["x"]) - 2
    stride, dilation = case.get("stride", (1,) * rank), case.get("dilation", (1,) * rank)
    pads = case.get("pads", (0,) * 2 * rank)
    x, w = rng.standard_normal(case["x"], np.float32), rng.standard_normal(case["w"], np.float32)
    if poison is not None:
        x[(0, 1, *poison)] = np.nan
    bias = rng.standard_normal(w.shape[0], np.float32)
    expected = reference.conv(x, w, stride, dilation, pads) + bias.reshape(1, -1, *(1,) * rank)
    kernel = w.reshape(*w.shape[:2], *volume(w.shape[2:], 1))
    shape = WinogradShape(*outputs, *kernel.shape[3:])
    splits = np.cumsum([x.shape[1]] if pieces is None else pieces)[:-1]
    source = np.concatenate([blocked(piece) for piece in np.split(x, splits, 1)], 1)
    lanes, row = np.full(8 * source.shape[1], -1, np.int32), 0
    for piece, first in zip(np.split(x, splits, 1), np.cumsum([0, *(-(-n // 8) * 8 for n in (pieces or [0]))])):
        lanes[first : first + piece.shape[1]] = np.arange(row, row + piece.shape[1])
        row += piece.shape[1]
    common = dict(zip(("D", "H", "W"), volume(x.shape[2:], 1)))
    common |= dict(zip(("OD", "OH", "OW"), volume(expected.shape[2:], 1)))
    common |= dict(zip(("DD", "DH", "DW"), volume(dilation, 1))) | dict(zip(("PD", "PH", "PW"), volume(pads[:rank], 0)))
    common |= {"N": x.shape[0], "XB": source.shape[1], "YB": -(-w.shape[0] // 8), "channels": x.shape[1]}
    common |= {
        "positions": shape.positions,
        "KD": kernel.shape[2],
        "SD": volume(stride, 1)[0],
        "plane_columns": shape.plane_columns(common),
    }
    common |= {"alpha": float_bits(-0.5), "beta": float_bits(1.5)}
    common |= {f"{name}_gap": gap * 8 * int(np.prod(expected.shape[2:])) for name in ("y", "residual")}
    common |= {"x_gap": gap * 8 * int(np.prod(x.shape[2:]))}
    far = lambda a: np.concatenate([a, np.full((len(a), gap, *a.shape[2:]), np.nan, np.float32)], 1)  # noqa: E731
    other = rng.standard_normal(expected.shape, np.float32) if residual else None
    y = far(blocked(np.full(expected.shape, np.nan, np.float32)))
    v = np.full(
        v_bytes(shape.positions, x.shape[1], x.shape[0] * common["D"], common["plane_columns"]) // 4, np.nan, np.float32
    )
    columns = x.shape[0] * common["OD"] * common["plane_columns"]
    m = np.full(m_bytes(shape.positions, common["YB"], columns) // 4, np.nan, np.float32)
    names = dict(zip(("rows", "columns", "row_threads", "column_threads"), TILES[tile]))
    packed = pack_winograd(kernel, shape, names["rows"] * names["row_threads"])
    depth = int(kernel.shape[2:3] != (1,) or stride[:-2] not in ((), (1,)) or common["PD"] != 0)
    launches = (
        ("input", {}, {"v": v, "x": far(source), "rows": lanes}),
        ("products", {**names, "depth": depth, "tail": int(x.shape[1] % 8 != 0)}, {"m": m, "v": v, "weights": packed}),
        (
            "output",
            {"activation": activation, "residual": int(residual), "lanes": 8},
            {
                "m": m,
                "bias": blocked(bias[None], pad=0.0),
                "residual": None if other is None else far(blocked(other)),
                "slopes": None,
                "y": y,
            },
        ),
    )
    counters = {}
    for name, options, buffers in launches:
        variant = Variant.of(f"conv.f32.winograd.{name}", **({} if name == "products" else shape.params), **options)
        counters[name] = launch_with(variant, buffers, common)
    if other is not None:
        expected = expected + other
    if gap:
        assert np.all(np.isnan(y[:, -gap:]))
    window = shape.window_rows, shape.window_columns
    products = w[0].size // (window[0] * window[1])
    error = winograd_error(outputs, window, products, products) * float(np.sqrt(w[0].size))
    bound = DEVIATIONS * error + 2.0**-24 * float(np.nanmax(np.abs(expected)))
    return plain(y, w.shape[0]), expected, bound, counters


def launch_with(variant: Variant, buffers, sizes) -> Counters:
    return launch(variant, buffers, {name: sizes[name] for name in kernel_def(variant.kernel).sizes})


@pytest.mark.parametrize("name", CASES)
def test_matches_definition(name):
    got, expected, bound, counters = run_winograd(CASES[name])
    np.testing.assert_allclose(got, expected, rtol=0, atol=bound)
    assert counters["products"].conflicts == 0


@pytest.mark.parametrize("tile", TILES)
def test_any_block_tile_gives_the_same_bits(tile):
    got, expected, bound, counters = run_winograd(CASES["3x3"], tile=tile)
    np.testing.assert_allclose(got, expected, rtol=0, atol=bound)
    assert counters["products"].conflicts == 0
    assert np.array_equal(got, run_winograd(CASES["3x3"])[0])


@pytest.mark.parametrize("outputs", [(2, 2), (3, 3), (4, 2), (1, 5)], ids=str)
def test_other_outputs(outputs):
    case = CASES["3x3"] if outputs[0] > 1 else {**CASES["3x3"], "w": (33, 19, 1, 3)}
    got, expected, bound, _ = run_winograd(case, outputs)
    np.testing.assert_allclose(got, expected, rtol=0, atol=bound)


def test_pieces_gaps_residual_and_clip():
    """x lies in three pieces; x, y and the residual are ranges of channels of larger tensors."""
    got, expected, bound, _ = run_winograd(CASES["3x3"], activation="clip", residual=True, pieces=[3, 11, 5], gap=2)
    np.testing.assert_allclose(got, np.clip(expected, -0.5, 1.5), rtol=0, atol=bound)


def test_a_nan_spoils_the_tiles_that_see_it_only():
    case = {"x": (1, 9, 12, 14), "w": (8, 9, 3, 3), "pads": (1, 1, 1, 1)}
    got, expected, bound, _ = run_winograd(case, poison=(5, 6))
    spoilt = np.isnan(got)
    assert np.all(spoilt[np.isnan(expected)])
    assert np.all(spoilt[0, :, 4:8, 4:8]) and not np.any(spoilt[0, :, :4]) and not np.any(spoilt[0, :, :, 8:])
    np.testing.assert_allclose(got[~spoilt], expected[~spoilt], rtol=0, atol=bound)


@pytest.mark.parametrize("outputs", [2, 4])
@pytest.mark.parametrize("channels", [16, 300])
def test_error_bound(outputs, channels):
    case = {"x": (1, channels, 10, 9), "w": (8, channels, 3, 3)}
    got, expected, _, _ = run_winograd(case, (outputs, outputs))
    error = np.sqrt(np.mean((got - expected) ** 2) / np.mean(expected**2))
    assert error <= winograd_error((outputs, outputs), (3, 3), channels, channels)


def test_launches_waste_nothing():
    """Whole sectors, no bank conflicts, no local memory; products are multiply-adds mostly, counted in their loop."""
    case = {"x": (1, 32, 28, 28), "w": (64, 32, 3, 3), "pads": (1, 1, 1, 1)}
    counters = run_winograd(case, tile="64x64", residual=True)[3]
    for found in counters.values():
        assert found.conflicts == 0
        assert found.sectors <= 1.1 * found.least_sectors
        assert found.issued["load local"] == found.issued["store local"] == 0
    longer = run_winograd({**case, "x": (1, 48, 28, 28), "w": (64, 48, 3, 3)}, tile="64x64", residual=True)[3]
    steps = longer["products"].issued - counters["products"].issued
    assert steps["fma"] >= 0.85 * steps.total()


def test_rows_of_lanes_are_checked():
    sizes = dict.fromkeys(INPUT.sizes, 1) | {"channels": 3}
    params = WinogradShape(4, 4, 3, 3).params
    refusal = lambda *rows: INPUT.table_refusal(sizes, params, {"rows": np.array(rows, np.int32).view(np.uint8)})  # noqa: E731
    assert refusal(0, 1, 2, -1, -1, -1, -1, -1) is None
    assert "row of V" in refusal(0, 1, 3, -1, -1, -1, -1, -1)
    assert "row of V" in refusal(0, 1, -2, -1, -1, -1, -1, -1)
