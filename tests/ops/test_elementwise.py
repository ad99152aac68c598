"""Element-wise ops against onnxruntime, Python's math module and the special values that ONNX names."""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnc.ops import OPS
from tests.ops.single_op import make_attrs, run_op, run_ort

_BINARY = {"add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "max": "Max", "min": "Min"}
_COMPARISONS = {
    "equal": "Equal",
    "greater": "Greater",
    "greater_or_equal": "GreaterOrEqual",
    "less": "Less",
    "less_or_equal": "LessOrEqual",
}
_UNARY = {
    "abs": "Abs",
    "neg": "Neg",
    "sign": "Sign",
    "ceil": "Ceil",
    "floor": "Floor",
    "round": "Round",
    "exp": "Exp",
    "sin": "Sin",
    "cos": "Cos",
    "tan": "Tan",
    "atan": "Atan",
    "sinh": "Sinh",
    "cosh": "Cosh",
    "tanh": "Tanh",
    "asinh": "Asinh",
    "erf": "Erf",
    "reciprocal": "Reciprocal",
    "relu": "Relu",
    "selu": "Selu",
    "elu": "Elu",
    "celu": "Celu",
    "sigmoid": "Sigmoid",
    "hard_sigmoid": "HardSigmoid",
    "softplus": "Softplus",
    "hard_swish": "HardSwish",
    "softsign": "Softsign",
    "mish": "Mish",
    "gelu": "Gelu",
    "shrink": "Shrink",
    "leaky_relu": "LeakyRelu",
    "thresholded_relu": "ThresholdedRelu",
}
_SPECIAL = np.array([np.nan, np.inf, -np.inf, -0.0, 0.0, 1.0, -1.0, 3.5, -88.5, 104.0], np.float32)


def _run(op: str, *inputs: np.ndarray, **values: object) -> np.ndarray:
    return OPS[op].reference(make_attrs(op, dict(values)), inputs)[0]


def _close(ours: np.ndarray, theirs: np.ndarray, rtol: float = 2e-6, atol: float = 2e-6) -> None:
    assert ours.dtype == theirs.dtype
    np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol)


@st.composite
def _broadcast_pair(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...]]:
    full = draw(st.lists(st.sampled_from([0, 1, 2, 3, 5, 7]), max_size=4))
    first = [draw(st.sampled_from([size, 1])) for size in full]
    second = [size if own == 1 else draw(st.sampled_from([size, 1])) for size, own in zip(full, first)]
    return tuple(first), tuple(second[draw(st.integers(0, len(second))) if 0 not in second else 0 :])


