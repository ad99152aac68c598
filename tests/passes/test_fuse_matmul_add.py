"""fuse-matmul-add."""

from __future__ import annotations

import pytest

from cnnc.types import DType
from tests.passes.sketch import Sketch, run_pass


@pytest.mark.parametrize("shape", [(5,), (1, 5), (1,), ()])
@pytest.mark.parametrize("first", [False, True])
def test_a_matrix_product_and_its_bias_become_gemm(shape: tuple[int, ...], first: bool) -> None:
    s = Sketch()
    y = s.op("matmul", s.input("N", 3), s.normal(3, 5))
    b = s.normal(*shape)
    assert run_pass(s.returns(s.op("add", *((b, y) if first else (y, b)))), "fuse-matmul-add").ops == ("gemm",)


def test_a_product_alone_becomes_gemm() -> None:
    s = Sketch()
    y = s.op("matmul", s.input("N", 3), s.normal(3, 5))
    assert run_pass(s.returns(y), "fuse-matmul-add").ops == ("gemm",)


@pytest.mark.parametrize("leading", [(2, 3), ("N", 3), (2, 3, 4), (1, "T")])
def test_higher_ranks_are_joined_and_split(leading: tuple[int | str, ...]) -> None:
    s = Sketch()
    y = s.op("add", s.op("matmul", s.input(*leading, 7), s.normal(7, 5)), s.normal(5))
    assert run_pass(s.returns(y), "fuse-matmul-add").ops == ("reshape", "gemm", "reshape")


def test_two_symbolic_leading_sizes_stay() -> None:
    s = Sketch()
    y = s.op("matmul", s.input("N", "T", 7), s.normal(7, 5))
    assert run_pass(s.returns(y), "fuse-matmul-add").refused("leading axes")


def test_other_addends_stay_outside() -> None:
    s = Sketch()
    y = s.op("add", s.op("matmul", s.input(4, 3), s.normal(3, 4)), s.normal(4, 1))
    outcome = run_pass(s.returns(y), "fuse-matmul-add")
    assert outcome.ops == ("gemm", "add")
    assert any("not one value a column" in reason for reason in outcome.reasons)


def test_an_addend_of_higher_rank_stays_outside() -> None:
    s = Sketch()
    y = s.op("add", s.op("matmul", s.input(4, 3), s.normal(3, 4)), s.normal(1, 1, 4))
    assert run_pass(s.returns(y), "fuse-matmul-add").ops == ("gemm", "add")


def test_a_product_that_is_read_elsewhere_keeps_its_bias_outside() -> None:
    s = Sketch()
    y = s.op("matmul", s.input(4, 3), s.normal(3, 4))
    outcome = run_pass(s.returns(s.op("add", y, s.normal(4)), s.op("relu", y)), "fuse-matmul-add")
    assert outcome.ops == ("gemm", "add", "relu")


def test_computed_weights_and_integers_stay() -> None:
    s = Sketch()
    y = s.op("matmul", s.input(4, 3), s.input(3, 5, name="w"))
    assert not run_pass(s.returns(y), "fuse-matmul-add").changed
    s = Sketch()
    y = s.op("matmul", s.input(4, 3, dtype=DType.I32), s.normal(3, 5, dtype="int32"))
    assert run_pass(s.returns(y), "fuse-matmul-add").refused("i32")


@pytest.mark.parametrize("perm", [None, (1, 0)])
def test_transposes_become_flags(perm: tuple[int, int] | None) -> None:
    s = Sketch()
    a = s.op("transpose", s.input(3, "N"), perm=perm)
    b = s.op("transpose", s.input(5, 3, name="w"), perm=perm)
    assert run_pass(s.returns(s.op("gemm", a, b)), "fuse-matmul-add").ops == ("gemm",)


def test_a_transpose_that_changes_nothing_stays() -> None:
    s = Sketch()
    a = s.op("transpose", s.input(2, 3), perm=(0, 1))
    assert run_pass(s.returns(s.op("gemm", a, s.normal(3, 4))), "fuse-matmul-add").refused("perm")
