"""canonicalize-operands, simplify-power and simplify-division."""

from __future__ import annotations

import numpy as np
import pytest

from cnnc.types import DType
from tests.passes.sketch import Sketch, run_pass


@pytest.mark.parametrize("op", ["add", "sub", "mul", "div", "pow", "max", "min", "prelu"])
def test_one_element_loses_its_axes(op: str) -> None:
    s = Sketch()
    y = s.op(op, s.op("abs", s.input("N", 3, 4)), s.const([[2.0]]))
    outcome = run_pass(s.returns(y), "canonicalize-operands")
    assert outcome.changed
    assert [value.type.shape for value in outcome.graph.constants] == [()]


def test_leading_ones_go() -> None:
    s = Sketch()
    outcome = run_pass(s.returns(s.op("mul", s.input("N", 3, 4, 5), s.normal(1, 3, 1, 1))), "canonicalize-operands")
    assert [value.type.shape for value in outcome.graph.constants] == [(3, 1, 1)]


def test_a_uniform_constant_becomes_one_element() -> None:
    s = Sketch()
    outcome = run_pass(s.returns(s.op("add", s.input(2, 3, 4), s.const(np.full((3, 4), 0.5)))), "canonicalize-operands")
    assert [value.type.shape for value in outcome.graph.constants] == [()]


def test_zeros_of_different_sign_are_not_uniform() -> None:
    s = Sketch()
    y = s.op("mul", s.input(2, 2), s.const([0.0, -0.0]))
    assert not run_pass(s.returns(y), "canonicalize-operands").changed


@pytest.mark.parametrize("op", ["add", "mul", "max", "min"])
def test_the_constant_goes_second(op: str) -> None:
    s = Sketch()
    outcome = run_pass(s.returns(s.op(op, s.normal(4), s.input(2, 4))), "canonicalize-operands")
    assert next(iter(outcome.graph.nodes)).input(1).is_constant


@pytest.mark.parametrize("shape", [(1, 2, 3), (2, 3), (2, 1)])
def test_a_constant_that_broadcasts_keeps_its_shape(shape: tuple[int, ...]) -> None:
    s = Sketch()
    y = s.op("sub", s.const(np.full(shape, 2.0)), s.input(1, 3))
    changed = run_pass(s.returns(y), "canonicalize-operands").changed
    assert not changed
    assert s.graph.constants[0].type.shape == shape


def test_two_constants_and_other_ops_stay() -> None:
    s = Sketch()
    y = s.op("concat", s.input(1, 2), s.const([[0.5, 0.5]]), axis=0)
    assert not run_pass(s.returns(y), "canonicalize-operands").changed


@pytest.mark.parametrize(
    ("exponent", "ops"),
    [(1.0, ()), (2.0, ("mul",)), (3.0, ("mul", "mul")), (-1.0, ("reciprocal",))],
)
def test_powers(exponent: float, ops: tuple[str, ...]) -> None:
    s = Sketch()
    y = s.op("neg", s.op("pow", s.input("N", 3), s.const(exponent)))
    assert run_pass(s.returns(y), "simplify-power").ops == (*ops, "neg")


@pytest.mark.parametrize(("exponent", "ops"), [(0.5, ("sqrt",)), (-0.5, ("sqrt", "reciprocal"))])
def test_roots_of_what_is_never_negative(exponent: float, ops: tuple[str, ...]) -> None:
    s = Sketch()
    x = s.op("add", s.op("abs", s.input("N", 3)), s.const(0.1))
    assert run_pass(s.returns(s.op("pow", x, s.const(exponent))), "simplify-power").ops == ("abs", "add", *ops)


def test_powers_that_stay() -> None:
    s = Sketch()
    assert run_pass(s.returns(s.op("pow", s.input(3), s.const(0.5))), "simplify-power").refused("may be negative")
    s = Sketch()
    assert run_pass(s.returns(s.op("pow", s.input(3), s.const(4.0))), "simplify-power").refused("nothing simpler")
    s = Sketch()
    y = s.op("pow", s.input(3, dtype=DType.I32), s.const(2, dtype="int32"))
    assert run_pass(s.returns(y), "simplify-power").refused("no float")
    s = Sketch()
    assert run_pass(s.returns(s.op("pow", s.input(3), s.const([[2.0]]))), "simplify-power").refused("broadcasts")
    s = Sketch()
    assert not run_pass(s.returns(s.op("pow", s.input(3), s.const([2.0, 1.0, 2.0]))), "simplify-power").changed


@pytest.mark.parametrize("divisor", [8.0, -0.25, 3.0, [[2.0], [7.0]]])
def test_division_becomes_multiplication(divisor: object) -> None:
    s = Sketch()
    assert run_pass(s.returns(s.op("div", s.input(2, 3), s.const(divisor))), "simplify-division").ops == ("mul",)


def test_exact_division() -> None:
    def graph(divisor: float) -> Sketch:
        s = Sketch()
        return s.returns(s.op("div", s.input(2, 3), s.const(divisor)))

    assert run_pass(graph(0.5), "simplify-division{exact_only=true}").ops == ("mul",)
    assert run_pass(graph(3.0), "simplify-division{exact_only=true}").refused("no power of two")


def test_a_divided_one_becomes_a_reciprocal() -> None:
    s = Sketch()
    y = s.op("div", s.const(1.0), s.op("exp", s.input("N", 3)))
    assert run_pass(s.returns(y), "simplify-division").ops == ("exp", "reciprocal")


@pytest.mark.parametrize("divisor", [0.0, float("inf"), 3e38, float("nan"), 1e-40])
def test_divisors_without_a_normal_reciprocal_stay(divisor: float) -> None:
    s = Sketch()
    y = s.op("div", s.input(3), s.const(divisor))
    assert run_pass(s.returns(y), "simplify-division").refused("not a normal number")


def test_integer_division_stays() -> None:
    s = Sketch()
    y = s.op("div", s.input(3, dtype=DType.I64), s.ints(2))
    assert run_pass(s.returns(y), "simplify-division").refused("i64")
