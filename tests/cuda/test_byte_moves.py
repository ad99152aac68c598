"""Lanes of blocked bytes gathered, and bytes resized, on the emulator: exact, any sizes, ranges of channels."""

from __future__ import annotations

import numpy as np
import pytest

from cnnc.runtime.cpu import resize_axes
from cnnc.runtime.cpu.layout_byte_lanes import lane_terms
from cnnc.runtime.cpu.resize_table import ENTRY_BYTES
from cnnc.runtime.kernel import Variant
from tests.cuda.emulated import blocked, launch, plain
from tests.kernels.harness import poison


@pytest.mark.parametrize("positions", [1, 49, 1030])
@pytest.mark.parametrize("kind", ["shuffle", "slice", "random", "none"])
@pytest.mark.parametrize("gaps", [(0, 0), (32, 16)])
def test_gather_lanes(positions, kind, gaps):
    channels, batch = 38, 2
    rng = np.random.default_rng(1)
    wanted = {
        "shuffle": np.arange(channels).reshape(2, -1).T.reshape(-1),
        "slice": np.arange(19, 38),
        "random": rng.integers(0, channels, 41),
        "none": np.arange(0),
    }[kind]
    x = rng.integers(0, 256, (batch, channels, positions)).astype(np.uint8)
    x_blocks, y_blocks = -(-channels // 8), max(-(-len(wanted) // 8), 1)
    table = np.full(y_blocks * 8, -1)
    table[: len(wanted)] = wanted
    terms = lane_terms(table.tolist(), 8)
    x_gap, y_gap = gaps
    rows = blocked(x, pad=77).reshape(batch, -1)
    source = np.concatenate([rows[0], np.full(x_gap, 99, np.uint8), rows[1]])
    size = y_blocks * positions * 8
    y = poison((batch * size + y_gap,), np.uint8)
    buffers = {"y": y, "x": source, "starts": terms.starts, "sources": terms.sources, "indices": terms.indices}
    sizes = {"batch": batch, "x_blocks": x_blocks, "y_blocks": y_blocks, "positions": positions}
    sizes |= {"x_gap": x_gap, "y_gap": y_gap, "terms": len(terms.sources)}
    launch(Variant.of("layout.byte_lanes", lanes=8), buffers, sizes)
    images = np.stack([y[:size], y[size + y_gap :]]).reshape(batch, y_blocks, positions, 8)
    expected = np.zeros((batch, y_blocks * 8, positions), np.uint8)
    expected[:, : len(wanted)] = x[:, wanted]
    np.testing.assert_array_equal(plain(images, y_blocks * 8), expected)
    np.testing.assert_array_equal(y[size : size + y_gap], 255)


def _table(length, size):
    """Nearest places along an axis, as ``resize.table`` writes them."""
    table = np.zeros((size, ENTRY_BYTES // 4), np.int32)
    table[:, 0] = np.arange(size) * length // size
    return table


@pytest.mark.parametrize("lanes", [8, 1])
@pytest.mark.parametrize(
    ("source", "result"), [((5, 7), (10, 14)), ((4, 6), (3, 6)), ((9,), (21,)), ((2, 3, 4), (4, 3, 9))], ids=str
)
def test_resize(lanes, source, result):
    channels = 11
    x = np.random.default_rng(0).integers(0, 256, (2, channels, *source)).astype(np.uint8)
    expected = x
    taps, tables = [], dict.fromkeys(("table_d", "table_h", "table_w"))
    for axis, (length, size) in enumerate(zip(source, result)):
        taps.append(int(length != size))
        if length != size:
            tables[f"table_{'dhw'[axis + 3 - len(source)]}"] = _table(length, size)
            expected = expected.take(np.arange(size) * length // size, axis + 2)
    whole = blocked(x, pad=77) if lanes == 8 else x[..., None]
    planes = whole.shape[1]
    rows = whole.reshape(2, -1)
    apart = np.concatenate([rows[0], np.full(24, 99, np.uint8), rows[1]])
    shape = (2, planes, *result, lanes)
    count = int(np.prod(shape)) // 2
    y = poison((2 * count + 16,), np.uint8)
    sizes = resize_axes.arguments(2 * planes, source, result, taps)
    sizes |= {"image_planes": planes, "x_gap": 24, "y_gap": 16}
    launch(Variant.of("resize.bytes", lanes=lanes), {"y": y, "x": apart, **tables}, sizes)
    images = np.stack([y[:count], y[count + 16 :]]).reshape(shape)
    np.testing.assert_array_equal(plain(images, channels) if lanes == 8 else images[..., 0], expected)
