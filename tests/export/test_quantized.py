"""Quantized ops: ONNX's own are bit-exact in onnxruntime, the others within one step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cnnc import interp
from cnnc.errors import UnsupportedError
from cnnc.export import export_graph
from cnnc.ir import Value
from cnnc.sample_inputs import sample_inputs
from cnnc.types import DType
from tests.export.judged import exported, run_onnxruntime
from tests.passes.sketch import Sketch


class Quantized(Sketch):
    """Shortcuts for quantized operands."""

    def stored(self, *shape: int | str, name: str = "x", scale: float = 0.05, zero: int = 3) -> list[Value]:
        """An input with its scale and zero point."""
        return [self.input(*shape, name=name, dtype=DType.U8), self.const([scale]), self.const(zero, dtype="uint8")]

    def bytes(self, *shape: int, dtype: str = "int8") -> Value:
        limits = np.iinfo(dtype)
        return self.graph.add_constant(self._random.integers(limits.min, limits.max + 1, shape).astype(dtype), "w")

    def result(self, scale: float, zero: int = 100) -> list[Value]:
        return [self.const(scale), self.const(zero, dtype="uint8")]


def check(sketch: Sketch, y: Value, *op_types: str, steps: int = 1) -> None:
    graph = sketch.returns(y).graph
    model = exported(graph)
    assert [node.op_type for node in model.graph.node if node.op_type != "DequantizeLinear"] == list(op_types)
    assert all(not entry.domain for entry in model.opset_import)
    feeds = sample_inputs(graph)
    ours, theirs = interp.run(graph, feeds)["y0"], run_onnxruntime(model, feeds)["y0"]
    assert ours.dtype == theirs.dtype
    assert np.abs(ours.astype(np.int64) - theirs.astype(np.int64)).max() <= steps


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("zero_points", [False, True])
def test_conv_of_bytes_is_q_linear_conv(per_channel: bool, zero_points: bool) -> None:
    sketch = Quantized()
    x, scale, zero = sketch.stored("N", 4, 6, 5)
    w_scale = sketch.const(np.linspace(0.01, 0.02, 6)) if per_channel else sketch.const(0.02)
    weights = [sketch.bytes(6, 2, 3, 3), w_scale, sketch.const(0, dtype="int8") if zero_points else None]
    bias = sketch.const(np.arange(6) * 900, dtype="int32")
    operands = [x, scale, zero if zero_points else None, *weights, *sketch.result(0.3), bias]
    check(sketch, sketch.op("q_linear_conv", *operands, group=2, pads=(1, 1, 1, 1)), "QLinearConv", steps=0)


@pytest.mark.parametrize("bias", [False, True])
def test_conv_of_16_bits_is_dequantized(bias: bool) -> None:
    sketch = Quantized()
    x = sketch.input("N", 4, 6, 5, dtype=DType.U16)
    weights = [sketch.bytes(6, 4, 3, 3), sketch.const(np.linspace(0.01, 0.02, 6)), sketch.const([0] * 6, dtype="int8")]
    stored = sketch.const(np.arange(6) * 900, dtype="int32") if bias else None
    zero = sketch.const(32000, dtype="uint16")
    operands = [x, sketch.const(0.02), sketch.const(3, dtype="uint16"), *weights, sketch.const(1e-4), zero, stored]
    check(sketch, sketch.op("q_linear_conv", *operands), "Conv", "QuantizeLinear")


@pytest.mark.parametrize("per_column", [False, True])
@pytest.mark.parametrize("attrs", [{}, {"alpha": 0.5, "transB": 1}])
def test_gemm(per_column: bool, attrs: dict[str, Any]) -> None:
    sketch = Quantized()
    a = sketch.stored("M", 7)
    b_scale = sketch.const(np.linspace(0.01, 0.02, 5)) if per_column else sketch.const(0.02)
    b_zero = sketch.const([0] * 5 if per_column else 0, dtype="int8")
    b = [sketch.bytes(5, 7) if attrs else sketch.bytes(7, 5), b_scale, b_zero]
    c = sketch.const(np.arange(5) * 300, dtype="int32")
    y = sketch.op("q_linear_gemm", *a, *b, c, *sketch.result(0.2), **attrs)
    check(sketch, y, "Gemm", "QuantizeLinear")


@pytest.mark.parametrize(("op", "op_type"), [("q_linear_add", "Add"), ("q_linear_mul", "Mul")])
@pytest.mark.parametrize("zero_point", [True, False])
def test_binary(op: str, op_type: str, zero_point: bool) -> None:
    sketch = Quantized()
    a, b = sketch.stored("N", 3, 4, name="a"), sketch.stored("N", 3, 1, name="b", scale=0.08, zero=90)
    scale, zero = sketch.result(0.15)
    check(sketch, sketch.op(op, *a, *b, scale, zero if zero_point else None), op_type, "QuantizeLinear")


def test_concat() -> None:
    sketch = Quantized()
    a, b = sketch.stored("N", 3, 4, name="a"), sketch.stored("N", 2, 4, name="b", scale=0.08, zero=90)
    check(sketch, sketch.op("q_linear_concat", *sketch.result(0.1), *a, *b, axis=1), "Concat", "QuantizeLinear")


@pytest.mark.parametrize(
    ("op", "attrs", "op_types"),
    [
        ("requantize", {}, ()),
        ("q_linear_sigmoid", {}, ("Sigmoid",)),
        ("q_linear_leaky_relu", {"alpha": 0.2}, ("LeakyRelu",)),
        ("q_linear_leaky_relu", {}, ("LeakyRelu",)),
        ("q_linear_global_average_pool", {}, ("GlobalAveragePool",)),
        ("q_linear_global_average_pool", {"channels_last": 1}, ("ReduceMean",)),
        ("q_linear_average_pool", {"kernel_shape": (2, 3), "pads": (1, 0, 0, 1)}, ("AveragePool",)),
        ("q_linear_average_pool", {"kernel_shape": (1, 1), "strides": (4, 3), "ceil_mode": 1}, ("AveragePool",)),
        (
            "q_linear_average_pool",
            {"kernel_shape": (2, 3), "strides": (2, 1), "channels_last": 1},
            ("Transpose", "AveragePool", "Transpose"),
        ),
    ],
)
def test_unary(op: str, attrs: dict[str, Any], op_types: tuple[str, ...]) -> None:
    sketch = Quantized()
    y = sketch.op(op, *sketch.stored("N", 4, 6, 5, scale=0.02, zero=100), *sketch.result(0.01, 20), **attrs)
    check(sketch, y, *op_types, "QuantizeLinear")


def test_a_bias_in_steps_of_a_computed_scale_is_refused() -> None:
    sketch = Quantized()
    a, b = sketch.stored(2, 7), [sketch.bytes(7, 5), sketch.input(name="scale"), sketch.const(0, dtype="int8")]
    c = sketch.const(np.arange(5), dtype="int32")
    sketch.returns(sketch.op("q_linear_gemm", *a, *b, c, *sketch.result(0.2), name="fc"))
    with pytest.raises(UnsupportedError) as caught:
        export_graph(sketch.graph)
    assert "q_linear_gemm node 'fc'" in str(caught.value) and "scales are computed" in str(caught.value)


def test_a_bias_that_does_not_go_with_the_scales_is_refused() -> None:
    sketch = Quantized()
    scales = sketch.const(np.linspace(0.01, 0.02, 5))
    b = [sketch.bytes(7, 5), scales, sketch.const([0] * 5, dtype="int8")]
    c = sketch.const([[1], [2]], dtype="int32")
    sketch.returns(sketch.op("q_linear_gemm", *sketch.stored(2, 7), *b, c, *sketch.result(0.2)))
    with pytest.raises(UnsupportedError) as caught:
        export_graph(sketch.graph)
    assert "not one element for each of its 5 scales" in str(caught.value)


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_a_lookup_gathers_from_its_table(dtype: str) -> None:
    sketch = Quantized()
    x = sketch.input("N", 3, 256, dtype=DType.U8 if dtype == "uint8" else DType.I8)
    table = sketch.const(np.random.default_rng(0).permutation(256).astype(np.uint8), dtype="uint8")
    check(sketch, sketch.op("lookup", x, table), "Cast", "Gather", steps=0)