@pytest.mark.parametrize("op", [*_BINARY, *_COMPARISONS])
@settings(max_examples=12, deadline=None)
@given(shapes=_broadcast_pair(), kind=st.sampled_from(["f4", "f8", "i4", "i8"]), seed=st.integers(0, 99))
def test_binary_ops_broadcast_as_onnxruntime_does(
    op: str, shapes: tuple[tuple[int, ...], tuple[int, ...]], kind: str, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    a, b = (np.asarray(rng.integers(-4, 5, shape), kind) for shape in shapes)
    if op == "div":
        b = np.where(b == 0, np.ones_like(b), b)
    _close(_run(op, a, b), run_ort({**_BINARY, **_COMPARISONS}[op], [a, b])[0])


@pytest.mark.parametrize("op", _UNARY)
@pytest.mark.parametrize("shape", [(), (1,), (7,), (2, 3, 5), (0, 3)])
def test_unary_ops(op: str, shape: tuple[int, ...]) -> None:
    x = np.asarray(np.random.default_rng(1).normal(0, 3, shape), np.float32)
    _close(_run(op, x), run_ort(_UNARY[op], [x])[0])


@pytest.mark.parametrize("op", ["relu", "sigmoid", "tanh", "softplus", "erf", "abs", "ceil", "leaky_relu", "elu"])
def test_special_values(op: str) -> None:
    _close(_run(op, _SPECIAL), run_ort(_UNARY[op], [_SPECIAL])[0])


@pytest.mark.parametrize("op", ["max", "min"])
def test_nan_wins_in_extrema(op: str) -> None:
    a, b = np.array([np.nan, 1, np.inf], np.float32), np.array([1, np.nan, -np.inf], np.float32)
    result = _run(op, a, b)
    assert np.isnan(result[:2]).all()
    assert result[2] == (np.inf if op == "max" else -np.inf)


def test_clip_with_a_low_above_the_high_gives_the_high() -> None:
    x = np.array([-5, 0, 5, np.nan], np.float32)
    result = _run("clip", x, np.float32(3), np.float32(-1))
    np.testing.assert_array_equal(result, np.array([-1, -1, -1, np.nan], np.float32))


def test_integers_wrap_around() -> None:
    low, one = np.array([-128], np.int8), np.array([1], np.int8)
    assert _run("sub", low, one)[0] == 127
    assert _run("neg", low)[0] == -128
    assert _run("abs", low)[0] == -128
    assert _run("pow", np.array([3], np.int8), np.array([200], np.int64))[0] == np.int64(3**200 % 256).astype(np.int8)


def test_integer_division_truncates_at_every_sign() -> None:
    a = np.array([7, -7, 7, -7, -128, 5], np.int8)
    b = np.array([2, 2, -2, -2, 2, 0], np.int8)
    np.testing.assert_array_equal(_run("div", a, b), np.array([3, -3, -3, 3, -64, 0], np.int8))
    np.testing.assert_array_equal(_run("mod", a[:4], b[:4]), np.array([1, 1, -1, -1], np.int8))
    np.testing.assert_array_equal(_run("mod", a[:4], b[:4], fmod=1), np.array([1, -1, 1, -1], np.int8))


@pytest.mark.parametrize("shift", [0, 1, 7, 8, 200])
def test_a_shift_past_the_width_leaves_only_sign_bits(shift: int) -> None:
    x, y = np.array([-100, 100], np.int16), np.array([shift], np.int16)
    right = [value >> shift for value in (-100, 100)]
    left = [np.int64(value << min(shift, 16)).astype(np.int16) for value in (-100, 100)]
    np.testing.assert_array_equal(_run("bit_shift", x, y, direction="RIGHT"), np.array(right, np.int16))
    np.testing.assert_array_equal(_run("bit_shift", x, y, direction="LEFT"), np.array(left, np.int16))


def test_pow_mixes_element_types_and_keeps_the_first() -> None:
    base = np.array([-3, -1, 0, 1, 2], np.int32)
    for exponent in (np.array([2], np.int64), np.array([3.0], np.float32)):
        _close(_run("pow", base, exponent), run_ort("Pow", [base, exponent])[0])
    np.testing.assert_array_equal(_run("pow", base[[0, 1, 3, 4]], np.int64([-1])), np.int32([0, -1, 1, 0]))
    x = np.array([0.0, 2.0, -8.0], np.float32)
    _close(_run("pow", x, np.int32([-2])), run_ort("Pow", [x, np.int32([-2])])[0])


def test_the_exponent_of_a_half_float_is_not_rounded_to_it() -> None:
    base, exponent = np.array([1000.0], np.float16), np.array([1 / 3], np.float32)
    assert _run("pow", base, exponent)[0] == np.float16(10.0)
    assert _run("pow", base, exponent.astype(np.float16))[0] != np.float16(10.0)


def test_erf_is_accurate_to_a_few_ulp_in_float64() -> None:
    x = np.concatenate([np.linspace(-7, 7, 20001), np.logspace(-300, 0, 500)])
    truth = np.array([math.erf(value) for value in x])
    np.testing.assert_allclose(_run("erf", x), truth, rtol=5e-16, atol=0)
    np.testing.assert_array_equal(_run("erf", np.array([np.inf, -np.inf, -0.0])), [1.0, -1.0, -0.0])


@pytest.mark.parametrize(
    ("op", "truth"),
    [
        ("gelu", lambda x: 0.5 * x * math.erfc(-x / math.sqrt(2))),
        ("sigmoid", lambda x: 1 / (1 + math.exp(-x))),
        ("softplus", lambda x: math.log1p(math.exp(x))),
        ("mish", lambda x: x * math.tanh(math.log1p(math.exp(x)))),
        ("swish", lambda x: x / (1 + math.exp(-x))),
        ("selu", lambda x: 1.0507010221481323 * (x if x > 0 else 1.6732631921768188 * math.expm1(x))),
        ("tanh", math.tanh),
    ],
)
def test_float64_results_have_float64_accuracy(op: str, truth: object) -> None:
    x = np.linspace(-6, 6, 241)
    expected = np.array([truth(value) for value in x])  # type: ignore[operator]
    result = _run(op, x)
    assert result.dtype == np.float64
    np.testing.assert_allclose(result, expected, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("op", [*_UNARY, "sqrt", "softmax", "reduce_sum", "reduce_l2", "reduce_max", "arg_max"])
def test_half_floats_are_float32_rounded_once(op: str, dtype: type) -> None:
    x = np.abs(np.random.default_rng(2).normal(0, 2, (3, 5))).astype(dtype)
    result, wide = _run(op, x), _run(op, x.astype(np.float32))
    expected = wide.astype(dtype) if wide.dtype == np.float32 else wide
    assert result.dtype == expected.dtype
    np.testing.assert_array_equal(result.astype(np.float32), expected.astype(np.float32))


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("op", ["mod", "pow", "div", "max", "prelu", "sum", "mean", "where", "clip", "fmod"])
def test_half_floats_of_several_inputs(op: str, dtype: type) -> None:
    rng = np.random.default_rng(3)
    a, b = (np.abs(rng.normal(0, 2, (3, 5))).astype(dtype) + np.asarray(1, dtype) for _ in range(2))
    inputs = {"where": (a > b, a, b), "clip": (a, dtype(1.5), dtype(2.5))}.get(op, (a, b))
    values = {"fmod": 1} if op == "fmod" else {}
    name = "mod" if op == "fmod" else op
    wide = [np.asarray(x).astype(np.float32) if x.dtype == dtype else x for x in inputs]
    result = _run(name, *(np.asarray(x) for x in inputs), **values)
    assert result.dtype == dtype
    np.testing.assert_array_equal(
        result.astype(np.float32), _run(name, *wide, **values).astype(dtype).astype(np.float32)
    )


def test_comparisons_with_nan() -> None:
    x = np.array([np.nan, 1.0], np.float32)
    assert not _run("equal", x, x)[0]
    assert not _run("less_or_equal", x, x)[0]
    np.testing.assert_array_equal(run_op("is_nan", [x])[0], [True, False])
    both = np.array([np.inf, -np.inf, 0.0], np.float32)
    np.testing.assert_array_equal(run_op("is_inf", [both], detect_positive=0)[0], [False, True, False])


@pytest.mark.parametrize("to", ["f64", "f16", "bf16", "i32", "u8", "bool"])
def test_cast_truncates_and_tests_for_zero(to: str) -> None:
    from cnnc.types import DType

    x = np.array([[0.0, 0.75, 1.5], [2.999, 100.25, 7.0]], np.float32)
    (result,) = run_op("cast", [x], to=DType(to))
    expected = x != 0 if to == "bool" else x.astype(DType(to).numpy)
    np.testing.assert_array_equal(result.astype(np.float64), expected.astype(np.float64))
