"""recognize-layer-norm, -group-norm, -lrn and -global-pool."""

from __future__ import annotations

from typing import Any

import pytest

from cnnc.ir import Value
from cnnc.types import DType
from tests.passes.sketch import Sketch, run_pass


def _layer_norm(s: Sketch, x: Value, axes: tuple[int, ...], square: str = "mul") -> Value:
    centred = s.op("sub", x, s.op("reduce_mean", x, s.ints(*axes)))
    squared = s.op("mul", centred, centred) if square == "mul" else s.op("pow", centred, s.const(2.0))
    variance = s.op("add", s.op("reduce_mean", squared, s.ints(*axes)), s.const(1e-3))
    return s.op("div", centred, s.op("sqrt", variance))


@pytest.mark.parametrize("square", ["mul", "pow"])
@pytest.mark.parametrize("axes", [(-1,), (3,), (2, 3), (-1, -2)])
@pytest.mark.parametrize("affine", ["none", "scale", "scale and shift"])
def test_layer_norm(square: str, axes: tuple[int, ...], affine: str) -> None:
    s = Sketch()
    y = _layer_norm(s, s.input("N", 3, 4, 5), axes, square)
    if affine != "none":
        y = s.op("mul", y, s.normal(5))
    if affine == "scale and shift":
        y = s.op("add", s.normal(5), y)
    assert run_pass(s.returns(y), "recognize-layer-norm").ops == ("layer_normalization",)


def test_layer_norm_over_channels_stays() -> None:
    s = Sketch()
    y = _layer_norm(s, s.input("N", 3, 4, 5), (1,))
    assert run_pass(s.returns(y), "recognize-layer-norm").refused("not the last")


def test_layer_norm_with_two_sets_of_axes_stays() -> None:
    s = Sketch()
    x = s.input("N", 3, 4, 5)
    centred = s.op("sub", x, s.op("reduce_mean", x, s.ints(-1)))
    variance = s.op("reduce_mean", s.op("mul", centred, centred), s.ints(2, 3))
    y = s.op("div", centred, s.op("sqrt", s.op("add", variance, s.const(1e-3))))
    assert run_pass(s.returns(y), "recognize-layer-norm").refused("the variance over")


def test_layer_norm_with_a_scale_along_another_axis_takes_only_what_it_can() -> None:
    s = Sketch()
    y = s.op("mul", _layer_norm(s, s.input("N", 3, 4, 5), (-1,)), s.normal(3, 1, 1))
    outcome = run_pass(s.returns(y), "recognize-layer-norm")
    assert outcome.ops == ("layer_normalization", "mul")
    assert any("varies along other axes" in reason for reason in outcome.reasons)


def test_layer_norm_refuses_other_types_and_a_mean_that_is_read_elsewhere() -> None:
    s = Sketch()
    x = s.input(2, 3, dtype=DType.F64)
    centred = s.op("sub", x, s.op("reduce_mean", x, s.ints(1)))
    variance = s.op("reduce_mean", s.op("mul", centred, centred), s.ints(1))
    y = s.op("div", centred, s.op("sqrt", s.op("add", variance, s.const(1e-3, dtype="float64"))))
    assert run_pass(s.returns(y), "recognize-layer-norm").refused("f64")
    s = Sketch()
    y = _layer_norm(s, s.input(2, 3), (-1,))
    mean = s.graph.value("reduce_mean")
    assert run_pass(s.returns(y, s.op("neg", mean)), "recognize-layer-norm").refused("also read by neg")


def _group_norm(s: Sketch, x: Value, target: tuple[int, ...], scale: Value, shift: Value) -> Value:
    normal = s.op("instance_normalization", s.op("reshape", x, s.ints(*target)), scale, shift, epsilon=1e-3)
    return s.op("reshape", normal, s.op("shape", x))


@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize("affine", [True, False])
def test_group_norm(plain: bool, affine: bool) -> None:
    s = Sketch()
    scale, shift = (s.const([1.0] * 3), s.const([0.0] * 3)) if plain else (s.normal(3), s.normal(3))
    y = _group_norm(s, s.input("N", 6, 4, 5), (0, 3, -1), scale, shift)
    if affine:
        y = s.op("add", s.op("mul", y, s.normal(6, 1, 1)), s.normal(1, 6, 1, 1))
    outcome = run_pass(s.returns(y), "recognize-group-norm")
    assert outcome.ops == ("group_normalization",)


def test_group_norm_refuses_split_channels() -> None:
    s = Sketch()
    y = _group_norm(s, s.input(2, 6, 4, 5), (0, 4, -1), s.normal(4), s.normal(4))
    assert run_pass(s.returns(y), "recognize-group-norm").refused("groups of whole channels")


def test_group_norm_refuses_a_batch_that_moves() -> None:
    s = Sketch()
    y = _group_norm(s, s.input(2, 6, 4, 5), (1, 3, -1), s.normal(3), s.normal(3))
    assert run_pass(s.returns(y), "recognize-group-norm").refused("groups of whole channels")


def test_group_norm_leaves_a_scale_along_another_axis() -> None:
    s = Sketch()
    y = _group_norm(s, s.input(2, 6, 4, 5), (0, 3, -1), s.normal(3), s.normal(3))
    outcome = run_pass(s.returns(s.op("mul", y, s.normal(5))), "recognize-group-norm")
    assert outcome.ops == ("group_normalization", "mul")


