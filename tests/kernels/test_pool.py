"""Pools against the NumPy reference: 1-D to 3-D windows, ceil_mode, dilation, NaN and infinities."""

from __future__ import annotations

import numpy as np
import pytest

from cnnc.runtime import host
from cnnc.runtime.cpu import pool_plain_indices
from cnnc.runtime.jit.target import host_target, x86_target
from cnnc.runtime.kernel import Variant
from tests.kernels.guarded import from_blocked, to_blocked
from tests.kernels.harness import poison, run
from tests.kernels.pool_cases import CASES, pool_case, pool_sizes

pytestmark = pytest.mark.jit
L = host_target().lanes


def _blocked(x, window, kind, include_pad=False, target=None):
    lanes = (target or host_target()).lanes
    blocked = to_blocked(x, lanes, pad=np.nan)
    blocks = blocked.shape[1]
    y = poison((x.shape[0], blocks, *window.output, lanes))
    sizes = pool_sizes(x.shape[0] * blocks, x, window, include_pad)
    y = run(Variant.of("pool.blocked", kind=kind, lanes=lanes), {"y": y, "x": blocked}, sizes, target)["y"]
    return from_blocked(y, x.shape[1])


def _plain(x, window, kind, include_pad=False):
    y = poison((*x.shape[:2], *window.output))
    sizes = pool_sizes(x.shape[0] * x.shape[1], x, window, include_pad)
    return run(Variant.of("pool.plain", kind=kind), {"y": y, "x": x}, sizes)["y"]


@pytest.mark.parametrize("name", CASES)
def test_max(name):
    x, attributes, window = pool_case(name)
    x.reshape(-1)[::7] = -np.inf
    x.reshape(-1)[3::41] = np.nan
    expected, expected_indices = host.function("max_pool")(x, **attributes)
    np.testing.assert_array_equal(_blocked(x, window, "max"), expected)
    np.testing.assert_array_equal(_plain(x, window, "max"), expected)
    buffers = {"y": poison(expected.shape), "indices": poison(expected.shape, np.int64), "x": x}
    for order in (0, 1):
        sizes = pool_plain_indices.arguments(pool_sizes(x.shape[0] * x.shape[1], x, window), bool(order))
        after = run(Variant.of("pool.plain_indices"), buffers, sizes)
        expected_indices = host.function("max_pool")(x, storage_order=order, **attributes)[1]
        np.testing.assert_array_equal(after["y"], expected)
        np.testing.assert_array_equal(after["indices"], expected_indices)


@pytest.mark.parametrize("include_pad", [0, 1])
@pytest.mark.parametrize("name", CASES)
def test_average(name, include_pad):
    x, attributes, window = pool_case(name)
    expected = host.function("average_pool")(x.astype(np.float64), count_include_pad=include_pad, **attributes)
    for got in (_blocked(x, window, "average", bool(include_pad)), _plain(x, window, "average", bool(include_pad))):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("level", ["sse", "avx2"])
def test_narrow_targets(level):
    x, attributes, window = pool_case("3x3 stride 2")
    expected = host.function("max_pool")(x, **attributes)[0]
    np.testing.assert_array_equal(_blocked(x, window, "max", target=x86_target(level)), expected)


def test_pad_lanes_stay_finite():
    x = to_blocked(np.ones((1, 3, 4, 4), np.float32), L, pad=1e30)
    _, _, window = pool_case("ceil padded")
    sizes = pool_sizes(1, np.ones((1, 3, 4, 4)), window)
    for kind in ("max", "average"):
        y = run(Variant.of("pool.blocked", kind=kind, lanes=L), {"y": poison((1, 1, 3, 3, L)), "x": x}, sizes)["y"]
        assert np.isfinite(y).all()
