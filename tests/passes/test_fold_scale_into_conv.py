"""fold-scale-into-conv."""

from __future__ import annotations

import pytest

from cnnc.ir import Value
from cnnc.types import DType
from tests.passes.sketch import Sketch, run_pass


def _conv(s: Sketch, x: Value, **attrs: object) -> Value:
    channels = x.type.shape[1]
    assert isinstance(channels, int)
    return s.op("conv", x, s.normal(4, channels, 3, 3), **attrs)


@pytest.mark.parametrize("op", ["mul", "add", "sub", "div"])
@pytest.mark.parametrize("shape", [(4, 1, 1), (1, 4, 1, 1), (1,), ()])
def test_folds_arithmetic_behind_a_padded_conv(op: str, shape: tuple[int, ...]) -> None:
    s = Sketch()
    y = s.op(op, _conv(s, s.input("N", 3, 6, 5), pads=(1, 1, 1, 1)), s.positive(*shape))
    assert run_pass(s.returns(y), "fold-scale-into-conv").ops == ("conv",)


@pytest.mark.parametrize("op", ["mul", "add", "sub"])
def test_folds_a_constant_that_stands_first(op: str) -> None:
    s = Sketch()
    y = s.op(op, s.positive(4, 1, 1), _conv(s, s.input("N", 3, 6, 5)))
    assert run_pass(s.returns(y), "fold-scale-into-conv").ops == ("conv",)


@pytest.mark.parametrize("op", ["mul", "add", "sub", "div"])
def test_folds_arithmetic_before_an_unpadded_conv(op: str) -> None:
    s = Sketch()
    y = _conv(s, s.op(op, s.input("N", 3, 6, 5), s.positive(3, 1, 1)))
    assert run_pass(s.returns(y), "fold-scale-into-conv").ops == ("conv",)


def test_a_shift_before_a_padded_conv_stays() -> None:
    s = Sketch()
    y = _conv(s, s.op("add", s.input("N", 3, 6, 5), s.positive(3, 1, 1)), pads=(0, 0, 0, 1))
    assert run_pass(s.returns(y), "fold-scale-into-conv").refused("pads its input with zeros")


def test_a_chain_folds_whole() -> None:
    s = Sketch()
    y = s.op("mul", _conv(s, s.input("N", 3, 6, 5)), s.positive(4, 1, 1))
    y = s.op("sub", s.normal(4, 1, 1), y)
    y = s.op("scale_shift", s.op("div", y, s.const(3.0)), s.normal(4), s.normal(4))
    assert run_pass(s.returns(y), "fold-scale-into-conv").ops == ("conv",)


def test_a_chain_without_a_layer_becomes_one_scale_shift() -> None:
    s = Sketch()
    x = s.op("mul", s.input("N", 3, 6, 5), s.positive(3, 1, 1))
    y = s.op("relu", s.op("sub", s.op("add", x, s.const(1.0)), s.normal(1, 3, 1, 1)))
    assert run_pass(s.returns(y), "fold-scale-into-conv").ops == ("scale_shift", "relu")


def test_gemm_takes_a_bias() -> None:
    s = Sketch()
    y = s.op("add", s.op("gemm", s.input("N", 3), s.normal(3, 5)), s.normal(5))
    assert run_pass(s.returns(y), "fold-scale-into-conv").ops == ("gemm",)


def test_a_lone_scale_stays() -> None:
    s = Sketch()
    y = s.op("relu", s.op("mul", s.input("N", 3, 6, 5), s.positive(3, 1, 1)))
    assert not run_pass(s.returns(y), "fold-scale-into-conv").changed


@pytest.mark.parametrize("shape", [(4, 4), (4,), (4, 1), (2, 4, 1, 1), (1, 1, 4, 1, 1)])
def test_refuses_constants_along_other_axes(shape: tuple[int, ...]) -> None:
    s = Sketch()
    y = s.op("mul", _conv(s, s.input(1, 3, 6, 6)), s.positive(*shape))
    assert run_pass(s.returns(y), "fold-scale-into-conv").refused("not one value a channel")


def test_refuses_a_divided_constant() -> None:
    s = Sketch()
    y = s.op("div", s.const(2.0), _conv(s, s.input(1, 3, 6, 5)))
    assert not run_pass(s.returns(y), "fold-scale-into-conv").changed


def test_refuses_division_by_zero() -> None:
    s = Sketch()
    y = s.op("div", _conv(s, s.input(1, 3, 6, 5)), s.const(0.0))
    assert run_pass(s.returns(y), "fold-scale-into-conv").refused("not finite")


def test_refuses_behind_a_residual() -> None:
    s = Sketch()
    x = s.input(1, 4, 6, 5)
    y = s.op("conv", x, s.normal(4, 4, 1, 1), None, x)
    assert run_pass(s.returns(s.op("mul", y, s.const(2.0))), "fold-scale-into-conv").refused("adds a residual")


def test_refuses_a_conv_that_is_read_elsewhere() -> None:
    s = Sketch()
    y = _conv(s, s.input(1, 3, 6, 5))
    outcome = run_pass(s.returns(s.op("mul", y, s.const(2.0)), s.op("relu", y)), "fold-scale-into-conv")
    assert outcome.refused("also read by relu")


def test_refuses_integers() -> None:
    s = Sketch()
    x = s.input(1, 3, 1, dtype=DType.I64)
    y = s.op("add", s.op("mul", x, s.const([[2], [3], [4]], dtype="int64")), s.ints(3))
    assert run_pass(s.returns(y), "fold-scale-into-conv").refused("i64")


@pytest.mark.parametrize("trans_b", [0, 1])
def test_gemm_takes_a_scale_before_the_image_is_flattened(trans_b: int) -> None:
    s = Sketch()
    x = s.op("scale_shift", s.op("relu", s.input("N", 3, 2, 2)), s.normal(3), s.normal(3))
    y = s.op("reshape", x, s.ints(-1, 12))
    w = s.normal(*((5, 12) if trans_b else (12, 5)))
    y = s.op("gemm", y, w, s.normal(5), transB=trans_b)
    assert run_pass(s.returns(y), "fold-scale-into-conv").ops == ("relu", "reshape", "gemm")


def test_other_reshapes_before_a_gemm_keep_the_scale() -> None:
    s = Sketch()
    x = s.op("mul", s.input(2, 3, 2, 2), s.positive(3, 1, 1))
    y = s.op("gemm", s.op("reshape", x, s.ints(1, 24)), s.normal(24, 5))
    assert run_pass(s.returns(y), "fold-scale-into-conv").refused("does not flatten each image")
    s = Sketch()
    x = s.op("mul", s.input(2, 3, 2, 2), s.positive(3, 1, 1))
    flat = s.op("reshape", x, s.ints(2, 12))
    y = s.op("gemm", flat, s.normal(12, 5))
    assert run_pass(s.returns(y, s.op("neg", flat)), "fold-scale-into-conv").refused("also read by neg")


def test_single_numbers_are_left_to_element_wise_chains() -> None:
    s = Sketch()
    y = s.op("add", s.op("mul", s.input("N", 300, 4), s.const(2.0)), s.const([1.0]))
    assert run_pass(s.returns(y), "fold-scale-into-conv").refused("both constants have one element")
