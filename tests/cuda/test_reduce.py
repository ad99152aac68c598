"""Reductions, places of extrema and softmax on the emulator: along any axis, by warps and by blocks."""

from __future__ import annotations

import numpy as np
import pytest

from cnnc.runtime import host
from cnnc.runtime.cuda.teams import SHORT
from cnnc.runtime.kernel import Variant
from tests.cuda.emulated import launch

ROWS = [(1, 1, 1), (11, 17, 1), (3, SHORT, 1), (2, SHORT + 1, 1), (2, 1500, 1)]
COLUMNS = [(1, 7, 70), (2, 3, 8), (3, 21, 5), (2, 67, 8), (1, 21, 33), (2, 0, 5), (0, 3, 4)]
KINDS = ("sum", "mean", "max", "min", "prod", "l1", "l2", "sum_square", "log_sum", "log_sum_exp")


def _sizes(view):
    return dict(zip(("outer", "axis", "inner"), view))


def _random(view):
    return np.random.default_rng(sum(view)).normal(size=view).astype(np.float32)


def _reduced(kind, x, dtype=np.float32):
    y = np.full((x.shape[0], x.shape[2]), np.nan, np.float32)
    counters = launch(Variant.of("reduce", kind=kind), {"y": y, "x": x}, _sizes(x.shape))
    with np.errstate(all="ignore"):
        expected = host.function(f"reduce_{kind}")(x.astype(dtype), np.array([1]), keepdims=0)
    return y, expected, counters


@pytest.mark.parametrize("kind", KINDS)
def test_reduce(kind):
    for view in [*ROWS, *COLUMNS]:
        x = _random(view)
        y, expected, counters = _reduced(kind, abs(x) if kind == "log_sum" else x, np.float64)
        np.testing.assert_allclose(y, expected, rtol=2e-6, atol=2e-6 * max(1.0, view[1] / 32))
        assert counters.conflicts == 0


@pytest.mark.parametrize("kind", ["sum", "max", "min", "log_sum_exp"])
@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
def test_reduce_of_special_values(kind, special):
    for view in [(40, 37, 1), (2, 600, 1), (2, 40, 19)]:
        x = _random(view)
        for row in range(view[0]):
            x[row, row % view[1]] = special
        x[0] = special
        y, expected, _ = _reduced(kind, x)
        np.testing.assert_allclose(y, expected, rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize("view", [(4, 64, 8), (2, 1024, 8), (8, 256, 1), (1, 2048, 1), (1, 16, 256)])
def test_reduce_reads_whole_sectors(view):
    x = _random(view)
    counters = _reduced("sum", x)[2]
    assert counters.sectors <= 1.1 * (x.nbytes / 32 + view[0] * max(1, view[2] / 8))
    assert not counters.issued["load local"]


@pytest.mark.parametrize("last", [0, 1])
@pytest.mark.parametrize("kind", ["max", "min"])
def test_arg_reduce(kind, last):
    for view in [*ROWS, *COLUMNS[:5]]:
        # Few distinct values make ties, and some rows hold NaN.
        x = np.random.default_rng(sum(view)).integers(-3, 4, view).astype(np.float32)
        x[0, view[1] // 3 :: 5] = np.nan
        y = np.full((view[0], view[2]), -1, np.int64)
        launch(Variant.of("arg_reduce", kind=kind, last=last), {"y": y, "x": x}, _sizes(view))
        expected = host.function(f"arg_{kind}")(x, axis=1, keepdims=0, select_last_index=last)
        np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("in_place", [False, True])
def test_softmax(name, in_place):
    for view in [*ROWS, *COLUMNS[:5]]:
        x = _random(view) * 20
        expected = host.function(name)(x.astype(np.float64), axis=1)
        y = x if in_place else np.full(view, np.nan, np.float32)
        launch(Variant.of("softmax", log=int(name == "log_softmax")), {"y": y, "x": x}, _sizes(view))
        np.testing.assert_allclose(y, expected, rtol=3e-6, atol=2e-6)


def test_softmax_of_special_values():
    x = np.zeros((5, 20, 1), np.float32)
    x[0], x[1, 3], x[2, 4], x[3, 5] = -np.inf, np.nan, np.inf, -np.inf
    with np.errstate(invalid="ignore"):
        expected = host.function("softmax")(x, axis=1)
    launch(Variant.of("softmax", log=0), {"y": x, "x": x}, _sizes(x.shape))
    np.testing.assert_allclose(x, expected, rtol=1e-6)


@pytest.mark.parametrize("view", [(1, 700, 1), (1, 30, 1), (1, 300, 8)])
def test_results_do_not_depend_on_the_other_rows(view):
    x = np.repeat(_random(view), 5, axis=0)
    y, _, _ = _reduced("sum", x)
    alone, _, _ = _reduced("sum", x[:1])
    assert (y == alone).all()
