"""fuse-conv-prologue."""

from __future__ import annotations

import pytest

from cnnc.ir import Value
from cnnc.ops.activation import Activation
from cnnc.types import DType
from tests.passes.sketch import Sketch, run_pass

NAME = "fuse-conv-prologue"
CHANNELS = 12


def _normal(s: Sketch, x: Value, kind: str = "relu") -> Value:
    return s.op("scale_shift", x, s.normal(CHANNELS), s.normal(CHANNELS), activation=Activation(kind))


def _conv(s: Sketch, x: Value, *shape: int, **attrs: object) -> Value:
    return s.op("conv", x, s.normal(*(shape or (4, CHANNELS, 1, 1))), **attrs)


@pytest.mark.parametrize("kind", ["none", "relu", "sigmoid"])
def test_every_reader_takes_it(kind: str) -> None:
    s = Sketch()
    x = s.input("N", CHANNELS, 5, 6)
    normal = _normal(s, x, kind)
    outcome = run_pass(s.returns(_conv(s, normal), _conv(s, normal), x), NAME)
    assert outcome.ops == ("conv", "conv")
    assert [node.input(0) for node in outcome.graph.nodes] == [x, x]


def test_epilogue_stays() -> None:
    s = Sketch()
    x, z = s.input(2, CHANNELS, 5, 6), s.input(2, 4, 5, 6, name="z")
    y = s.op("conv", _normal(s, x), s.normal(4, CHANNELS, 1, 1), s.normal(4), z, activation=Activation("relu"))
    outcome = run_pass(s.returns(y), NAME)
    [conv] = outcome.graph.nodes
    assert len(conv.inputs) == 7 and conv.input(3) is z


def test_refuses_windows_strides_padding_and_groups() -> None:
    for shape, attrs in (
        ((4, CHANNELS, 3, 3), {}),
        ((4, CHANNELS, 1, 1), {"strides": (2, 2)}),
        ((4, CHANNELS, 1, 1), {"pads": (1, 1, 1, 1)}),
        ((4, CHANNELS // 2, 1, 1), {"group": 2}),
    ):
        s = Sketch()
        outcome = run_pass(s.returns(_conv(s, _normal(s, s.input(1, CHANNELS, 5, 6)), *shape, **attrs)), NAME)
        assert outcome.refused("conv 'conv'")


def test_refuses_when_anybody_else_reads_the_result() -> None:
    s = Sketch()
    normal = _normal(s, s.input(1, CHANNELS, 5, 6))
    assert run_pass(s.returns(_conv(s, normal), s.op("relu", normal)), NAME).refused("relu", "reads it too")
    s = Sketch()
    normal = _normal(s, s.input(1, CHANNELS, 5, 6))
    assert run_pass(s.returns(_conv(s, normal), normal), NAME).refused("graph output")
    s = Sketch()
    normal = _normal(s, s.input(1, CHANNELS, 5, 6))
    residual = s.op("conv", normal, s.normal(CHANNELS, CHANNELS, 1, 1), None, normal)
    assert run_pass(s.returns(residual), NAME).refused("reads it too")


def test_refuses_computed_scales_other_types_and_few_channels() -> None:
    s = Sketch()
    normal = s.op("scale_shift", s.input(1, CHANNELS, 5, 6), s.input(CHANNELS, name="s"), s.normal(CHANNELS))
    assert run_pass(s.returns(_conv(s, normal)), NAME).refused("not constant")
    s = Sketch()
    x = s.input(1, 12, 5, 6, dtype=DType.F64)
    normal = s.op("scale_shift", x, s.normal(12, dtype="float64"), s.normal(12, dtype="float64"))
    y = s.op("conv", normal, s.normal(4, 12, 1, 1, dtype="float64"))
    assert run_pass(s.returns(y), NAME).refused("f64")
    s = Sketch()
    normal = s.op("scale_shift", s.input(1, 3, 5, 6), s.normal(3), s.normal(3))
    assert run_pass(s.returns(_conv(s, normal, 4, 3, 1, 1)), NAME).refused("does not read blocks")


def test_says_nothing_without_a_convolution() -> None:
    s = Sketch()
    outcome = run_pass(s.returns(s.op("neg", _normal(s, s.input(1, CHANNELS, 5, 6)))), NAME)
    assert not outcome.changed and not outcome.reasons
