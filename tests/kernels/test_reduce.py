"""Reductions, places of extrema and softmax against the NumPy references, along last, first and middle axes."""

from __future__ import annotations

import numpy as np
import pytest

from cnnc.dims import symbol
from cnnc.runtime import host
from cnnc.runtime.cpu import reduce
from cnnc.runtime.cpu.axis_view import axis_view
from cnnc.runtime.jit.target import x86_target
from cnnc.runtime.kernel import Variant
from tests.kernels.harness import poison, run

pytestmark = pytest.mark.jit
VIEWS = [(1, 1, 1), (3, 17, 1), (2, 200, 1), (5, 64, 1), (1, 7, 70), (2, 3, 16), (3, 21, 5), (1, 130, 129)]


def _sizes(view):
    return dict(zip(("outer", "axis", "inner"), view))


def _random(view):
    return np.random.default_rng(sum(view)).normal(size=view).astype(np.float32)


@pytest.mark.parametrize("kind", reduce.KINDS)
def test_reduce(kind):
    for view in VIEWS:
        x = _random(view)
        if kind == "log_sum":
            x = abs(x)
        got = run(Variant.of("reduce", kind=kind), {"y": poison((view[0], view[2])), "x": x}, _sizes(view))["y"]
        expected = host.function(f"reduce_{kind}")(x.astype(np.float64), np.array([1]), keepdims=0)
        np.testing.assert_allclose(got, expected, rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize("kind", reduce.KINDS)
@pytest.mark.parametrize("view", [(2, 0, 1), (2, 0, 5)])
def test_reduce_of_nothing(kind, view):
    x = np.zeros(view, np.float32)
    got = run(Variant.of("reduce", kind=kind), {"y": poison((view[0], view[2])), "x": x}, _sizes(view))["y"]
    with np.errstate(all="ignore"):
        expected = host.function(f"reduce_{kind}")(x, np.array([1]), keepdims=0)
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("kind", ["sum", "max", "min", "log_sum_exp"])
@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("view", [(40, 37, 1), (2, 40, 19)])
def test_reduce_of_special_values(kind, special, view):
    x = _random(view)
    for row in range(view[0]):
        x[row, row % view[1]] = special
    x[0] = special
    got = run(Variant.of("reduce", kind=kind), {"y": poison((view[0], view[2])), "x": x}, _sizes(view))["y"]
    with np.errstate(all="ignore"):
        expected = host.function(f"reduce_{kind}")(x, np.array([1]), keepdims=0)
    np.testing.assert_allclose(got, expected, rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize("last", [0, 1])
@pytest.mark.parametrize("kind", ["max", "min"])
def test_arg_reduce(kind, last):
    for view in VIEWS:
        # Few distinct values make ties, and some rows hold NaN.
        x = np.random.default_rng(sum(view)).integers(-3, 4, view).astype(np.float32)
        x[0, view[1] // 3 :: 5] = np.nan
        variant = Variant.of("arg_reduce", kind=kind, last=last)
        got = run(variant, {"y": poison((view[0], view[2]), np.int64), "x": x}, _sizes(view))["y"]
        expected = host.function(f"arg_{kind}")(x, axis=1, keepdims=0, select_last_index=last)
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("view", VIEWS)
def test_softmax(name, view):
    x = _random(view) * 20
    variant = Variant.of("softmax", log=int(name == "log_softmax"))
    got = run(variant, {"y": poison(view), "x": x}, _sizes(view))["y"]
    expected = host.function(name)(x.astype(np.float64), axis=1)
    np.testing.assert_allclose(got, expected, rtol=3e-6, atol=1e-6)


def test_softmax_of_special_values():
    x = np.zeros((5, 20), np.float32)
    x[0], x[1, 3], x[2, 4], x[3, 5] = -np.inf, np.nan, np.inf, -np.inf
    got = run(Variant.of("softmax", log=0), {"y": poison(x.shape), "x": x}, _sizes((5, 20, 1)))["y"]
    with np.errstate(invalid="ignore"):
        expected = host.function("softmax")(x, axis=1)
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_narrow_target():
    x = _random((3, 45, 1))
    buffers = {"y": poison((3, 1)), "x": x}
    got = run(Variant.of("reduce", kind="log_sum_exp"), buffers, _sizes(x.shape), x86_target("sse"))["y"]
    np.testing.assert_allclose(got, host.function("reduce_log_sum_exp")(x, np.array([1]), keepdims=0), rtol=1e-6)


def test_axis_view():
    n = symbol("N")
    assert axis_view((n, 3, 4, 5), (2, 3)) == {"outer": 3 * n, "axis": 20, "inner": 1}
    assert axis_view((n, 3, 4, 5), (0, 1)) == {"outer": 1, "axis": 3 * n, "inner": 20}
    assert axis_view((n, 1, 4, 5), (0, 2)) == {"outer": 1, "axis": 4 * n, "inner": 5}
    assert axis_view((n, 3, 4, 5), (-3, -1)) is None
    assert axis_view((2, 1), (1,)) == {"outer": 2, "axis": 1, "inner": 1}
