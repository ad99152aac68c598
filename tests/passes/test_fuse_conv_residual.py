"""fuse-conv-residual."""

from __future__ import annotations

import pytest

from cnnc.ir import Value
from cnnc.types import DType
from tests.passes.sketch import Sketch, run_pass


def _conv(s: Sketch, x: Value, name: str = "conv", channels: int = 4) -> Value:
    return s.op("conv", x, s.normal(channels, 4, 3, 3), s.normal(channels), name=name, pads=(1, 1, 1, 1))


@pytest.mark.parametrize("op", ["add", "sum"])
@pytest.mark.parametrize("first", [False, True])
def test_the_other_addend_becomes_the_residual(op: str, first: bool) -> None:
    s = Sketch()
    x = s.input("N", 4, 5, 6)
    y = _conv(s, x)
    y = s.op(op, *((x, y) if first else (y, x)))
    outcome = run_pass(s.returns(s.op("relu", y)), "fuse-conv-residual,fuse-conv-activation")
    assert outcome.ops == ("conv",)


@pytest.mark.parametrize("first", [False, True])
def test_the_conv_computed_last_takes_the_other(first: bool) -> None:
    s = Sketch()
    x = s.input("N", 4, 5, 6)
    early, late = _conv(s, x, "early"), _conv(s, x, "late")
    outcome = run_pass(s.returns(s.op("add", *((early, late) if first else (late, early)))), "fuse-conv-residual")
    nodes = list(outcome.graph.nodes)
    assert [node.loc[0] for node in nodes] == ["early", "late"]
    assert nodes[1].optional(3) is nodes[0].output


def test_a_conv_that_is_read_elsewhere_leaves_it_to_the_other() -> None:
    s = Sketch()
    x = s.input("N", 4, 5, 6)
    early, late = _conv(s, x, "early"), _conv(s, x, "late")
    outcome = run_pass(s.returns(s.op("add", early, late), s.op("relu", late)), "fuse-conv-residual")
    assert outcome.count("add") == 0
    assert outcome.graph.outputs[0].producer is not None
    assert outcome.graph.outputs[0].producer.loc[0] == "early"


def test_refuses_broadcasting() -> None:
    s = Sketch()
    y = s.op("add", _conv(s, s.input("N", 4, 5, 6)), s.input("N", 4, 1, 1, name="z"))
    assert run_pass(s.returns(y), "fuse-conv-residual").refused("does not have the shape")


def test_refuses_a_constant() -> None:
    s = Sketch()
    y = s.op("add", _conv(s, s.input(1, 4, 5, 6)), s.normal(1, 4, 5, 6))
    assert run_pass(s.returns(y), "fuse-conv-residual").refused("is constant")


def test_refuses_behind_an_activation() -> None:
    s = Sketch()
    x = s.input("N", 4, 5, 6)
    y = s.op("add", s.op("relu", _conv(s, x)), x)
    outcome = run_pass(s.returns(y), "fuse-conv-activation,fuse-conv-residual")
    assert outcome.ops == ("conv", "add")
    assert any("applies relu before the addition" in reason for reason in outcome.reasons)


def test_a_second_residual_stays_an_addition() -> None:
    s = Sketch()
    x, z = s.input("N", 4, 5, 6), s.input("N", 4, 5, 6, name="z")
    outcome = run_pass(s.returns(s.op("add", s.op("add", _conv(s, x), x), z)), "fuse-conv-residual")
    assert outcome.ops == ("conv", "add")
    assert any("has a residual already" in reason for reason in outcome.reasons)


def test_refuses_adding_a_conv_to_itself() -> None:
    s = Sketch()
    y = _conv(s, s.input("N", 4, 5, 6))
    assert run_pass(s.returns(s.op("add", y, y)), "fuse-conv-residual").refused("read elsewhere")


def test_refuses_a_conv_that_is_returned() -> None:
    s = Sketch()
    x = s.input("N", 4, 5, 6)
    y = _conv(s, x)
    assert run_pass(s.returns(s.op("add", y, x), y), "fuse-conv-residual").refused("graph output")


def test_refuses_other_types() -> None:
    s = Sketch()
    x = s.input(1, 4, 5, 6, dtype=DType.F64)
    y = s.op("conv", x, s.normal(4, 4, 1, 1, dtype="float64"))
    assert run_pass(s.returns(s.op("add", y, x)), "fuse-conv-residual").refused("f64")


def test_refuses_three_addends() -> None:
    s = Sketch()
    x = s.input(1, 4, 5, 6)
    assert not run_pass(s.returns(s.op("sum", _conv(s, x), x, x)), "fuse-conv-residual").changed