def _lrn(s: Sketch, x: Value, size: int, before: int, behind: int, *, kernel_axis: int = 0, **pool: Any) -> Value:
    square = s.op("unsqueeze", s.op("mul", x, x), s.ints(1))
    pads = [0] * 10
    pads[2 + kernel_axis], pads[7 + kernel_axis] = before, behind
    padded = s.op("pad", square, s.ints(*pads), s.const(0.0)) if any(pads) else square
    kernel = tuple(size if axis == kernel_axis else 1 for axis in range(3))
    average = s.op("squeeze", s.op("average_pool", padded, kernel_shape=kernel, **pool), s.ints(1))
    line = s.op("add", s.op("mul", average, s.const(0.5)), s.const(2.0))
    return s.op("div", x, s.op("pow", line, s.const(0.75)))


@pytest.mark.parametrize("size", [3, 5])
def test_lrn(size: int) -> None:
    s = Sketch()
    y = _lrn(s, s.input("N", 7, 4, 5), size, size // 2, size // 2)
    assert run_pass(s.returns(y), "recognize-lrn").ops == ("lrn",)


def test_lrn_with_padding_in_the_pool() -> None:
    s = Sketch()
    y = _lrn(s, s.input("N", 7, 4, 5), 5, 0, 0, pads=(2, 0, 0, 2, 0, 0), count_include_pad=1)
    assert run_pass(s.returns(y), "recognize-lrn").ops == ("lrn",)


def test_lrn_through_reshapes_and_pow() -> None:
    s = Sketch()
    x = s.input("N", 7, 4, 5)
    square = s.op("reshape", s.op("pow", x, s.const(2.0)), s.ints(-1, 1, 7, 4, 5))
    padded = s.op("pad", square, s.ints(0, 0, 1, 0, 0, 0, 0, 1, 0, 0))
    average = s.op("average_pool", padded, kernel_shape=(3, 1, 1), count_include_pad=1)
    average = s.op("reshape", s.op("squeeze", average, s.ints(1)), s.ints(-1, 7, 4, 5))
    line = s.op("add", s.const(1.0), s.op("mul", s.const(1e-2), average))
    y = s.op("div", x, s.op("pow", line, s.const(0.75)))
    assert run_pass(s.returns(y), "recognize-lrn").ops == ("lrn",)


def test_lrn_refuses_even_sizes_and_other_places() -> None:
    s = Sketch()
    y = _lrn(s, s.input(1, 7, 4, 5), 4, 2, 1)
    assert run_pass(s.returns(y), "recognize-lrn").refused("not centred")
    s = Sketch()
    y = _lrn(s, s.input(1, 7, 4, 5), 3, 2, 0)
    assert run_pass(s.returns(y), "recognize-lrn").refused("not centred")
    s = Sketch()
    y = _lrn(s, s.input(1, 7, 4, 5), 3, 1, 1, kernel_axis=1)
    assert run_pass(s.returns(y), "recognize-lrn").refused("not along the channels")


def test_lrn_refuses_a_pool_that_leaves_its_padding_out() -> None:
    s = Sketch()
    y = _lrn(s, s.input(1, 7, 4, 5), 5, 0, 0, pads=(2, 0, 0, 2, 0, 0))
    assert run_pass(s.returns(y), "recognize-lrn").refused("does not count its padding")


def test_lrn_refuses_where_the_square_is_read_elsewhere() -> None:
    s = Sketch()
    y = _lrn(s, s.input(1, 7, 4, 5), 3, 1, 1)
    outcome = run_pass(s.returns(y, s.op("neg", s.graph.value("mul"))), "recognize-lrn")
    assert outcome.refused("also read by neg")


@pytest.mark.parametrize("op", ["mean", "max"])
@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("axes", [(2, 3), (-1, -2)])
def test_global_pool_by_reduction(op: str, keepdims: int, axes: tuple[int, ...]) -> None:
    s = Sketch()
    y = s.op(f"reduce_{op}", s.input("N", 3, 4, "W"), s.ints(*axes), keepdims=keepdims)
    pool = {"mean": "global_average_pool", "max": "global_max_pool"}[op]
    expected = (pool,) if keepdims else (pool, "squeeze")
    assert run_pass(s.returns(y), "recognize-global-pool").ops == expected


@pytest.mark.parametrize("pool", ["average_pool", "max_pool"])
def test_global_pool_by_a_window_of_the_whole_image(pool: str) -> None:
    s = Sketch()
    y = s.op(pool, s.input("N", 3, 7, 6), kernel_shape=(7, 6), strides=(7, 6))
    assert run_pass(s.returns(y), "recognize-global-pool").ops == (f"global_{pool}",)


def test_global_pool_refuses_other_axes_and_windows() -> None:
    s = Sketch()
    y = s.op("reduce_mean", s.input("N", 3, 4, 5), s.ints(1, 2))
    assert run_pass(s.returns(y), "recognize-global-pool").refused("not the spatial axes")
    s = Sketch()
    y = s.op("reduce_mean", s.input("N", 3), s.ints(1))
    assert run_pass(s.returns(y), "recognize-global-pool").refused("spatial axes")
    s = Sketch()
    y = s.op("average_pool", s.input("N", 3, 7, 7), kernel_shape=(6, 7))
    assert not run_pass(s.returns(y), "recognize-global-pool").changed
    s = Sketch()
    y = s.op("max_pool", s.input(2, 3, 7, 7), kernel_shape=(7, 7), outputs=2)
    assert run_pass(s.returns(y), "recognize-global-pool").refused("indices")


def test_global_pool_refuses_computed_axes() -> None:
    s = Sketch()
    y = s.op("reduce_max", s.input(2, 3, 4, 5), keepdims=1)
    assert not run_pass(s.returns(y), "recognize-global-pool").changed
