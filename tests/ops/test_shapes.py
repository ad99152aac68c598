"""Symbolic sizes through the ops that change shapes, and symbolic content through the ops that compute shapes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cnnc.dims import Dim, evaluate, maximum, minimum, symbol
from cnnc.errors import ModelError, UnsupportedError
from cnnc.ir.fact import Content, Fact, Operands
from cnnc.ops import OPS
from cnnc.types import DType, TensorType
from tests.ops.single_op import make_attrs, run_op, run_ort

N, H, W = symbol("N"), symbol("H"), symbol("W")


def floats(*shape: Dim) -> Fact:
    """A float tensor of unknown values."""
    return Fact(TensorType(shape, DType.F32))


def known(values: object, dtype: type = np.int64) -> Fact:
    """A constant."""
    array = np.array(values, dtype)
    return Fact(TensorType(array.shape, DType.of(array.dtype)), array=array)


def content(*dims: Dim, scalar: bool = False) -> Fact:
    """An int64 tensor of symbolic content."""
    shape = () if scalar else (len(dims),)
    return Fact(TensorType(shape, DType.I64), content=Content(dims, scalar))


def unknown(*shape: Dim) -> Fact:
    """An int64 tensor of unknown values."""
    return Fact(TensorType(shape, DType.I64))


def shape_of(op: str, *facts: Fact | None, **values: object) -> tuple[str, ...]:
    """Inferred shape of the first output, as text."""
    types = OPS[op].infer_types(make_attrs(op, dict(values)), Operands(facts, node="n"))
    return tuple(str(size) for size in types[0].shape)


def folded(op: str, *facts: Fact | None, **values: object) -> object:
    """What is known of the first output: a Content, an array, or None."""
    attrs = make_attrs(op, dict(values))
    types = OPS[op].infer_types(attrs, Operands(facts, node="n"))
    return OPS[op].evaluate(attrs, facts, types)[0]


@pytest.mark.parametrize(
    ("target", "wanted"),
    [
        ((0, -1), ("N", "12*W")),
        ((-1, 12), ("N*W", "12")),
        ((-1,), ("12*N*W",)),
        ((0, 0, 2, -1), ("N", "3", "2", "2*W")),
        ((-1, 3, 4, W), ("N", "3", "4", "W")),
        ((N * 3, -1), ("3*N", "4*W")),
    ],
)
def test_reshape(target: tuple[Dim, ...], wanted: tuple[str, ...]) -> None:
    assert shape_of("reshape", floats(N, 3, 4, W), content(*target)) == wanted


def test_reshape_to_an_unknown_shape_of_known_rank_has_fresh_sizes() -> None:
    assert shape_of("reshape", floats(N, 3), unknown(2)) == ("u_n_d0", "u_n_d1")
    with pytest.raises(UnsupportedError, match="rank"):
        shape_of("reshape", floats(N, 3), unknown(N))


def test_reshape_with_allowzero_makes_an_empty_tensor() -> None:
    assert shape_of("reshape", floats(0, 3), known([3, 0]), allowzero=1) == ("3", "0")


@pytest.mark.parametrize(
    ("op", "facts", "values", "wanted"),
    [
        ("flatten", [floats(N, 3, H, W)], {}, ("N", "3*H*W")),
        ("flatten", [floats(N, 3, H, W)], {"axis": -1}, ("3*H*N", "W")),
        ("transpose", [floats(N, 3, H, W)], {"perm": (0, 2, 3, 1)}, ("N", "H", "W", "3")),
        ("concat", [floats(N, 3, H), floats(N, W, H), floats(2, 1, H)], {"axis": 1}, ("2", "W + 4", "H")),
        ("pad", [floats(N, H), known([1, 2, 3, -4])], {}, ("N + 4", "H - 2")),
        ("pad", [floats(N, H), known([1, 3]), None, known([-1])], {}, ("N", "H + 4")),
        ("tile", [floats(N, H), content(2, W)], {}, ("2*N", "H*W")),
        ("expand", [floats(1, H), content(N, 1, 1)], {}, ("N", "1", "H")),
        ("squeeze", [floats(N, 1, H, 1)], {}, ("N", "H")),
        ("squeeze", [floats(N, 1, H, 1), known([-1])], {}, ("N", "1", "H")),
        ("unsqueeze", [floats(N, H), known([0, -1])], {}, ("1", "N", "H", "1")),
        ("matmul", [floats(N, 1, 4, H), floats(3, H, W)], {}, ("N", "3", "4", "W")),
        ("gemm", [floats(N, 8), floats(5, 8), floats(5)], {"transB": 1}, ("N", "5")),
        ("einsum", [floats(N, H, 4), floats(N, 4, W)], {"equation": "bij,bjk->bik"}, ("N", "H", "W")),
        ("reduce_mean", [floats(N, 3, H, W), known([2, 3])], {"keepdims": 0}, ("N", "3")),
        ("range", [content(0, scalar=True), content(N, scalar=True), known(1)], {}, ("N",)),
        ("constant_of_shape", [content(N, 4)], {}, ("N", "4")),
        ("top_k", [floats(N, 100), content(minimum(H, 5))], {}, ("N", "min(5, H)")),
        ("gather", [floats(N, 3, H), unknown(2, W)], {"axis": 1}, ("N", "2", "W", "H")),
        ("gather_nd", [floats(N, 3, H), unknown(5, 2)], {}, ("5", "H")),
        ("one_hot", [unknown(N), known(10), floats(2)], {}, ("N", "10")),
        ("split", [floats(4 * N, 2)], {"num_outputs": 2}, ("2*N", "2")),
        ("split", [floats(N, 2), content(H, N - H)], {}, ("H", "2")),
        ("non_zero", [floats(N, 2)], {}, ("2", "u_n_d0")),
    ],
)
def test_symbolic_shapes(op: str, facts: list[Fact | None], values: dict[str, object], wanted: tuple[str, ...]) -> None:
    assert shape_of(op, *facts, **values) == wanted


_LIMITS = st.one_of(st.integers(-9, 9), st.sampled_from([2**31 - 1, -(2**31), 2**63 - 1, -(2**63) + 1]))


@settings(max_examples=200, deadline=None)
@given(start=_LIMITS, end=_LIMITS, step=st.sampled_from([-3, -2, -1, 1, 2, 3]), size=st.integers(0, 7))
def test_the_length_of_a_slice_of_a_symbolic_axis(start: int, end: int, step: int, size: int) -> None:
    facts = [floats(N, 2), known([start]), known([end]), known([0]), known([step])]
    (type,) = OPS["slice"].infer_types(make_attrs("slice", {}), Operands(facts, node="n"))
    x = np.arange(2 * size, dtype=np.float32).reshape(size, 2)
    inputs = [x, *(np.int64([value]) for value in (start, end, 0, step))]
    (result,) = run_op("slice", inputs)
    assert evaluate(type.shape[0], {"N": size}) == result.shape[0]
    if step > 0 or end < 2**31 - 1:  # backwards, onnxruntime reads INT_MAX as "to the start"; the standard clamps it
        np.testing.assert_array_equal(result, run_ort("Slice", inputs)[0], strict=True)


@settings(max_examples=60, deadline=None)
@given(size=st.integers(1, 6), before=st.integers(-2, 4), after=st.integers(-2, 4), mode=st.integers(0, 3))
def test_pad_modes(size: int, before: int, after: int, mode: int) -> None:
    name = ["constant", "edge", "reflect", "wrap"][mode]
    assume(size + min(before, 0) + min(after, 0) >= 0)
    if name != "constant":
        before, after = max(before, 0), max(after, 0)
    if name == "reflect":
        before, after = min(before, size - 1), min(after, size - 1)
    if name == "wrap":
        before, after = min(before, size), min(after, size)
    x = np.random.default_rng(size).normal(size=(2, size)).astype(np.float32)
    inputs = [x, np.int64([1 if name == "constant" else 0, before, 0, after])]
    (ours,) = run_op("pad", inputs, mode=name)
    padded = x[:, max(-before, 0) : size - max(-after, 0)]
    widths = [(1 if name == "constant" else 0, 0), (max(before, 0), max(after, 0))]
    np.testing.assert_array_equal(ours, np.pad(padded, widths, name), strict=True)


@pytest.mark.parametrize(
    ("op", "facts", "values", "wanted"),
    [
        ("shape", [floats(N, 3, H)], {}, Content((N, 3, H))),
        ("shape", [floats(N, 3, H)], {"start": -1}, Content((H,))),
        ("size", [floats(N, 3, H)], {}, Content((N * H * 3,), scalar=True)),
        ("gather", [content(N, 3, H), known(-1)], {}, Content((H,), scalar=True)),
        ("gather", [content(N, 3, H), known([2, 0])], {}, Content((H, N))),
        ("concat", [content(N), known([-1]), content(H)], {"axis": 0}, Content((N, -1, H))),
        ("slice", [content(N, 3, H, W), known([2]), known([2**63 - 1])], {}, Content((H, W))),
        ("slice", [content(N, 3, H), known([-1]), known([-9]), known([0]), known([-2])], {}, Content((H, N))),
        ("unsqueeze", [content(N, scalar=True), known([0])], {}, Content((N,))),
        ("squeeze", [content(N), known([0])], {}, Content((N,), scalar=True)),
        ("reshape", [content(N, scalar=True), known([-1])], {}, Content((N,))),
        ("reshape", [content(N), known([], np.int64)], {}, Content((N,), scalar=True)),
        ("cast", [content(N, H)], {"to": DType.I64}, Content((N, H))),
        ("identity", [content(N, H)], {}, Content((N, H))),
        ("add", [content(N, H), known(2)], {}, Content((N + 2, H + 2))),
        ("sub", [content(N, H), content(1)], {}, Content((N - 1, H - 1))),
        ("mul", [content(N, H), known([2, 3])], {}, Content((N * 2, H * 3))),
        ("div", [content(N * 4, H), known([2, 3])], {}, Content((N * 2, H // 3))),
        ("mod", [content(N * 4, H), known(2)], {}, Content((0, H % 2))),
        ("max", [content(N, H), known(1), content(W, 0)], {}, Content((maximum(maximum(N, 1), W), maximum(H, 1)))),
        ("neg", [content(N, H)], {}, Content((-N, -H))),
        ("abs", [content(-N, H)], {}, Content((N, H))),
        ("expand", [content(N, scalar=True), known([2])], {}, Content((N, N))),
        ("where", [known([True, False], np.bool_), content(N, H), known(7)], {}, Content((N, 7))),
        ("reduce_prod", [content(N, 3, H), None], {"keepdims": 0}, Content((N * H * 3,), scalar=True)),
        ("reduce_sum", [content(N, 3, H), known([0])], {}, Content((N + H + 3,))),
        ("range", [content(N, scalar=True), content(N + 3, scalar=True), known(1)], {}, Content((N, N + 1, N + 2))),
        ("dims", [], {"dims": (N, 4)}, Content((N, 4))),
    ],
)
def test_symbolic_content(op: str, facts: list[Fact | None], values: dict[str, object], wanted: Content) -> None:
    assert folded(op, *facts, **values) == wanted


@pytest.mark.parametrize(
    ("op", "a", "b", "wanted"),
    [
        ("equal", content(N, H), known(-1), [False, False]),
        ("equal", content(N + 1, H), content(N + 1, H), [True, True]),
        ("greater", content(N + 1), known(0), [True]),
        ("less", content(N), known(0), [False]),
        ("greater_or_equal", content(N), known(0), [True]),
        ("less_or_equal", content(N, N), content(N, N + 1), [True, True]),
    ],
)
def test_decided_comparisons_are_booleans(op: str, a: Fact, b: Fact, wanted: list[bool]) -> None:
    result = folded(op, a, b)
    assert isinstance(result, np.ndarray)
    np.testing.assert_array_equal(result, np.array(wanted), strict=True)


def test_content_passes_through_int32() -> None:
    attrs = make_attrs("cast", {"to": DType.I32})
    narrow = Fact(TensorType((2,), DType.I32), content=folded("cast", content(N, H), to=DType.I32))  # type: ignore[arg-type]
    assert OPS["cast"].infer_types(attrs, Operands([content(N, H)]))[0].dtype is DType.I32
    doubled = folded("mul", narrow, known(2, np.int32))
    assert doubled == Content((N * 2, H * 2))
    assert folded("cast", narrow, to=DType.I64) == Content((N, H))


def as_float(*dims: Dim) -> Fact:
    """A float tensor of symbolic content."""
    return Fact(TensorType((len(dims),), DType.F32), content=Content(dims))


def test_content_passes_through_floats_of_whole_numbers() -> None:
    assert folded("cast", content(H, W), to=DType.F32) == Content((H, W))
    assert folded("mul", as_float(H, W), known(2.0, np.float32)) == Content((H * 2, W * 2))
    assert folded("mul", as_float(H, W), known(1.5, np.float32)) is None
    assert folded("div", as_float(H * 4), known(2.0, np.float32)) == Content((H * 2,))
    assert folded("div", as_float(H), known(2.0, np.float32)) is None
    assert folded("floor", as_float(H, W)) == Content((H, W))
    assert folded("cast", as_float(H, W), to=DType.I64) == Content((H, W))


def test_float_numbers_are_left_to_the_reference() -> None:
    negated = folded("neg", known([0.0, 2.0], np.float32))
    assert isinstance(negated, np.ndarray)
    assert np.signbit(negated).all()
    assert folded("add", known([2.0**24], np.float32), known([1.0], np.float32)) == np.float32(2**24)
    huge = folded("cast", known([1e30], np.float32), to=DType.F64)
    assert isinstance(huge, np.ndarray)
    assert huge[0] == np.float64(np.float32(1e30))
    assert folded("mul", known([np.inf, np.nan], np.float32), known([1.0], np.float32)) is not None


def test_what_cannot_be_decided_stays_unknown() -> None:
    assert folded("equal", content(N), known(1)) is None
    assert folded("div", content(N), content(N - H)) is None
    assert folded("where", Fact(TensorType((1,), DType.BOOL)), content(N), known([1])) is None


def test_numbers_that_leave_int64_wrap_as_the_reference_does() -> None:
    result = folded("mul", known([2**62 + 1]), known([4]))
    assert isinstance(result, np.ndarray)
    assert result.tolist() == [4]


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.5, -0.0])
def test_a_float_fill_is_kept(value: float) -> None:
    result = folded("constant_of_shape", known([3]), value=value, dtype=DType.F32)
    np.testing.assert_array_equal(result, np.full(3, value, np.float32), strict=True)  # type: ignore[arg-type]


def test_dims_is_refused_by_the_runtime() -> None:
    from cnnc.errors import InternalError

    with pytest.raises(InternalError, match="during a run"):
        OPS["dims"].reference(make_attrs("dims", {"dims": (1,)}), [])


def test_a_scalar_of_dims_has_one_element() -> None:
    with pytest.raises(ModelError, match="one element"):
        make_attrs("dims", {"dims": (1, 2), "scalar": True})
