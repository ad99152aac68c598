"""fold-pad."""

from __future__ import annotations

import pytest

from cnnc.ir import Value
from tests.passes.sketch import Sketch, run_pass


def _pad(s: Sketch, x: Value, begins: tuple[int, ...], ends: tuple[int, ...], value: float = 0.0) -> Value:
    return s.op("pad", x, s.ints(*begins, *ends), s.const(value), mode="constant")


@pytest.mark.parametrize(
    "attrs",
    [{}, {"pads": (1, 0, 2, 1)}, {"auto_pad": "VALID"}, {"auto_pad": "SAME_UPPER", "strides": (2, 2)}],
)
def test_folds_into_conv(attrs: dict[str, object]) -> None:
    s = Sketch()
    x = _pad(s, s.input("N", 2, 6, 7), (0, 0, 1, 0), (0, 0, 2, 3))
    y = s.op("conv", x, s.normal(3, 2, 3, 3), s.normal(3), **attrs)
    assert run_pass(s.returns(y), "fold-pad").ops == ("conv",)


def test_folds_with_symbolic_spatial_sizes_and_axes() -> None:
    s = Sketch()
    x = s.op("pad", s.input(1, 2, "H", "W"), s.ints(1, 2, 1, 2), None, s.ints(2, -1))
    assert run_pass(s.returns(s.op("conv", x, s.normal(3, 2, 3, 3))), "fold-pad").ops == ("conv",)


def test_folds_into_average_pool_and_counts_the_zeros() -> None:
    s = Sketch()
    x = _pad(s, s.input("N", 2, 6, 7), (0, 0, 1, 0), (0, 0, 1, 1))
    y = s.op("average_pool", x, kernel_shape=(3, 2), strides=(2, 1))
    assert run_pass(s.returns(y), "fold-pad").ops == ("average_pool",)


def test_folds_into_average_pool_that_counts_its_own_padding() -> None:
    s = Sketch()
    x = _pad(s, s.input("N", 2, 6, 7), (0, 0, 1, 0), (0, 0, 1, 1))
    y = s.op("average_pool", x, kernel_shape=(3, 3), pads=(1, 1, 1, 1), count_include_pad=1)
    assert run_pass(s.returns(y), "fold-pad").ops == ("average_pool",)


def test_refuses_average_pool_that_leaves_its_own_padding_out() -> None:
    s = Sketch()
    x = _pad(s, s.input("N", 2, 6, 7), (0, 0, 1, 0), (0, 0, 1, 1))
    y = s.op("average_pool", x, kernel_shape=(3, 3), pads=(1, 1, 1, 1))
    assert run_pass(s.returns(y), "fold-pad").refused("padding of its own")


@pytest.mark.parametrize("pool", ["average_pool", "max_pool"])
def test_refuses_ceil_mode(pool: str) -> None:
    s = Sketch()
    x = _pad(s, s.op("relu", s.input("N", 2, 6, 7)), (0, 0, 1, 0), (0, 0, 1, 1))
    y = s.op(pool, x, kernel_shape=(3, 3), strides=(2, 2), ceil_mode=1)
    assert run_pass(s.returns(y), "fold-pad").refused("ceil_mode")


def test_folds_minus_infinity_into_max_pool() -> None:
    s = Sketch()
    x = _pad(s, s.input("N", 2, 6, 7), (0, 0, 1, 1), (0, 0, 1, 1), float("-inf"))
    y = s.op("max_pool", x, kernel_shape=(3, 3), strides=(2, 2))
    assert run_pass(s.returns(y), "fold-pad").ops == ("max_pool",)


@pytest.mark.parametrize("value", [0.0, -0.5, -3.4028234663852886e38])
@pytest.mark.parametrize("op", ["relu", "sigmoid"])
def test_folds_into_max_pool_of_what_is_never_negative(op: str, value: float) -> None:
    s = Sketch()
    a = s.op(op, s.input("N", 2, 6, 7))
    x = _pad(s, s.op("concat", a, s.op("abs", a), axis=1), (0, 0, 0, 0), (0, 0, 1, 1), value)
    y = s.op("max_pool", x, kernel_shape=(3, 3), strides=(2, 2))
    assert run_pass(s.returns(y), "fold-pad").ops == (op, "abs", "concat", "max_pool")


