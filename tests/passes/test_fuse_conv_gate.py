"""fuse-conv-gate."""

from __future__ import annotations

import pytest

from cnnc.ir import Value
from cnnc.types import DType
from tests.passes.sketch import Sketch, run_pass

NAME = "fuse-conv-gate"
CHANNELS = 12


def _gated(s: Sketch, swapped: bool = False, dtype: DType = DType.F32) -> tuple[Value, Value, Value]:
    x = s.input("N", CHANNELS, 5, 6, dtype=dtype)
    gate = s.op("sigmoid", s.input("N", CHANNELS, 1, 1, name="g", dtype=dtype))
    return x, gate, s.op("mul", *((gate, x) if swapped else (x, gate)))


@pytest.mark.parametrize("swapped", [False, True])
def test_the_convolution_takes_it(swapped: bool) -> None:
    s = Sketch()
    x, gate, product = _gated(s, swapped)
    outcome = run_pass(s.returns(s.op("conv", product, s.normal(4, CHANNELS, 1, 1), s.normal(4))), NAME)
    assert outcome.ops == ("sigmoid", "conv")
    [_, conv] = outcome.graph.nodes
    assert conv.input(0) is x and conv.input(7) is gate and len(conv.inputs) == 8


def test_a_residual_stays() -> None:
    s = Sketch()
    _, gate, product = _gated(s)
    other = s.input("N", 4, 5, 6, name="z")
    outcome = run_pass(s.returns(s.op("conv", product, s.normal(4, CHANNELS, 1, 1), None, other)), NAME)
    [_, conv] = outcome.graph.nodes
    assert conv.input(3) is other and conv.input(7) is gate


def test_refuses_other_readers() -> None:
    s = Sketch()
    _, _, product = _gated(s)
    y = s.op("conv", product, s.normal(4, CHANNELS, 1, 1))
    assert run_pass(s.returns(y, product), NAME).refused("read elsewhere")
    s = Sketch()
    _, _, product = _gated(s)
    y = s.op("conv", product, s.normal(4, CHANNELS, 1, 1))
    assert run_pass(s.returns(y, s.op("relu", product)), NAME).refused("read elsewhere")


def test_refuses_windows_groups_and_other_operands() -> None:
    for shape, attrs in (((4, CHANNELS, 3, 3), {}), ((4, CHANNELS // 2, 1, 1), {"group": 2})):
        s = Sketch()
        _, _, product = _gated(s)
        assert run_pass(s.returns(s.op("conv", product, s.normal(*shape), **attrs)), NAME).refused("conv 'conv'")
    s = Sketch()
    _, _, product = _gated(s)
    y = s.op("conv", s.input("N", CHANNELS, 5, 6, name="a"), s.normal(CHANNELS, CHANNELS, 1, 1), None, product)
    assert run_pass(s.returns(y), NAME).refused("as its data")


def test_refuses_maps_of_fewer_pixels_than_output_channels() -> None:
    s = Sketch()
    _, _, product = _gated(s)
    outcome = run_pass(s.returns(s.op("conv", product, s.normal(31, CHANNELS, 1, 1))), NAME)
    assert outcome.refused("30 pixels", "31 output channels")


def test_is_silent_about_products_that_are_no_gates() -> None:
    s = Sketch()
    x = s.input("N", CHANNELS, 5, 6)
    for other in (s.normal(1, CHANNELS, 1, 1), s.input("N", CHANNELS, 5, 6, name="b"), s.input("N", 1, 5, 6, name="c")):
        outcome = run_pass(s.returns(s.op("conv", s.op("mul", x, other), s.normal(4, CHANNELS, 1, 1))), NAME)
        assert not outcome.changed and not outcome.reasons
    s = Sketch()
    _, _, product = _gated(s, dtype=DType.F64)
    outcome = run_pass(s.returns(s.op("conv", product, s.normal(4, CHANNELS, 1, 1, dtype="float64"))), NAME)
    assert not outcome.changed
