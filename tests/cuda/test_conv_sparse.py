"""Convolutions with sparse weights on the emulator: against the definition, patterns of zeros, hostile tables."""

from __future__ import annotations

import numpy as np
import pytest

from cnnc.runtime.cpu.sparse_packing import channel_rows
from cnnc.runtime.cuda import kernel_def
from cnnc.runtime.cuda.sparse_packing import SparseTile, pack_sparse
from cnnc.runtime.kernel import Variant
from tests.cuda.emulated import blocked, launch, plain
from tests.kernels import reference


def _random(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape, np.float32)


def _pruned(weights, sparsity, block):
    """The weights with zeros: the same for ``block`` neighbouring output channels."""
    masks = np.random.default_rng(1).random((-(-len(weights) // block), *weights.shape[1:])) >= sparsity
    return weights * np.repeat(masks, block, axis=0)[: len(weights)]


def _case(x, w, tile, *, stride=1, pad=0, dilation=1, residual=None, activation="none", splits=1):
    """Variant, buffers, sizes and the result's array of a convolution of x [N, C, H, W] with w."""
    n, channels, height, width = x.shape
    out_h, out_w = (
        (size + 2 * pad - dilation * (window - 1) - 1) // stride + 1 for size, window in zip(x.shape[2:], w.shape[2:])
    )
    x_blocks, y_blocks = -(-channels // 8), -(-len(w) // 8)
    offsets = np.array([(0, dilation * i, dilation * j) for i in range(w.shape[2]) for j in range(w.shape[3])])
    tables = pack_sparse(channel_rows(w, 8, x_blocks, range(channels)), offsets, tile)
    params = {"share": tile.share, "vectors": tile.vectors, "warps": tile.warps}
    params |= {"window": int(w.shape[2:] != (1, 1)), "partial": int(splits > 1), "lanes": 8}
    variant = Variant.of("conv.f32.sparse", **params, activation=activation, residual=int(residual is not None))
    y = np.full((splits * n, y_blocks, out_h, out_w, 8), np.nan, np.float32)
    buffers = {"y": y, "x": blocked(x), "bias": np.arange(8 * y_blocks, dtype=np.float32), "slopes": None}
    buffers |= {name: getattr(tables, name) for name in ("records", "index", "groups", "tiles")}
    buffers["residual"] = None if residual is None else blocked(residual)
    sizes = {"N": n, "XB": x_blocks, "YB": y_blocks, "D": 1, "H": height, "W": width, "OD": 1, "OH": out_h}
    sizes |= {"OW": out_w, "SD": 1, "SH": stride, "SW": stride, "PD": 0, "PH": pad, "PW": pad, "splits": splits}
    sizes |= {"record_count": len(tables.records) - 1, "row_count": len(tables.index)}
    sizes |= {"group_count": len(tables.groups), "alpha": 0, "beta": 0, "x_gap": 0, "y_gap": 0, "residual_gap": 0}
    return variant, buffers, sizes, y


TILES = [SparseTile(1, 4, 8), SparseTile(2, 2, 4), SparseTile(4, 1, 2), SparseTile(4, 4, 8)]


@pytest.mark.parametrize("tile", TILES, ids=str)
@pytest.mark.parametrize("block", [1, 4])
def test_pointwise(tile, block):
    x, w = _random(2, 83, 9, 7), _pruned(_random(37, 83, 1, 1), 0.9, block)
    residual = _random(2, 37, 9, 7)
    variant, buffers, sizes, y = _case(x, w, tile, residual=residual, activation="relu")
    counters = launch(variant, buffers, sizes)
    expected = reference.conv(x, w, (1, 1), (1, 1), (0,) * 4) + np.arange(37.0)[:, None, None] + residual
    np.testing.assert_allclose(plain(y, 37), np.maximum(expected, 0), atol=1e-5)
    assert counters.conflicts == 0
    assert not counters.issued["load local"]


@pytest.mark.parametrize("tile", TILES[:2], ids=str)
@pytest.mark.parametrize(
    ("window", "stride", "pad", "dilation"), [(3, 1, 1, 1), (3, 2, 1, 1), (2, 1, 2, 3), (1, 2, 0, 1)]
)
def test_windows(tile, window, stride, pad, dilation):
    x, w = _random(1, 11, 9, 8), _pruned(_random(10, 11, window, window), 0.8, 1)
    variant, buffers, sizes, y = _case(x, w, tile, stride=stride, pad=pad, dilation=dilation)
    counters = launch(variant, buffers, sizes)
    expected = reference.conv(x, w, (stride,) * 2, (dilation,) * 2, (pad,) * 4) + np.arange(10.0)[:, None, None]
    np.testing.assert_allclose(plain(y, 10), expected, atol=1e-5)
    assert counters.conflicts == 0


def test_splits_add_up():
    x, w = _random(1, 200, 5, 5), _pruned(_random(9, 200, 1, 1), 0.7, 1)
    variant, buffers, sizes, y = _case(x, w, SparseTile(1, 1, 2), splits=3)
    launch(variant, buffers, sizes)
    np.testing.assert_allclose(plain(y, 9).sum(axis=0), reference.conv(x, w, (1, 1), (1, 1), (0,) * 4)[0], atol=1e-5)


def test_channels_without_weights():
    x, w = _random(1, 16, 4, 4), np.zeros((9, 16, 1, 1), np.float32)
    x[0, 3] = np.inf
    variant, buffers, sizes, y = _case(x, w, SparseTile(1, 1, 2))
    launch(variant, buffers, sizes)
    np.testing.assert_array_equal(plain(y, 9), np.broadcast_to(np.arange(9.0)[:, None, None], (1, 9, 4, 4)))


def test_zero_blocks_are_not_copied():
    x, w = _random(1, 128, 16, 16), _random(128, 128, 1, 1)
    w[64:, :120] = 0
    w[:64, 8:] = 0
    variant, buffers, sizes, y = _case(x, w, SparseTile(1, 4, 8))
    counters = launch(variant, buffers, sizes)
    expected = reference.conv(x, w, (1, 1), (1, 1), (0,) * 4) + np.arange(128.0)[:, None, None]
    np.testing.assert_allclose(plain(y, 128), expected, atol=1e-5)
    # Each tile of 64 outputs reads one block of 8 inputs: 2 of 32 pairs, x once for each.
    assert len(buffers["groups"]) == 2
    written = 2 * y.nbytes / 32
    assert counters.sectors <= 1.1 * (2 * x.nbytes / 16 / 32 + written + 2 * 2 * buffers["records"].nbytes)


@pytest.mark.parametrize(
    ("table", "change", "fragment"),
    [
        ("records", lambda t: t.__setitem__((0, 0), 1 << 20), "panel does not have"),
        ("records", lambda t: t.__setitem__((0, 1), -16), "panel does not have"),
        ("records", lambda t: t.__setitem__((0, 0), 4), "panel does not have"),
        ("index", lambda t: t.__setitem__((0, 0), 1 << 20), "outside of the records"),
        ("index", lambda t: t.__setitem__((-1, 1), 1 << 24), "outside of the records"),
        ("groups", lambda t: t.__setitem__((0, 0), 7), "no block of the input"),
        ("tiles", lambda t: t.__setitem__((0, 0), 1), "groups that are not there"),
        ("tiles", lambda t: t.__setitem__((0, 1), -1), "groups that are not there"),
        ("tiles", lambda t: t.__setitem__((0, 2), 1), "lists that are not there"),
    ],
)
def test_tables_that_lead_elsewhere_are_refused(table, change, fragment):
    x, w = _random(1, 16, 4, 4), _pruned(_random(8, 16, 1, 1), 0.5, 1)
    variant, buffers, sizes, _ = _case(x, w, SparseTile(1, 2, 4))
    kernel = kernel_def(variant.kernel)
    tables = {name: buffers[name].copy() for name in kernel.tables}
    as_bytes = {name: array.reshape(-1).view(np.uint8) for name, array in tables.items()}
    assert kernel.table_refusal(sizes, variant.options, as_bytes) is None
    change(tables[table])
    assert fragment in kernel.table_refusal(sizes, variant.options, as_bytes)


def test_operands_are_ranges_of_channels():
    x, w = _random(3, 20, 4, 5), _pruned(_random(19, 20, 1, 1), 0.7, 1)
    residual = _random(3, 19, 4, 5)
    variant, buffers, sizes, y = _case(x, w, SparseTile(2, 1, 2), residual=residual)
    gaps = {"x": 16, "y": 40, "residual": 8}
    for name, gap in gaps.items():
        images = buffers[name].reshape(3, -1)
        buffers[name] = np.pad(images, [(0, 0), (0, gap)], constant_values=np.nan)
    launch(variant, buffers, sizes | {f"{name}_gap": gap for name, gap in gaps.items()})
    expected = reference.conv(x, w, (1, 1), (1, 1), (0,) * 4) + np.arange(19.0)[:, None, None] + residual
    got = buffers["y"][:, : y[0].size].reshape(y.shape)
    np.testing.assert_allclose(plain(got, 19), expected, atol=1e-5)
    assert np.isnan(buffers["y"][:, y[0].size :]).all()