def test_folds_zeros_into_max_pool_behind_a_fused_relu6() -> None:
    s = Sketch()
    a = s.op("clip", s.op("conv", s.input("N", 2, 6, 7), s.normal(3, 2, 1, 1)), s.const(0.0), s.const(6.0))
    y = s.op("max_pool", _pad(s, a, (0, 0, 1, 1), (0, 0, 1, 1)), kernel_shape=(3, 3))
    assert run_pass(s.returns(y), "fuse-conv-activation,fold-pad").ops == ("conv", "max_pool")


def test_refuses_zeros_into_max_pool_of_what_may_be_negative() -> None:
    s = Sketch()
    x = _pad(s, s.op("tanh", s.input("N", 2, 6, 7)), (0, 0, 1, 1), (0, 0, 1, 1))
    assert run_pass(s.returns(s.op("max_pool", x, kernel_shape=(3, 3))), "fold-pad").refused("may be below")


def test_refuses_max_pool_with_indices_or_dilation() -> None:
    s = Sketch()
    x = _pad(s, s.op("relu", s.input(1, 2, 6, 7)), (0, 0, 1, 1), (0, 0, 1, 1))
    assert run_pass(s.returns(s.op("max_pool", x, kernel_shape=(3, 3), outputs=2)), "fold-pad").refused("indices")
    s = Sketch()
    x = _pad(s, s.op("relu", s.input(1, 2, 6, 7)), (0, 0, 1, 1), (0, 0, 1, 1))
    y = s.op("max_pool", x, kernel_shape=(2, 2), dilations=(2, 2))
    assert run_pass(s.returns(y), "fold-pad").refused("dilated")


def test_refuses_padding_as_large_as_the_window() -> None:
    s = Sketch()
    x = _pad(s, s.input("N", 2, 6, 7), (0, 0, 2, 0), (0, 0, 0, 0))
    y = s.op("average_pool", x, kernel_shape=(2, 2))
    assert run_pass(s.returns(y), "fold-pad").refused("not smaller than the window")


@pytest.mark.parametrize(
    ("begins", "ends", "value", "reason"),
    [
        ((0, 0, 1, 1), (0, 0, 1, 1), 0.5, "pads with 0"),
        ((0, 1, 1, 1), (0, 0, 1, 1), 0.0, "batch or channel"),
        ((0, 0, -1, 1), (0, 0, 1, 1), 0.0, "crops"),
    ],
)
def test_refuses_other_pads(begins: tuple[int, ...], ends: tuple[int, ...], value: float, reason: str) -> None:
    s = Sketch()
    x = _pad(s, s.input(1, 2, 6, 7), begins, ends, value)
    channels = x.type.shape[1]
    assert isinstance(channels, int)
    y = s.op("conv", x, s.normal(3, channels, 3, 3))
    assert run_pass(s.returns(y), "fold-pad").refused(reason)


def test_refuses_a_mode_other_than_constant() -> None:
    s = Sketch()
    x = s.op("pad", s.input(1, 2, 6, 7), s.ints(0, 0, 1, 1, 0, 0, 1, 1), mode="reflect")
    assert run_pass(s.returns(s.op("conv", x, s.normal(3, 2, 3, 3))), "fold-pad").refused("mode reflect")


def test_refuses_a_pad_that_is_read_elsewhere() -> None:
    s = Sketch()
    x = _pad(s, s.input(1, 2, 6, 7), (0, 0, 1, 1), (0, 0, 1, 1))
    y = s.op("conv", x, s.normal(3, 2, 3, 3))
    assert run_pass(s.returns(y, s.op("relu", x)), "fold-pad").refused("also read by relu")
