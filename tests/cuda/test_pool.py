"""Pools on the emulator against the NumPy reference: 1-D to 3-D windows, ceil_mode, dilation, NaN and infinities."""

from __future__ import annotations

import numpy as np
import pytest

from cnnc.runtime import host
from cnnc.runtime.cpu import pool_plain_indices
from cnnc.runtime.cuda.target import LANES
from cnnc.runtime.kernel import Variant
from tests.cuda.emulated import blocked, launch, plain
from tests.kernels.harness import poison
from tests.kernels.pool_cases import CASES, pool_case, pool_sizes


def pool_blocked(x, window, kind, include_pad=False, architecture="sm_80"):
    """``pool.blocked`` of a plain tensor."""
    source = blocked(x)
    y = poison((*source.shape[:2], *window.output, LANES))
    sizes = pool_sizes(source.shape[0] * source.shape[1], x, window, include_pad)
    variant = Variant.of("pool.blocked", kind=kind, lanes=LANES)
    launch(variant, {"y": y, "x": source}, sizes, architecture=architecture)
    return plain(y, x.shape[1])


def pool_plain(x, window, kind, include_pad=False):
    """``pool.plain``."""
    y = poison((*x.shape[:2], *window.output))
    sizes = pool_sizes(x.shape[0] * x.shape[1], x, window, include_pad)
    launch(Variant.of("pool.plain", kind=kind), {"y": y, "x": x}, sizes)
    return y


@pytest.mark.parametrize("name", CASES)
def test_max(name):
    x, attributes, window = pool_case(name)
    x.reshape(-1)[::7] = -np.inf
    x.reshape(-1)[3::41] = np.nan
    expected = host.function("max_pool")(x, **attributes)[0]
    for architecture in ("sm_75", "sm_80"):  # only newer ones have a maximum that NaN wins
        np.testing.assert_array_equal(pool_blocked(x, window, "max", architecture=architecture), expected)
    np.testing.assert_array_equal(pool_plain(x, window, "max"), expected)


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("name", CASES)
def test_max_with_indices(name, order):
    x, attributes, window = pool_case(name)
    x.reshape(-1)[::7] = -np.inf
    x.reshape(-1)[3::41] = np.nan
    expected, expected_indices = host.function("max_pool")(x, storage_order=order, **attributes)
    y, indices = poison(expected.shape), poison(expected.shape, np.int64)
    sizes = pool_plain_indices.arguments(pool_sizes(x.shape[0] * x.shape[1], x, window), bool(order))
    launch(Variant.of("pool.plain_indices"), {"y": y, "indices": indices, "x": x}, sizes)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(indices, expected_indices)


@pytest.mark.parametrize("include_pad", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_average(name, include_pad):
    x, attributes, window = pool_case(name)
    expected = host.function("average_pool")(x.astype(np.float64), count_include_pad=int(include_pad), **attributes)
    for got in (pool_blocked(x, window, "average", include_pad), pool_plain(x, window, "average", include_pad)):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["max", "average"])
def test_a_range_of_channels(kind):
    """Both tensors lie in larger ones: their images are apart."""
    x, attributes, window = pool_case("3x3 stride 2")
    x = np.concatenate([x, -x])
    source = np.concatenate([blocked(x), np.full_like(blocked(x)[:, :2], np.nan)], 1)
    blocks = source.shape[1] - 2
    y = poison((2, blocks + 1, *window.output, LANES))
    pixels, outputs = np.prod(x.shape[2:]), np.prod(window.output)
    sizes = pool_sizes(2 * blocks, x, window) | {"image_planes": blocks}
    sizes |= {"x_gap": int(2 * pixels) * LANES, "y_gap": int(outputs) * LANES}
    launch(Variant.of("pool.blocked", kind=kind, lanes=LANES), {"y": y, "x": source}, sizes)
    found = host.function(f"{kind}_pool")(x, **attributes)
    expected = found[0] if kind == "max" else found
    np.testing.assert_allclose(plain(y[:, :blocks], x.shape[1]), expected, rtol=1e-5, atol=1e-6)
    assert np.isnan(y[:, blocks:]).all()


def test_whole_sectors_and_no_divergence_inside():
    x = np.ones((1, 16, 16, 16), np.float32)
    _, _, window = pool_case("2x2")
    sizes = pool_sizes(2, x, window) | {"out_h": 8, "out_w": 8}
    y = poison((1, 2, 8, 8, LANES))
    counters = launch(Variant.of("pool.blocked", kind="max", lanes=LANES), {"y": y, "x": blocked(x)}, sizes)
    assert (y == 1).all()
    assert counters.sectors == (x.nbytes + y.nbytes) // 32
    assert counters.divergent_branches == 0
