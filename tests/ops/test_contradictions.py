"""Operands that contradict an op's rules: each is a ModelError whose text shows what met what."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cnnc.dims import symbol
from cnnc.errors import ModelError, UnsupportedError
from cnnc.ir.fact import Fact, Operands
from cnnc.ops import OPS
from cnnc.ops.activation import Activation
from cnnc.types import DType, TensorType
from tests.ops.single_op import make_attrs

N = symbol("N")


def f(*shape: Any) -> Fact:
    """Floats of unknown values."""
    return Fact(TensorType(shape, DType.F32))


def i(*shape: Any) -> Fact:
    """int64 of unknown values."""
    return Fact(TensorType(shape, DType.I64))


def b(*shape: Any) -> Fact:
    """Booleans of unknown values."""
    return Fact(TensorType(shape, DType.BOOL))


def u8(*shape: Any) -> Fact:
    """Bytes of unknown values."""
    return Fact(TensorType(shape, DType.U8))


def c(values: Any, dtype: Any = np.int64) -> Fact:
    """A constant."""
    array = np.array(values, dtype)
    return Fact(TensorType(array.shape, DType.of(array.dtype)), array=array)


_CONTRADICTIONS: list[tuple[str, list[Fact | None], dict[str, Any], list[str]]] = [
    ("conv", [f(1, 4, 5), f(2, 4, 1), None, None, None, f(4), f(3)], {}, ["input shift", "3 elements"]),
    ("conv", [f(1, 4, 5), f(2, 4, 1), None, None, None, f(4)], {}, ["an input scale and an input shift"]),
    ("conv", [f(1, 4, 5), f(2, 4, 1), *[None] * 5, f(1, 4)], {}, ["the gate", "each image and channel"]),
    ("conv", [f(1, 4, 5), f(2, 4, 1), *[None] * 3, f(4), f(4), f(1, 4, 1)], {}, ["a prologue or a gate"]),
    ("conv", [f(1, 4, 5), f(2, 4, 1)], {"prologue": Activation("relu")}, ["an input scale and an input shift"]),
    ("conv", [f(1, 4, 5), f(2, 4, 1), *[None] * 3, f(4), f(4)], {"prologue": Activation("prelu")}, ["has slopes"]),
    ("add", [f(2, 3), f(4)], {}, ["[2, 3]", "[4]", "3 against 4"]),
    ("add", [f(2), i(2)], {}, ["f32, i64"]),
    ("mul", [f(2)], {}, ["takes 2 inputs, got 1"]),
    ("add", [b(2), b(2)], {}, ["bool"]),
    ("max", [f(2, 3), f(3), f(5)], {}, ["3 against 5"]),
    ("sum", [i(2), i(2)], {}, ["i64"]),
    ("pow", [f(2), f(3)], {}, ["2 against 3"]),
    ("mod", [f(2), i(2)], {}, ["f32, i64"]),
    ("bitwise_and", [f(2), f(2)], {}, ["f32"]),
    ("bitwise_not", [f(2)], {}, ["f32"]),
    ("bit_cast", [f(2)], {"to": DType.I8}, ["f32 and i8"]),
    ("and", [i(2), i(2)], {}, ["bool", "i64"]),
    ("not", [i(2)], {}, ["i64"]),
    ("equal", [f(2), i(2)], {}, ["f32, i64"]),
    ("less", [b(2), b(2)], {}, ["bool"]),
    ("where", [f(2), f(2), f(2)], {}, ["condition", "f32"]),
    ("where", [b(2), f(2), i(2)], {}, ["f32, i64"]),
    ("where", [b(2), f(3), f(2)], {}, ["2 against 3"]),
    ("is_nan", [i(2)], {}, ["i64"]),
    ("exp", [i(2)], {}, ["i64"]),
    ("neg", [u8(2)], {}, ["u8"]),
    ("clip", [f(2), i()], {}, ["min is i64", "f32"]),
    ("clip", [f(2), None, f(2)], {}, ["max", "f32[2]"]),
    ("prelu", [f(2, 3), f(4)], {}, ["[2, 3]", "[4]"]),
    ("prelu", [f(1, 3), f(2, 3)], {}, ["f32[2, 3]", "f32[1, 3]"]),
    ("prelu", [f(3), f(2, 3)], {}, ["f32[2, 3]", "f32[3]"]),
    ("swi_glu", [f(2), f(3)], {}, ["f32[2]", "f32[3]", "2 against 3"]),
    ("softmax", [f(2, 3)], {"axis": 2}, ["axis 2", "rank 2"]),
    ("softmax", [i(2, 3)], {}, ["i64"]),
    ("reduce_sum", [f(2, 3), c([2])], {}, ["axis 2", "rank 2"]),
    ("reduce_sum", [f(2, 3), c([1, -1])], {}, ["[1, -1]", "twice"]),
    ("reduce_mean", [b(2)], {}, ["bool"]),
    ("arg_max", [f(2, 0)], {"axis": 1}, ["f32[2, 0]", "empty"]),
    ("cum_sum", [f(), c(0)], {}, ["scalar"]),
    ("cum_sum", [f(2), c(1)], {}, ["axis 1"]),
    ("cum_prod", [f(2), c([0, 0])], {}, ["one number", "i64[2]"]),
    ("matmul", [f(2, 3), f(4, 5)], {}, ["f32[2, 3]", "f32[4, 5]", "3 against 4"]),
    ("matmul", [f(2, 3, 4), f(5, 4, 6)], {}, ["2 against 5"]),
    ("matmul", [f(), f(2)], {}, ["scalar"]),
    ("matmul_integer", [u8(2, 3), f(3, 4)], {}, ["B", "f32"]),
    ("matmul_integer", [u8(2, 3), u8(3, 4), i()], {}, ["i64", "u8"]),
    ("matmul_integer", [u8(2, 3), u8(3, 4), u8(3)], {}, ["3 against 2"]),
    ("matmul_integer", [u8(3), u8(3, 4), u8(2)], {}, ["u8[2]", "u8[3]"]),
    ("gemm", [f(2, 3), f(4, 5)], {}, ["3 against 4"]),
    ("gemm", [f(2, 3, 4), f(4, 5)], {}, ["f32[2, 3, 4]"]),
    ("gemm", [f(2, 3), f(3, 5), f(4)], {}, ["f32[4]", "[2, 5]"]),
    ("einsum", [f(2, 3)], {"equation": "ij,jk->ik"}, ["2 terms", "1 inputs"]),
    ("einsum", [f(2, 3), f(4, 5)], {"equation": "ij,jk->ik"}, ["axis 'j'", "3 against 4"]),
    ("einsum", [f(2, 3)], {"equation": "ijk"}, ["'ijk'", "rank 2"]),
    ("einsum", [f(2, 3)], {"equation": "ij->ik"}, ["'ik'"]),
    ("einsum", [f(2, 3)], {"equation": "i1"}, ["malformed"]),
    ("det", [f(2, 3)], {}, ["f32[2, 3]", "2 against 3"]),
    ("det", [f(2)], {}, ["f32[2]"]),
    ("reshape", [f(2, 3), c([4, 2])], {}, ["f32[2, 3]", "[4, 2]", "6 elements against 8"]),
    ("reshape", [f(2, 3), c([-1, 4])], {}, ["6 elements do not divide by 4"]),
    ("reshape", [f(2, 3), c([-1, -1])], {}, ["more than one -1"]),
    ("reshape", [f(2, 3), c([2, 3, 0])], {}, ["axis 2"]),
    ("reshape", [f(2, 3), c([6, -2])], {}, ["-2"]),
    ("reshape", [f(2, 3), f(2)], {}, ["f32"]),
    ("reshape", [f(2, 3), c(6)], {}, ["rank 1"]),
    ("flatten", [f(2, 3)], {"axis": 3}, ["axis 3"]),
    ("squeeze", [f(2, 3), c([1])], {}, ["axis 1", "size 3"]),
    ("squeeze", [f(), c([0])], {}, ["axis 0", "rank 0"]),
    ("unsqueeze", [f(2), c([0, 0])], {}, ["twice"]),
    ("unsqueeze", [f(2), c([3])], {}, ["axis 3", "rank 2"]),
    ("transpose", [f(2, 3)], {"perm": (0, 0)}, ["[0, 0]", "f32[2, 3]"]),
    ("expand", [f(2, 3), c([2, 4])], {}, ["[2, 3]", "[2, 4]"]),
    ("concat", [f(2, 3), f(3, 3)], {"axis": 1}, ["f32[2, 3]", "f32[3, 3]", "2 against 3"]),
    ("concat", [f(2, 3), f(2)], {"axis": 0}, ["f32[2, 3]", "f32[2]"]),
    ("concat", [f(2), i(2)], {"axis": 0}, ["f32, i64"]),
    ("concat", [f(), f()], {"axis": 0}, ["scalars"]),
    ("split", [f(5), c([2, 2])], {}, ["[2, 2]", "5", "f32[5]"]),
    ("split", [f(5)], {}, ["num_outputs"]),
    ("split", [f()], {"num_outputs": 1}, ["scalar"]),
    ("tile", [f(2, 3), c([2])], {}, ["1 repeats", "f32[2, 3]"]),
    ("slice", [f(4), c([0, 0]), c([1])], {}, ["differ in length"]),
    ("slice", [f(4), c([0]), c([1]), c([1])], {}, ["axis 1"]),
    ("slice", [f(4), c([0]), c([1]), c([0]), c([0])], {}, ["step of 0"]),
    ("pad", [f(2, 3), c([1, 1])], {}, ["i64[2]", "f32[2, 3]"]),
    ("pad", [f(2), c([-2, -1])], {}, ["axis 0", "f32[2]"]),
    ("pad", [f(2), c([1, 1]), i()], {}, ["f32", "i64"]),
    ("gather", [f(2, 3), c([5])], {"axis": 1}, ["5..5", "axis 1", "f32[2, 3]"]),
    ("gather", [f(2), f(2)], {}, ["indices", "f32"]),
    ("gather", [f(), i()], {}, ["scalar"]),
    ("gather_elements", [f(2, 3), i(2)], {}, ["f32[2, 3]", "i64[2]"]),
    ("gather_elements", [f(2, 3), i(2, 4)], {}, ["i64[2, 4]", "axis 1"]),
    ("gather_nd", [f(2, 3), i(4, 3)], {}, ["i64[4, 3]", "f32[2, 3]"]),
    ("gather_nd", [f(2, 3), i(4, 1)], {"batch_dims": 1}, ["2 against 4"]),
    ("gather_nd", [f(2, 3), i(4, 1)], {"batch_dims": 2}, ["batch_dims 2"]),
    ("scatter_elements", [f(2, 3), i(1, 3), f(1, 2)], {}, ["f32[1, 2]", "i64[1, 3]"]),
    ("scatter_elements", [f(2), i(1), i(1)], {}, ["i64", "f32"]),
    ("scatter_nd", [f(4, 5), i(2, 1), f(2, 4)], {}, ["f32[2, 4]", "5 against 4"]),
    ("scatter_nd", [f(4, 5), i(2, 1), f(2)], {}, ["rank 2"]),
    ("reverse_sequence", [f(4, 3), i(4)], {}, ["i64[4]", "f32[4, 3]"]),
    ("reverse_sequence", [f(4, 3), i(4)], {"batch_axis": 2}, ["batch_axis 2"]),
    ("constant_of_shape", [i(2, 2)], {}, ["rank 1"]),
    ("constant_of_shape", [c([-1])], {}, ["-1"]),
    ("eye_like", [f(2)], {}, ["f32[2]"]),
    ("one_hot", [i(2), c(3), f(3)], {}, ["f32[3]"]),
    ("one_hot", [i(2), c(3), f(2)], {"axis": 2}, ["axis 2"]),
    ("range", [c(0), c(5), c(0)], {}, ["0 has no end"]),
    ("range", [c(0.0, np.float32), c(np.inf, np.float32), c(1.0, np.float32)], {}, ["no end"]),
    ("range", [c(0), c(5.0, np.float32), c(1)], {}, ["one element type"]),
    ("trilu", [f(2)], {}, ["f32[2]"]),
    ("top_k", [f(3), c([4])], {}, ["k is 4", "f32[3]"]),
    ("top_k", [f(3), i(2)], {}, ["i64[2]"]),
    ("compress", [f(3), b(4)], {}, ["4 conditions", "f32[3]"]),
    ("compress", [f(3), b(1, 3)], {}, ["rank 1"]),
    ("unique", [f(2, 3)], {"axis": 2}, ["axis 2"]),
]


@pytest.mark.parametrize(
    ("op", "facts", "values", "fragments"),
    _CONTRADICTIONS,
    ids=[f"{n}-{row[0]}" for n, row in enumerate(_CONTRADICTIONS)],
)
def test_contradictory_operands(
    op: str, facts: list[Fact | None], values: dict[str, Any], fragments: list[str]
) -> None:
    with pytest.raises(ModelError) as caught:
        OPS[op].infer_types(make_attrs(op, values), Operands(facts, node="n"))
    for fragment in fragments:
        assert fragment in str(caught.value)


@pytest.mark.parametrize(
    ("op", "values", "fragment"),
    [
        ("bit_shift", {"direction": "UP"}, "'UP'"),
        ("gelu", {"approximate": "yes"}, "'yes'"),
        ("pad", {"mode": "mirror"}, "'mirror'"),
        ("scatter_nd", {"reduction": "mean"}, "'mean'"),
        ("scatter_elements", {"reduction": "mean"}, "'mean'"),
    ],
)
def test_attributes_that_make_no_sense(op: str, values: dict[str, Any], fragment: str) -> None:
    with pytest.raises(ModelError, match=fragment):
        make_attrs(op, values)


@pytest.mark.parametrize(
    ("op", "facts"),
    [
        ("reshape", [f(2, 3), i(N)]),
        ("expand", [f(2, 3), i(N)]),
        ("constant_of_shape", [i(N)]),
        ("reduce_sum", [f(2, 3), i(1)]),
        ("squeeze", [f(2, 1), i(1)]),
        ("unsqueeze", [f(2, 1), i(1)]),
        ("slice", [f(2, 3), i(1), i(1), i(1)]),
        ("pad", [f(2, 3), i(2), None, i(1)]),
        ("gather_nd", [f(2, 3), i(2, N)]),
    ],
)
def test_a_result_of_unknown_rank_is_unsupported(op: str, facts: list[Fact | None]) -> None:
    with pytest.raises(UnsupportedError, match=r"not known|computed from values"):
        OPS[op].infer_types(make_attrs(op, {}), Operands(facts, node="n"))
