"""move-pointwise-conv."""

from __future__ import annotations

import pytest

from cnnc.ir import Value
from tests.passes.sketch import Sketch, run_pass

NAME = "move-pointwise-conv"


def _pointwise(s: Sketch, x: Value, channels: int = 4, bias: bool = True, **attrs: object) -> Value:
    inputs = x.type.shape[1]
    assert isinstance(inputs, int)
    return s.op("conv", x, s.normal(channels, inputs, 1, 1), s.normal(channels) if bias else None, **attrs)


def _halved(s: Sketch, x: Value, **attrs: object) -> Value:
    return s.op("average_pool", x, kernel_shape=(2, 2), strides=(2, 2), **attrs)


@pytest.mark.parametrize("channels", [3, 12])
def test_a_transition_pools_first(channels: int) -> None:
    s = Sketch()
    outcome = run_pass(s.returns(_halved(s, _pointwise(s, s.input("N", 6, 8, 6), channels))), NAME)
    assert outcome.ops == ("average_pool", "conv")


def test_a_global_pool_comes_first() -> None:
    s = Sketch()
    y = s.op("global_average_pool", _pointwise(s, s.input("N", 6, 5, 7), 8))
    assert run_pass(s.returns(y), NAME).ops == ("global_average_pool", "conv")


@pytest.mark.parametrize("bias", [False, True])
def test_counted_padding_keeps_a_bias_behind_the_sum(bias: bool) -> None:
    s = Sketch()
    y = _halved(s, _pointwise(s, s.input(1, 6, 8, 8), 8, bias), pads=(1, 1, 1, 1), count_include_pad=1)
    outcome = run_pass(s.returns(y), NAME)
    assert outcome.refused("counts padding") if bias else outcome.ops == ("average_pool", "conv")


def test_padding_that_is_not_counted_does_not_matter() -> None:
    s = Sketch()
    y = _halved(s, _pointwise(s, s.input(1, 6, 7, 7), 8), pads=(1, 1, 1, 1), ceil_mode=1)
    assert run_pass(s.returns(y), NAME).ops == ("average_pool", "conv")


@pytest.mark.parametrize(("mode", "align"), [("nearest", "asymmetric"), ("linear", "align_corners")])
def test_an_upsampling_comes_last(mode: str, align: str) -> None:
    s = Sketch()
    scales = s.const([1, 1, 2, 3])
    up = s.op("resize", s.input(2, 32, 5, 4), None, scales, mode=mode, coordinate_transformation_mode=align)
    assert run_pass(s.returns(_pointwise(s, up)), NAME).ops == ("conv", "resize")


def test_sizes_of_the_spatial_axes() -> None:
    s = Sketch()
    up = s.op("resize", s.input(2, 32, 5, 4), None, None, s.ints(11, 9), axes=(2, 3), mode="linear")
    assert run_pass(s.returns(_pointwise(s, up)), NAME).ops == ("conv", "resize")


def test_refuses_sizes_that_name_the_channels() -> None:
    s = Sketch()
    up = s.op("resize", s.input(2, 32, 5, 4), None, None, s.ints(2, 32, 11, 9), mode="linear")
    assert run_pass(s.returns(_pointwise(s, up)), NAME).refused("the channels among them")


def test_refuses_cubic() -> None:
    s = Sketch()
    up = s.op("resize", s.input(2, 32, 5, 4), None, s.const([1, 1, 2, 2]), mode="cubic")
    assert run_pass(s.returns(_pointwise(s, up)), NAME).refused("neither nearest nor linear")


def test_refuses_a_downsampling_and_a_pool_without_stride() -> None:
    s = Sketch()
    down = s.op("resize", s.input(1, 32, 8, 8), None, s.const([1, 1, 0.5, 0.5]), mode="linear")
    assert run_pass(s.returns(_pointwise(s, down)), NAME).refused("less work before the resize")
    s = Sketch()
    pool = s.op("average_pool", _pointwise(s, s.input(1, 6, 8, 8)), kernel_shape=(3, 3), pads=(1, 1, 1, 1))
    assert run_pass(s.returns(pool), NAME).refused("less work behind the pool")


def test_refuses_a_window_a_stride_and_padding() -> None:
    for weights, attrs in (((4, 6, 3, 3), {}), ((4, 6, 1, 1), {"strides": (2, 2)}), ((4, 6, 1, 1), {"pads": (1,) * 4})):
        s = Sketch()
        y = _halved(s, s.op("conv", s.input(1, 6, 9, 9), s.normal(*weights), **attrs))
        assert run_pass(s.returns(y), NAME).refused("the convolution has a")


def test_refuses_a_residual_and_an_activation() -> None:
    s = Sketch()
    x, z = s.input(1, 4, 8, 8), s.input(1, 4, 8, 8, name="z")
    y = _halved(s, s.op("conv", x, s.normal(4, 4, 1, 1), None, z))
    assert run_pass(s.returns(y), NAME).refused("a residual")
    s = Sketch()
    y = _halved(s, s.op("relu", _pointwise(s, s.input(1, 6, 8, 8))))
    assert not run_pass(s.returns(y), NAME).changed


def test_refuses_a_value_that_is_read_elsewhere() -> None:
    s = Sketch()
    y = _pointwise(s, s.input(1, 6, 8, 8))
    assert run_pass(s.returns(_halved(s, y), s.op("relu", y)), NAME).refused("also read by")
    s = Sketch()
    y = _pointwise(s, s.input(1, 6, 8, 8))
    assert run_pass(s.returns(_halved(s, y), y), NAME).refused("graph output")
