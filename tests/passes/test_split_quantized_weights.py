"""split-quantized-weights: equal integers from weights that fit int8."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cnnc.ir import Value
from cnnc.types import DType
from tests.passes.sketch import Outcome, Sketch, run_pass

PASS = "split-quantized-weights"


def layer(
    op: str,
    shape: tuple[int, ...],
    zero: Any,
    *,
    dtype: type = np.uint8,
    per_output: int | None = None,
    channels: int = 3,
    **attrs: Any,
) -> Outcome:
    """One layer whose weights hold every byte in turn; ``per_output`` gives the axis of as many zero points."""
    s = Sketch()
    limits = np.iinfo(dtype)
    # Both ends first: small weights have them too.
    w = (np.arange(np.prod(shape)) * 255 % 256 + limits.min).reshape(shape).astype(dtype)
    x = s.input(*((2, channels, 5, 4) if op == "q_linear_conv" else ("N", 9)), dtype=DType.U8)
    zeros = np.array(zero, dtype) if per_output is None else np.full(shape[per_output], zero, dtype)
    scales = np.full(zeros.shape, 0.01, np.float32)
    triple = [s.const(w, "w", w.dtype.name), s.const(scales), s.const(zeros, "zeros", w.dtype.name)]
    pair = [s.const(0.3), s.const(9, dtype="uint8")]
    operands: list[Value | None] = [x, s.const(0.02), s.const(7, dtype="uint8"), *triple]
    operands += [None, *pair] if op == "q_linear_gemm" else pair
    return run_pass(s.returns(s.op(op, *operands, **attrs)), PASS)


@pytest.mark.parametrize("zero", [0, 1, 100, 127, 129, 255])
@pytest.mark.parametrize("per_output", [False, True])
@pytest.mark.parametrize(
    ("op", "shape", "axis", "attrs"),
    [
        ("q_linear_conv", (6, 3, 3, 2), 0, {"pads": (1, 0, 1, 1)}),
        ("q_linear_gemm", (9, 31), 1, {}),
        ("q_linear_gemm", (31, 9), 0, {"transB": 1}),
        ("q_linear_matmul", (9, 31), 1, {}),
    ],
)
def test_weights_are_split(op: str, shape: tuple[int, ...], axis: int, attrs: Any, per_output: bool, zero: int) -> None:
    outcome = layer(op, shape, zero, per_output=axis if per_output else None, **attrs)
    assert outcome.ops == ("concat", op)
    concat, product = outcome.graph.nodes
    assert product.input(3).type.dtype is DType.I8
    assert len(concat.inputs) == (3 if zero == 0 else 2)


def test_int8_weights_with_a_zero_point_are_split() -> None:
    assert layer("q_linear_conv", (6, 3, 3, 2), -5, dtype=np.int8).ops == ("concat", "q_linear_conv")


@pytest.mark.parametrize(("dtype", "zero"), [(np.uint8, 128), (np.int8, 0)])
def test_weights_that_fit_stay(dtype: type, zero: int) -> None:
    assert not layer("q_linear_conv", (6, 3, 3, 2), zero, dtype=dtype).changed


@pytest.mark.parametrize(("shape", "group"), [((6, 1, 3, 4), 3), ((4, 2, 3, 3), 2)])
@pytest.mark.parametrize("zero", [0, 100])
def test_copies_of_the_channels_of_groups_lie_together(shape: tuple[int, ...], group: int, zero: int) -> None:
    outcome = layer("q_linear_conv", shape, zero, channels=shape[1] * group, group=group, pads=(1, 2, 1, 2))
    assert outcome.ops == ("concat", "channel_shuffle", "q_linear_conv")


def test_a_transposed_first_matrix_stays() -> None:
    s = Sketch()
    x, w = s.input(9, 4, dtype=DType.U8), s.const(np.full((9, 3), 255), "w", "uint8")
    scale, zero = s.const(0.1), s.const(3, dtype="uint8")
    y = s.op("q_linear_gemm", x, scale, zero, w, scale, zero, None, scale, zero, transA=1)
    assert run_pass(s.returns(y), PASS).refused("no product with a matrix of weights")
