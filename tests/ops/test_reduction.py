"""Reductions, softmax and running sums against onnxruntime, and their empty and infinite cases."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ops.single_op import run_op, run_ort

_REDUCTIONS = {
    "reduce_sum": "ReduceSum",
    "reduce_mean": "ReduceMean",
    "reduce_prod": "ReduceProd",
    "reduce_max": "ReduceMax",
    "reduce_min": "ReduceMin",
    "reduce_l1": "ReduceL1",
    "reduce_l2": "ReduceL2",
    "reduce_sum_square": "ReduceSumSquare",
    "reduce_log_sum_exp": "ReduceLogSumExp",
}


@pytest.mark.parametrize("op", _REDUCTIONS)
@settings(max_examples=12, deadline=None)
@given(
    shape=st.lists(st.sampled_from([1, 2, 3, 7]), min_size=1, max_size=4),
    data=st.data(),
    keepdims=st.sampled_from([0, 1]),
    kind=st.sampled_from(["f4", "i4"]),
)
def test_reductions(op: str, shape: list[int], data: st.DataObject, keepdims: int, kind: str) -> None:
    axes = data.draw(st.lists(st.integers(0, len(shape) - 1), unique=True))
    if op in ("reduce_log_sum_exp", "reduce_l2") and kind == "i4":
        kind = "f4"
    signed = [axis - len(shape) if axis % 2 else axis for axis in axes]
    # Products that leave int32 wrap here and saturate in onnxruntime: the standard does not say.
    largest = 1 if op == "reduce_prod" else 5
    x = np.asarray(np.random.default_rng(len(shape)).integers(-largest, largest + 1, shape), kind)
    inputs = [x, np.array(signed, np.int64)]
    (ours,) = run_op(op, inputs, keepdims=keepdims)
    (theirs,) = run_ort(_REDUCTIONS[op], inputs, keepdims=keepdims)
    assert ours.dtype == theirs.dtype
    np.testing.assert_allclose(ours, theirs, rtol=3e-6, atol=1e-6, strict=True)


def test_integers_wrap_around() -> None:
    x = np.full((3,), 3 * 2**30, np.uint32)
    assert run_op("reduce_sum", [x])[0].item() == 9 * 2**30 % 2**32
    assert run_op("reduce_mean", [np.array([-3, -4, 2], np.int64)])[0].item() == -1
    assert run_op("cum_sum", [np.array([100, 100], np.int8), np.array(0)])[0].tolist() == [100, -56]


def test_log_sum_exp_neither_overflows_nor_loses_infinities() -> None:
    x = np.array([[1000, 1000], [-np.inf, -np.inf], [np.inf, 0]], np.float64)
    (result,) = run_op("reduce_log_sum_exp", [x, np.int64([1])], keepdims=0)
    np.testing.assert_allclose(result, [1000 + np.log(2), -np.inf, np.inf])


def test_an_empty_set_gives_the_neutral_element() -> None:
    x, axes = np.zeros((2, 0), np.float32), np.int64([1])
    wanted = {"reduce_sum": 0, "reduce_prod": 1, "reduce_max": -np.inf, "reduce_min": np.inf, "reduce_l2": 0}
    for op, value in wanted.items():
        np.testing.assert_array_equal(run_op(op, [x, axes])[0], np.full((2, 1), value, np.float32))


@pytest.mark.parametrize("op", ["softmax", "log_softmax", "hardmax"])
@pytest.mark.parametrize(("shape", "axis"), [((3, 7), -1), ((2, 3, 5), 1), ((1, 1), 0), ((4, 1, 3), -3), ((2, 0), 1)])
def test_softmax(op: str, shape: tuple[int, ...], axis: int) -> None:
    x = np.random.default_rng(0).normal(0, 30, shape).astype(np.float32)
    name = {"softmax": "Softmax", "log_softmax": "LogSoftmax", "hardmax": "Hardmax"}[op]
    (ours,), (theirs,) = run_op(op, [x], axis=axis), run_ort(name, [x], axis=axis)
    np.testing.assert_allclose(ours, theirs, rtol=5e-6, atol=1e-6, strict=True)


@pytest.mark.parametrize("last", [0, 1])
@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize(("op", "name"), [("arg_max", "ArgMax"), ("arg_min", "ArgMin")])
def test_place_of_an_extremum(op: str, name: str, keepdims: int, last: int) -> None:
    x = np.random.default_rng(0).integers(0, 3, (4, 7, 5)).astype(np.float32)
    for axis in (0, 1, -1):
        values = {"axis": axis, "keepdims": keepdims, "select_last_index": last}
        (ours,), (theirs,) = run_op(op, [x], **values), run_ort(name, [x], **values)
        np.testing.assert_array_equal(ours, theirs, strict=True)


@pytest.mark.parametrize("exclusive", [0, 1])
@pytest.mark.parametrize("reverse", [0, 1])
def test_running_sum(exclusive: int, reverse: int) -> None:
    x = np.random.default_rng(0).integers(-5, 5, (3, 5, 2)).astype(np.int32)
    for axis in (0, 1, -1):
        inputs = [x, np.array(axis, np.int64)]
        (ours,) = run_op("cum_sum", inputs, exclusive=exclusive, reverse=reverse)
        (theirs,) = run_ort("CumSum", inputs, exclusive=exclusive, reverse=reverse)
        np.testing.assert_array_equal(ours, theirs, strict=True)


def test_running_product_inverts_by_division() -> None:
    x = np.array([[1.0, 2.0, 4.0, 0.5]])
    (whole,) = run_op("cum_prod", [x, np.int64(1)])
    (without,) = run_op("cum_prod", [x, np.int64(1)], exclusive=1)
    np.testing.assert_array_equal(whole, [[1, 2, 8, 4]])
    np.testing.assert_array_equal(without, whole / x)
