"""Matrix products against onnxruntime, exact integers, and their multiply-accumulate counts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnc.dims import Dim, symbol
from cnnc.ops import OPS
from cnnc.types import DType, TensorType
from tests.ops.single_op import make_attrs, run_op, run_ort

_SHAPES = [
    ((3, 5), (5, 7)),
    ((5,), (5, 7)),
    ((3, 5), (5,)),
    ((5,), (5,)),
    ((2, 1, 3, 5), (4, 5, 1)),
    ((1, 5), (2, 5, 3)),
    ((2, 3, 0), (0, 4)),
]


@pytest.mark.parametrize(("left", "right"), _SHAPES)
@pytest.mark.parametrize("kind", ["f4", "f8", "i4", "u8"])
def test_matmul(left: tuple[int, ...], right: tuple[int, ...], kind: str) -> None:
    rng = np.random.default_rng(0)
    inputs = [np.asarray(rng.integers(0, 9, shape), kind) for shape in (left, right)]
    (ours,) = run_op("matmul", inputs)
    expected = np.matmul(*inputs) if kind == "u8" else run_ort("MatMul", inputs)[0]
    np.testing.assert_array_equal(ours, expected)
    assert ours.dtype == expected.dtype


@pytest.mark.parametrize("bias", [None, (), (1,), (7,), (3, 1), (3, 7)])
@pytest.mark.parametrize(("trans_a", "trans_b"), [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_gemm(bias: tuple[int, ...] | None, trans_a: int, trans_b: int) -> None:
    rng = np.random.default_rng(1)
    a = rng.normal(size=(5, 3) if trans_a else (3, 5)).astype(np.float32)
    b = rng.normal(size=(7, 5) if trans_b else (5, 7)).astype(np.float32)
    c = None if bias is None else rng.normal(size=bias).astype(np.float32)
    values = {"alpha": 0.5, "beta": -1.5, "transA": trans_a, "transB": trans_b}
    inputs = [a, b] if c is None else [a, b, c]
    (ours,), (theirs,) = run_op("gemm", inputs, **values), run_ort("Gemm", inputs, **values)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6, strict=True)


@settings(max_examples=40, deadline=None)
@given(signed=st.booleans(), rows=st.integers(1, 5), inner=st.integers(1, 300), per_column=st.booleans())
def test_integer_matmul_is_exact(signed: bool, rows: int, inner: int, per_column: bool) -> None:
    rng = np.random.default_rng(inner)
    a = rng.integers(0, 256, (2, rows, inner)).astype(np.uint8)
    b = rng.integers(-128, 128, (inner, 3)).astype(np.int8 if signed else np.uint8)
    a_zero = np.array(200, np.uint8)
    b_zero = rng.integers(0, 127, 3 if per_column else ()).astype(b.dtype)
    inputs = [a, b, a_zero, np.asarray(b_zero)]
    (ours,) = run_op("matmul_integer", inputs)
    exact = np.matmul(a.astype(np.int64) - 200, b.astype(np.int64) - b_zero)
    np.testing.assert_array_equal(ours, exact.astype(np.int32), strict=True)
    np.testing.assert_array_equal(ours, run_ort("MatMulInteger", inputs)[0], strict=True)


def test_integer_matmul_with_a_zero_point_per_row() -> None:
    a, b = np.array([[1, 2], [3, 4]], np.uint8), np.array([[5], [6]], np.uint8)
    (ours,) = run_op("matmul_integer", [a, b, np.array([1, 3], np.uint8)])
    np.testing.assert_array_equal(ours, np.array([[6], [6]], np.int32))


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("ij,jk->ik", [(2, 3), (3, 5)]),
        ("bhid, bhjd -> bhij", [(2, 3, 4, 5), (2, 3, 1, 5)]),
        ("...ij,...jk", [(2, 5, 3, 4), (2, 5, 4, 2)]),
        ("ii->i", [(4, 4)]),
        ("ij->", [(3, 2)]),
        ("ba", [(2, 3)]),
        ("i,j,k->kji", [(2,), (3,), (4,)]),
    ],
)
def test_einsum(equation: str, shapes: list[tuple[int, ...]]) -> None:
    rng = np.random.default_rng(2)
    inputs = [rng.integers(-4, 5, shape).astype(np.float32) for shape in shapes]
    (ours,), (theirs,) = run_op("einsum", inputs, equation=equation), run_ort("Einsum", inputs, equation=equation)
    np.testing.assert_array_equal(ours, theirs, strict=True)


def test_det() -> None:
    x = np.random.default_rng(3).normal(size=(2, 4, 4)).astype(np.float32)
    np.testing.assert_allclose(run_op("det", [x])[0], run_ort("Det", [x])[0], rtol=1e-4)


@pytest.mark.parametrize(
    ("op", "shapes", "values", "macs"),
    [
        ("matmul", [(symbol("N"), 3, 5), (5, 7)], {}, "105*N"),
        ("matmul", [(5,), (5,)], {}, "5"),
        ("gemm", [(symbol("N"), 8), (4, 8)], {"transB": 1}, "32*N"),
        ("einsum", [(2, 3), (3, symbol("K"))], {"equation": "ij,jk->ik"}, "6*K"),
    ],
)
def test_multiply_accumulates(op: str, shapes: list[tuple[Dim, ...]], values: dict[str, object], macs: str) -> None:
    from cnnc.ir.fact import Fact, Operands

    types = [TensorType(shape, DType.F32) for shape in shapes]
    attrs = make_attrs(op, values)
    results = OPS[op].infer_types(attrs, Operands([Fact(type) for type in types]))
    cost = OPS[op].macs
    assert cost is not None
    assert str(cost(attrs, types, results)) == macs
