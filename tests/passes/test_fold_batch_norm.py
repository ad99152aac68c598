"""fold-batch-norm and lower-batch-norm."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cnnc import interp
from cnnc.ir.clone import clone_graph
from tests.passes.sketch import Sketch, run_pass


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(
    ("op", "weights", "attrs"),
    [
        ("conv", (6, 4, 3, 3), {"pads": (1, 1, 0, 2), "strides": (2, 1)}),
        ("conv", (6, 2, 3, 1), {"group": 2}),
        ("conv", (8, 1, 3, 3), {"group": 4, "dilations": (2, 2), "auto_pad": "SAME_UPPER"}),
        ("conv_transpose", (4, 3, 2, 2), {"strides": (2, 2)}),
        ("conv_transpose", (4, 3, 3, 3), {"group": 2, "pads": (1, 1, 1, 1), "output_padding": (0, 0)}),
    ],
)
def test_folds_into_the_layer_before(op: str, weights: tuple[int, ...], attrs: dict[str, Any], bias: bool) -> None:
    s = Sketch()
    out_channels = weights[0] if op == "conv" else weights[1] * attrs.get("group", 1)
    b = s.normal(out_channels, name="b") if bias else None
    y = s.op(op, s.input("N", 4, 9, 7), s.normal(*weights), b, **attrs)
    assert run_pass(s.returns(s.batch_norm(y)), "fold-batch-norm").ops == (op,)


@pytest.mark.parametrize("trans_b", [0, 1])
@pytest.mark.parametrize("c", [None, (5,), (1, 5), (), (1,)])
def test_folds_into_gemm_before_and_behind(trans_b: int, c: tuple[int, ...] | None) -> None:
    s = Sketch()
    x = s.batch_norm(s.input("N", 3), "first")
    w = s.normal(*((5, 3) if trans_b else (3, 5)))
    y = s.op("gemm", x, w, None if c is None else s.normal(*c), alpha=0.5, beta=3.0, transB=trans_b)
    assert run_pass(s.returns(s.batch_norm(y)), "fold-batch-norm").ops == ("gemm",)


@pytest.mark.parametrize(("group", "bias"), [(1, True), (2, False)])
def test_folds_into_an_unpadded_conv_behind(group: int, bias: bool) -> None:
    s = Sketch()
    x = s.batch_norm(s.input(2, 4, 7, 7))
    y = s.op("conv", x, s.normal(6, 4 // group, 3, 3), s.normal(6) if bias else None, group=group)
    assert run_pass(s.returns(y), "fold-batch-norm").ops == ("conv",)


def test_folds_into_a_padded_conv_behind_only_without_shift() -> None:
    def graph(beta: float) -> Sketch:
        s = Sketch()
        zero, one = s.const([0.0] * 4), s.positive(4)
        shift = s.const([0.0, beta, 0.0, 0.0])
        x = s.op("batch_normalization", s.input(2, 4, 7, 7), s.normal(4), shift, zero, one)
        return s.returns(s.op("conv", x, s.normal(6, 4, 3, 3), pads=(1, 1, 1, 1)))

    assert run_pass(graph(0.0), "fold-batch-norm").ops == ("conv",)
    assert run_pass(graph(0.5), "fold-batch-norm").refused("pads its input with zeros")


def test_a_conv_transpose_behind_takes_a_scale_but_no_shift() -> None:
    def graph(beta: float) -> Sketch:
        s = Sketch()
        zero, shift = s.const([0.0] * 4), s.const([0.0, beta, 0.0, 0.0])
        x = s.op("batch_normalization", s.input(2, 4, 7, 7), s.normal(4), shift, zero, s.positive(4))
        return s.returns(s.op("conv_transpose", x, s.normal(4, 3, 2, 2), strides=(2, 2), group=2))

    assert run_pass(graph(0.0), "fold-batch-norm").ops == ("conv_transpose",)
    assert run_pass(graph(0.5), "fold-batch-norm").refused("conv_transpose", "not constant over its output")


def test_refuses_when_the_conv_is_read_elsewhere() -> None:
    s = Sketch()
    y = s.op("conv", s.input(1, 2, 5, 5), s.normal(3, 2, 3, 3))
    outcome = run_pass(s.returns(s.batch_norm(y), s.op("relu", y)), "fold-batch-norm")
    assert outcome.refused("also read by relu")


def test_refuses_when_the_conv_is_a_graph_output() -> None:
    s = Sketch()
    y = s.op("conv", s.input(1, 2, 5, 5), s.normal(3, 2, 3, 3))
    assert run_pass(s.returns(s.batch_norm(y), y), "fold-batch-norm").refused("graph output")


def test_refuses_computed_weights() -> None:
    s = Sketch()
    y = s.op("conv", s.input(1, 2, 5, 5), s.input(3, 2, 3, 3, name="w"))
    assert run_pass(s.returns(s.batch_norm(y)), "fold-batch-norm").refused("weights %w", "not constant")


def test_refuses_a_computed_bias() -> None:
    s = Sketch()
    y = s.op("conv", s.input(1, 2, 5, 5), s.normal(3, 2, 3, 3), s.input(3, name="b"))
    assert run_pass(s.returns(s.batch_norm(y)), "fold-batch-norm").refused("bias %b", "not constant")


def test_refuses_weights_that_would_overflow() -> None:
    s = Sketch()
    y = s.op("conv", s.input(1, 1, 5, 5), s.const(np.full((1, 1, 1, 1), 1e30)))
    huge, zero = s.const([1e30]), s.const([0.0])
    y = s.op("batch_normalization", y, huge, zero, zero, s.const([1.0]))
    assert run_pass(s.returns(y), "fold-batch-norm").refused("overflow f32")


def test_training_mode_stays() -> None:
    s = Sketch()
    y = s.op("conv", s.input(2, 2, 5, 5), s.normal(3, 2, 3, 3))
    outcome = run_pass(s.returns(s.batch_norm(y, training_mode=1)), "fold-batch-norm,lower-batch-norm")
    assert outcome.refused("training_mode=1")
    assert outcome.ops == ("conv", "batch_normalization")


def test_rounds_once() -> None:
    """The folded conv is as close to float64 as any float32 weights can be: half a step of each weight."""
    s = Sketch(3)
    w = s.normal(8, 8, 1, 1)
    s.returns(s.batch_norm(s.op("conv", s.input(1, 8, 1, 1), w)))
    original = clone_graph(s.graph)
    run_pass(s, "fold-batch-norm")
    folded = next(iter(s.graph.nodes)).input(1).array
    assert folded is not None and w.array is not None
    eye = np.eye(8).reshape(8, 8, 1, 1)
    exact = np.stack([interp.run(original, {"x": row[None]}, float64=True)["y0"][0, :, 0, 0] for row in eye])
    base = interp.run(original, {"x": np.zeros((1, 8, 1, 1))}, float64=True)["y0"][0, :, 0, 0]
    assert np.abs((exact - base).T - folded[:, :, 0, 0]).max() <= np.spacing(np.abs(folded).max()) / 2 * 1.01


def test_lowering_leaves_no_batch_norm() -> None:
    s = Sketch()
    x = s.op("relu", s.batch_norm(s.input("N", 4, 5, 5)))
    y = s.op("conv", x, s.normal(3, 4, 3, 3), pads=(1, 1, 1, 1))
    outcome = run_pass(s.returns(s.op("relu", s.batch_norm(y))), "fold-batch-norm,lower-batch-norm")
    assert outcome.ops == ("scale_shift", "relu", "conv", "relu")


def test_lowering_refuses_computed_statistics() -> None:
    s = Sketch()
    y = s.op("batch_normalization", s.input(2, 3, 4), s.normal(3), s.normal(3), s.input(3, name="m"), s.positive(3))
    outcome = run_pass(s.returns(y), "lower-batch-norm")
    assert not outcome.changed
    assert outcome.ops == ("batch_normalization",)
