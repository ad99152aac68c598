"""SAME padding that a model computes from the shape of its input at run time, as exporters write it."""

from __future__ import annotations

import pytest

from cnnc.dims import symbols
from cnnc.ir import Value
from cnnc.types import DType
from tests.passes.sketch import Sketch, run_pass
from tests.passes.test_zoo_patterns import REWRITES


def _total_padding(s: Sketch, x: Value, axis: int, kernel: int, stride: int) -> Value:
    """max((ceil(size / stride) - 1) * stride + kernel - size, 0) as an int64 scalar."""
    size = s.op("gather", s.op("shape", x), s.const(axis, dtype="int64"), axis=0)
    ratio = s.op("div", s.op("cast", size, to=DType.F32), s.const(float(stride)))
    count = s.op("cast", s.op("ceil", ratio), to=DType.I64)
    reach = s.op("mul", s.op("sub", count, s.const(1, dtype="int64")), s.const(stride, dtype="int64"))
    total = s.op("sub", s.op("add", reach, s.const(kernel, dtype="int64")), size)
    return s.op("clip", total, s.const(0, dtype="int64"))


def _pads(s: Sketch, x: Value, kernel: int, stride: int) -> Value:
    """[0, 0, top, left, 0, 0, bottom, right], put together the way TorchScript does: reversed pairs, transposed."""
    pairs: list[Value] = []
    for axis in (3, 2):
        total = _total_padding(s, x, axis, kernel, stride)
        before = s.op("div", total, s.const(2, dtype="int64"))
        pairs += [before, s.op("sub", total, before)]
    listed = s.op("concat", *(s.op("unsqueeze", value, s.ints(0)) for value in pairs), axis=0)
    rest = s.op("constant_of_shape", s.op("sub", s.ints(8), s.op("shape", listed)), value=0, dtype=DType.I64)
    rows = s.op("reshape", s.op("concat", listed, rest, axis=0), s.ints(-1, 2))
    turned = s.op("slice", rows, s.ints(-1), s.ints(-(2**63) + 1), s.ints(0), s.ints(-1))
    return s.op("cast", s.op("reshape", s.op("transpose", turned, perm=(1, 0)), s.ints(-1)), to=DType.I64)


@pytest.mark.parametrize("size", [(7, 7), (8, 7), (9, 12)])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 2), (2, 2), (1, 2)])
def test_folds_into_the_conv_where_the_image_size_is_known(size: tuple[int, int], kernel: int, stride: int) -> None:
    s = Sketch()
    x = s.input("N", 2, *size)
    padded = s.op("pad", x, _pads(s, x, kernel, stride), s.const(0.0))
    y = s.op("conv", padded, s.normal(3, 2, kernel, kernel), strides=(stride, stride))
    outcome = run_pass(s.returns(y), REWRITES)
    assert outcome.ops == ("conv",)
    assert y.type.shape[2:] == tuple(-(-extent // stride) for extent in size)


def test_folds_into_the_pool_behind_a_relu() -> None:
    s = Sketch()
    x = s.op("relu", s.input("N", 2, 7, 8))
    y = s.op("max_pool", s.op("pad", x, _pads(s, x, 3, 2)), kernel_shape=(3, 3), strides=(2, 2))
    assert run_pass(s.returns(y), REWRITES).ops == ("relu", "max_pool")


def test_symbolic_image_sizes_stay_a_pad_at_run_time() -> None:
    """Kernels take padding as numbers, so the pad is left, and says so; results stay."""
    s = Sketch()
    x = s.input(1, 2, "H", "W")
    y = s.op("conv", s.op("pad", x, _pads(s, x, 3, 2), s.const(0.0)), s.normal(3, 2, 3, 3), strides=(2, 2))
    outcome = run_pass(s.returns(y), REWRITES)
    assert outcome.count("pad") == outcome.count("conv") == 1
    assert any("not known before run time" in reason for reason in outcome.reasons)


def test_symbolic_padding_in_integers_is_known_as_an_expression() -> None:
    """ceil(H / 2) as (H + 1) // 2, and pads without a detour through a matrix: sizes are expressions throughout."""
    s = Sketch()
    x = s.input(1, 2, "H", 8)
    size = s.op("slice", s.op("shape", x), s.ints(2), s.ints(3), s.ints(0))
    count = s.op("div", s.op("add", size, s.ints(1)), s.ints(2))
    total = s.op("sub", s.op("add", s.op("mul", s.op("sub", count, s.ints(1)), s.ints(2)), s.ints(3)), size)
    total = s.op("clip", total, s.const(0, dtype="int64"))
    pads = s.op("concat", s.ints(0, 0, 0, 0, 0, 0), total, s.ints(1), axis=0)
    y = s.op("conv", s.op("pad", x, pads), s.normal(3, 2, 3, 3), strides=(2, 2))
    assert {name for dim in y.type.shape for name in symbols(dim)} == {"H"}
    assert run_pass(s.returns(y), REWRITES).ops == ("dims", "pad", "conv")
