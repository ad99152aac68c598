"""Ops that move elements by index or by value, against onnxruntime; what lies outside is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnc.errors import InputError
from cnnc.ops import OPS
from tests.ops.single_op import make_attrs, run_op, run_ort


def _data(*shape: int, kind: str = "f4") -> np.ndarray:
    return np.asarray(np.random.default_rng(len(shape)).integers(-9, 10, shape), kind)


@settings(max_examples=25, deadline=None)
@given(
    shape=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    picked=st.lists(st.integers(1, 3), max_size=2),
    data=st.data(),
)
def test_gather(shape: list[int], picked: list[int], data: st.DataObject) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    indices = np.random.default_rng(0).integers(-shape[axis], shape[axis], picked)
    inputs = [_data(*shape), np.asarray(indices, np.int64)]
    (ours,), (theirs,) = run_op("gather", inputs, axis=axis), run_ort("Gather", inputs, axis=axis)
    np.testing.assert_array_equal(ours, theirs, strict=True)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_gather_elements(axis: int) -> None:
    indices = np.random.default_rng(1).integers(-2, 2, (2, 3, 2))
    inputs = [_data(2, 3, 2), indices]
    (ours,), (theirs,) = run_op("gather_elements", inputs, axis=axis), run_ort("GatherElements", inputs, axis=axis)
    np.testing.assert_array_equal(ours, theirs, strict=True)


@pytest.mark.parametrize(
    ("shape", "places", "batch"),
    [((3, 4, 5), (2, 2), 0), ((3, 4, 5), (2, 3), 0), ((2, 3, 4, 5), (2, 3, 1), 2), ((2, 3, 4), (2, 7, 2), 1)],
)
def test_gather_nd(shape: tuple[int, ...], places: tuple[int, ...], batch: int) -> None:
    rng = np.random.default_rng(2)
    depth = places[-1]
    columns = [rng.integers(-shape[batch + i], shape[batch + i], places[:-1]) for i in range(depth)]
    inputs = [_data(*shape), np.stack(columns, -1).astype(np.int64)]
    (ours,) = run_op("gather_nd", inputs, batch_dims=batch)
    np.testing.assert_array_equal(ours, run_ort("GatherND", inputs, batch_dims=batch)[0], strict=True)


@pytest.mark.parametrize("reduction", ["none", "add", "mul", "max", "min"])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_scatter_elements(reduction: str, axis: int) -> None:
    rng = np.random.default_rng(3)
    data = _data(5, 5, 5)
    # Without a reduction the order of writes to one place is open: no index comes twice along the axis.
    indices = np.argsort(rng.normal(size=data.shape), axis=axis)[:3, :3, :3]
    if reduction != "none":
        indices = rng.integers(-5, 5, (3, 3, 3))
    inputs = [data, indices, _data(3, 3, 3)]
    values: dict[str, Any] = {"axis": axis, "reduction": reduction}
    (ours,), (theirs,) = run_op("scatter_elements", inputs, **values), run_ort("ScatterElements", inputs, **values)
    np.testing.assert_array_equal(ours, theirs, strict=True)


@pytest.mark.parametrize("reduction", ["none", "add", "mul", "max", "min"])
def test_scatter_nd(reduction: str) -> None:
    indices = np.array([[[0, 1], [2, -1]], [[1, 0], [0, 1 if reduction != "none" else 3]]], np.int64)
    inputs = [_data(3, 4, 5), indices, _data(2, 2, 5)]
    values = {"reduction": reduction}
    (ours,), (theirs,) = run_op("scatter_nd", inputs, **values), run_ort("ScatterND", inputs, **values)
    np.testing.assert_array_equal(ours, theirs, strict=True)


@pytest.mark.parametrize(("time", "batch"), [(0, 1), (1, 0)])
def test_reverse_sequence(time: int, batch: int) -> None:
    x = _data(4, 4, 3)
    inputs = [x, np.int64([1, 4, 2, 3])]
    values = {"time_axis": time, "batch_axis": batch}
    (ours,) = run_op("reverse_sequence", inputs, **values)
    np.testing.assert_array_equal(ours, run_ort("ReverseSequence", inputs, **values)[0], strict=True)


@pytest.mark.parametrize("largest", [0, 1])
@pytest.mark.parametrize("kind", ["f4", "i8", "u1"])
def test_top_k_orders_ties_by_index(largest: int, kind: str) -> None:
    x = np.asarray(np.random.default_rng(4).integers(0, 4, (3, 9, 2)), kind)
    for axis, k in ((1, 5), (-1, 2), (0, 1)):
        inputs = [x, np.int64([k])]
        ours = run_op("top_k", inputs, 2, axis=axis, largest=largest)
        if kind == "u1":
            theirs = run_ort("TopK", [x.astype(np.int64), inputs[1]], 2, axis=axis, largest=largest)
            theirs[0] = theirs[0].astype(x.dtype)
        else:
            theirs = run_ort("TopK", inputs, 2, axis=axis, largest=largest)
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a, b, strict=True)


@pytest.mark.parametrize("sorted", [0, 1])
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_unique(sorted: int, axis: int | None) -> None:
    x = np.random.default_rng(5).integers(0, 2, (6, 3)).astype(np.float32)
    values = {"sorted": sorted} | ({} if axis is None else {"axis": axis})
    for a, b in zip(run_op("unique", [x], 4, **values), run_ort("Unique", [x], 4, **values), strict=True):
        np.testing.assert_array_equal(a, b, strict=True)


@pytest.mark.parametrize("shape", [(7,), (3, 5), (2, 1, 4), (0, 3)])
def test_non_zero(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(6).integers(0, 2, shape).astype(np.float32)
    np.testing.assert_array_equal(run_op("non_zero", [x])[0], run_ort("NonZero", [x])[0], strict=True)


@pytest.mark.parametrize("axis", [None, 0, -1])
def test_compress(axis: int | None) -> None:
    inputs = [_data(3, 4), np.array([True, False, True])]
    values = {} if axis is None else {"axis": axis}
    (ours,), (theirs,) = run_op("compress", inputs, **values), run_ort("Compress", inputs, **values)
    np.testing.assert_array_equal(ours, theirs, strict=True)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_one_hot(axis: int) -> None:
    inputs = [np.array([[0, -1, 9], [4, 2, -6]], np.int64), np.array(5, np.int64), np.float32([-1, 2])]
    (ours,), (theirs,) = run_op("one_hot", inputs, axis=axis), run_ort("OneHot", inputs, axis=axis)
    np.testing.assert_array_equal(ours, theirs, strict=True)


@pytest.mark.parametrize("limits", [(0, 10, 3), (10, 0, -3), (5, 5, 1), (3, 0, 1), (0.0, 1.0, 0.1), (1.5, -2.0, -0.25)])
def test_range(limits: tuple[float, float, float]) -> None:
    kind = np.float32 if isinstance(limits[0], float) else np.int64
    inputs = [np.array(limit, kind) for limit in limits]
    result = OPS["range"].reference(make_attrs("range", {}), inputs)[0]
    np.testing.assert_allclose(result, run_ort("Range", inputs)[0], rtol=1e-6, atol=1e-6, strict=True)


@pytest.mark.parametrize("upper", [0, 1])
@pytest.mark.parametrize("k", [-7, -1, 0, 2, 7])
def test_trilu(upper: int, k: int) -> None:
    inputs = [_data(2, 3, 5), np.array(k, np.int64)]
    (ours,), (theirs,) = run_op("trilu", inputs, upper=upper), run_ort("Trilu", inputs, upper=upper)
    np.testing.assert_array_equal(ours, theirs, strict=True)


@pytest.mark.parametrize(
    ("op", "inputs", "values", "fragment"),
    [
        ("gather", [_data(3), np.int64([3])], {}, "index 3 is outside"),
        ("gather_elements", [_data(3), np.int64([-4])], {}, "index -4 is outside"),
        ("gather_nd", [_data(3, 2), np.int64([[0, 2]])], {}, "index 2 is outside"),
        ("scatter_nd", [_data(3), np.int64([[5]]), _data(1)], {}, "index 5 is outside"),
        ("scatter_elements", [_data(3), np.int64([5]), _data(1)], {}, "index 5 is outside"),
        ("reverse_sequence", [_data(3, 1), np.int64([4])], {}, "outside 0..3"),
        ("top_k", [_data(3), np.int64([4])], {}, "k is 4"),
        ("compress", [_data(2), np.array([True] * 3)], {}, "3 conditions for 2"),
        ("reshape", [_data(3), np.int64([2])], {}, "element counts differ"),
        ("expand", [_data(3), np.int64([2])], {}, "do not broadcast"),
        ("squeeze", [_data(3), np.int64([0])], {}, "squeeze of"),
        ("split", [_data(3), np.int64([1, 1])], {}, "do not add up"),
        ("constant_of_shape", [np.int64([2, -1])], {}, "negative"),
        ("tile", [_data(2), np.int64([-1])], {}, "negative"),
        ("range", [np.int64(0), np.int64(1), np.int64(0)], {}, "delta is 0"),
        ("range", [np.float16(0), np.float16(np.inf), np.float16(1)], {}, "finite"),
        ("slice", [_data(3), np.int64([0]), np.int64([1]), np.int64([0]), np.int64([0])], {}, "step of 0"),
        ("pad", [_data(3), np.int64([-2, -2])], {}, "cuts more"),
        ("pad", [_data(0), np.int64([1, 1])], {"mode": "edge"}, "nothing to repeat"),
    ],
)
def test_values_that_make_no_sense_are_refused_while_running(
    op: str, inputs: list[Any], values: dict[str, Any], fragment: str
) -> None:
    with pytest.raises(InputError, match=fragment):
        OPS[op].reference(make_attrs(op, values), inputs)
