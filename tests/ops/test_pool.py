"""Pools against onnxruntime and ONNX's node tests."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cnnc.errors import InputError
from tests.ops.single_op import infer_error, node_cases, run_node_case, run_op, run_ort

CASES = [
    *((case, "max_pool") for case in node_cases("maxpool", "MaxPool").values()),
    *((case, "average_pool") for case in node_cases("averagepool", "AveragePool").values()),
    *((case, "lp_pool") for case in node_cases("lppool", "LpPool").values()),
    *((case, "max_unpool") for case in node_cases("maxunpool", "MaxUnpool").values()),
    *((case, "global_average_pool") for case in node_cases("globalaveragepool", "GlobalAveragePool").values()),
    *((case, "global_max_pool") for case in node_cases("globalmaxpool", "GlobalMaxPool").values()),
]


@pytest.mark.parametrize(("case", "name"), CASES, ids=lambda value: getattr(value, "name", value))
def test_onnx_node_tests(case: Any, name: str) -> None:
    for ours, expected in run_node_case(case, name):
        assert ours.dtype == expected.dtype
        np.testing.assert_allclose(ours, expected, rtol=case.rtol, atol=1e-6)


def random(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@st.composite
def pools(draw: st.DrawFn) -> tuple[list[int], dict]:
    rank = draw(st.integers(1, 3))
    kernel = [draw(st.integers(1, 4)) for _ in range(rank)]
    attrs: dict = {
        "kernel_shape": kernel,
        "strides": [draw(st.integers(1, 3)) for _ in range(rank)],
        "auto_pad": draw(st.sampled_from(["NOTSET", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"])),
    }
    if attrs["auto_pad"] == "NOTSET":
        attrs["pads"] = [draw(st.integers(0, size - 1)) for size in kernel * 2]
        attrs["ceil_mode"] = draw(st.integers(0, 1))
        attrs["dilations"] = [draw(st.integers(1, 2)) for _ in range(rank)]
    elif attrs["auto_pad"] != "VALID":
        # With a stride beyond the kernel onnxruntime pads by a negative number in pools (not in convolutions).
        assume(all(size >= stride for size, stride in zip(kernel, attrs["strides"])))
    return [draw(st.integers(7, 9)) for _ in range(rank)], attrs


@given(pools(), st.integers(0, 1))
@settings(max_examples=60, deadline=None)
def test_max_pool_agrees_with_onnxruntime(case: tuple, storage_order: int) -> None:
    sizes, attrs = case
    x = random(0, 2, 3, *sizes)
    ours = run_op("max_pool", [x], outputs=2, storage_order=storage_order, **attrs)
    theirs = run_ort("MaxPool", [x], outputs=2, storage_order=storage_order, **attrs)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)


@given(pools(), st.integers(0, 1))
@settings(max_examples=60, deadline=None)
def test_average_pool_agrees_with_onnxruntime(case: tuple, count_include_pad: int) -> None:
    sizes, attrs = case
    x = random(0, 2, 3, *sizes)
    (ours,) = run_op("average_pool", [x], count_include_pad=count_include_pad, **attrs)
    (theirs,) = run_ort("AveragePool", [x], count_include_pad=count_include_pad, **attrs)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@given(pools(), st.sampled_from([1, 2, 3]))
@settings(max_examples=40, deadline=None)
def test_lp_pool_agrees_with_onnxruntime(case: tuple, p: int) -> None:
    sizes, attrs = case
    assume(attrs["auto_pad"] == "NOTSET")
    x = random(0, 2, 3, *sizes)
    (ours,) = run_op("lp_pool", [x], p=p, **attrs)
    (theirs,) = run_ort("LpPool", [x], p=p, **attrs)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("spatial", [(7,), (5, 3), (3, 4, 5)])
def test_global_pools_agree_with_onnxruntime(spatial: tuple[int, ...]) -> None:
    x = random(0, 2, 5, *spatial)
    for name, op_type, attrs in (
        ("global_average_pool", "GlobalAveragePool", {}),
        ("global_max_pool", "GlobalMaxPool", {}),
        ("global_lp_pool", "GlobalLpPool", {"p": 3}),
    ):
        np.testing.assert_allclose(
            run_op(name, [x], **attrs)[0], run_ort(op_type, [x], opset=21, **attrs)[0], rtol=1e-4
        )


def test_padding_never_wins_over_minus_infinity_and_nan_always_wins() -> None:
    x = np.full((1, 1, 2, 2), -np.inf, np.float32)
    y, index = run_op("max_pool", [x], outputs=2, kernel_shape=[2, 2], pads=[1, 1, 1, 1])
    assert np.all(np.isneginf(y)) and index.min() == 0
    x[0, 0, 1, 1] = np.nan
    (y,) = run_op("max_pool", [x], kernel_shape=[2, 2])
    assert np.isnan(y).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
def test_max_pool_of_integers_pads_below_every_value(dtype: type) -> None:
    x = np.full((1, 1, 3, 3), np.iinfo(dtype).min, dtype)
    (y,) = run_op("max_pool", [x], kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    assert y.dtype == dtype and (y == np.iinfo(dtype).min).all()


@pytest.mark.parametrize(
    ("name", "shapes", "attrs", "parts"),
    [
        ("max_pool", [(1, 3, 4, 4)], {"kernel_shape": (5, 5)}, ["window of 5", "size 4"]),
        ("max_pool", [(1, 3, 4, 4)], {"kernel_shape": (2,)}, ["1 values", "2 spatial"]),
        ("max_pool", [(1, 3, 4, 4)], {"kernel_shape": (2, 2), "pads": (2, 0, 0, 0)}, ["padding 2", "window of 2"]),
        ("average_pool", [(1, 3)], {"kernel_shape": (2,)}, ["spatial axis"]),
        ("average_pool", [(1, 3, 4)], {"kernel_shape": (0,)}, ["outside 1"]),
        ("max_pool", [(1, 3, 4)], {"kernel_shape": (2**40,), "pads": (2**40 - 1, 0)}, ["window of", "elements"]),
        ("max_pool", [(1, 3, 4)], {"kernel_shape": (2,), "dilations": (2**30,)}, ["dilations", "outside 1"]),
        ("lp_pool", [(1, 3, 4)], {"kernel_shape": (2,), "p": 0}, ["p is 0"]),
        ("global_max_pool", [(1, 3)], {}, ["spatial axis"]),
        ("max_unpool", [(1, 1, 2, 2), (1, 1, 2, 3)], {"kernel_shape": (2, 2)}, ["one of i64"]),
    ],
)
def test_contradictions_are_named(name: str, shapes: list, attrs: dict, parts: list[str]) -> None:
    message = infer_error(name, shapes, **attrs)
    assert all(part in message for part in parts), message


def test_unpooling_outside_of_the_output_is_refused() -> None:
    with pytest.raises(InputError, match="indices 4 to 4"):
        run_op("max_unpool", [np.ones((1, 1, 1, 1), np.float32), np.full((1, 1, 1, 1), 4)], kernel_shape=[2, 2])
