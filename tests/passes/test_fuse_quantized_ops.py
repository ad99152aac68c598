"""fuse-quantized-ops: the integer op returns what the float op between dequantize and quantize returns in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cnnc import interp
from cnnc.ir import Value, clone_graph
from cnnc.types import DType
from tests.passes.sketch import Outcome, Sketch, run_pass

PASS = "fuse-quantized-ops"


class QuantizedSketch(Sketch):
    """Sketches in which every activation is a u8 behind its own odd scale."""

    def stored(self, *shape: int | str, name: str = "x", scale: float = 0.0371, zero: int = 117) -> Value:
        return self.dequantize(self.input(*shape, name=name, dtype=DType.U8), scale, zero)

    def dequantize(self, x: Value, scale: float = 0.0371, zero: int = 117, dtype: str = "uint8") -> Value:
        return self.op("dequantize_linear", x, self.const(scale), self.const(zero, dtype=dtype))

    def quantize(self, x: Value, scale: float = 0.0473, zero: int = 90, dtype: str = "uint8") -> Value:
        return self.op("quantize_linear", x, self.const(scale), self.const(zero, dtype=dtype))

    def weights(self, *shape: int, axis: int | None = None) -> tuple[Value, np.ndarray]:
        """Dequantized i8 weights and their scales, one in all or one for each index of ``axis``."""
        array = self._random.integers(-127, 128, shape).astype(np.int8)
        scales = self._random.uniform(0.003, 0.009, () if axis is None else shape[axis]).astype(np.float32)
        zeros = self.const(np.zeros(scales.shape), "zeros", "int8")
        made = self.op(
            "dequantize_linear",
            self.const(array, "w", "int8"),
            self.const(scales),
            zeros,
            axis=0 if axis is None else axis,
        )
        return made, scales

    def bias(self, size: int, steps: Any) -> Value:
        array = self.const(self._random.integers(-5000, 5000, size), "bias", "int32")
        return self.op("dequantize_linear", array, self.const(np.float32(steps)), axis=0)


def fused(sketch: Sketch) -> Outcome:
    """Run the pass; the graph before in float64 and the one after in either dtype must give equal integers."""
    before = clone_graph(sketch.graph)
    rng = np.random.default_rng(7)
    feeds = {
        value.name: rng.integers(0, 256, [2 if not isinstance(n, int) else n for n in value.type.shape]).astype(
            np.uint8
        )
        for value in before.inputs
    }
    outcome = run_pass(sketch, PASS)
    truth = interp.run(before, feeds, float64=True)
    for float64 in (True, False):
        for name, array in interp.run(outcome.graph, feeds, float64=float64).items():
            np.testing.assert_array_equal(array, truth[name])
    return outcome


@pytest.mark.parametrize("axis", [None, 0])
@pytest.mark.parametrize("group", [1, 4])
@pytest.mark.parametrize("biased", [False, True])
def test_conv(axis: int | None, group: int, biased: bool) -> None:
    s = QuantizedSketch()
    w, scales = s.weights(8, 4 // group, 3, 3, axis=axis)
    bias = s.bias(8, np.float32(0.0371) * scales) if biased else None
    y = s.op("conv", s.stored("N", 4, 7, 5), w, bias, group=group, pads=(1, 0, 1, 2), strides=(2, 1))
    assert fused(s.returns(s.quantize(y))).ops == ("q_linear_conv",)


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("group", [1, 2])
@pytest.mark.parametrize(
    ("size", "kernel", "attrs"),
    [
        ((5,), (3,), {"strides": (2,)}),
        ((5, 4), (2, 2), {"strides": (2, 2)}),
        ((5, 4), (4, 3), {"strides": (2, 3), "pads": (1, 2, 1, 0), "output_padding": (1, 2)}),
        ((5, 4), (3, 3), {"strides": (3, 1), "dilations": (2, 3), "pads": (4, 0, 1, 3)}),
        ((5, 4), (2, 1), {"strides": (3, 2), "pads": (0, 0, 2, 0)}),
        ((5, 4), (3, 3), {"pads": (1, 1, 1, 1)}),
        ((3, 4), (3, 3), {"strides": (2, 2), "output_shape": (6, 8), "auto_pad": "SAME_UPPER"}),
        ((3, 2, 4), (2, 3, 2), {"strides": (2, 1, 2), "pads": (1, 0, 0, 0, 1, 1)}),
    ],
)
def test_conv_transpose(size: Any, kernel: Any, attrs: dict[str, Any], group: int, per_channel: bool) -> None:
    s = QuantizedSketch()
    w, scales = s.weights(4, 6 // group, *kernel, axis=1 if per_channel else None)
    steps = np.tile(scales.reshape(-1), group if per_channel else 1) * np.float32(0.0371)
    y = s.op("conv_transpose", s.stored("N", 4, *size), w, s.bias(6, steps), group=group, **attrs)
    ops = fused(s.returns(s.quantize(y))).ops
    assert ops[0] == "q_linear_conv" and set(ops[1:]) <= {"reshape", "transpose", "slice"}


def test_a_conv_transpose_of_unknown_size_stays() -> None:
    s = QuantizedSketch()
    y = s.op("conv_transpose", s.stored("N", 4, "H", 5), s.weights(4, 6, 2, 2)[0])
    assert run_pass(s.returns(s.quantize(y)), PASS).refused("not known before run time")


@pytest.mark.parametrize("trans", [0, 1])
@pytest.mark.parametrize("per_column", [False, True])
def test_gemm(trans: int, per_column: bool) -> None:
    s = QuantizedSketch()
    w, scales = s.weights(*((5, 9) if trans else (9, 5)), axis=(1 - trans) if per_column else None)
    bias = s.bias(5, np.float32(0.0371) * scales)
    y = s.op("gemm", s.stored("N", 9), w, bias, transB=trans)
    assert fused(s.returns(s.quantize(y))).ops == ("q_linear_gemm",)


@pytest.mark.parametrize("axis", [None, 1])
def test_matmul(axis: int | None) -> None:
    s = QuantizedSketch()
    y = s.op("matmul", s.stored("N", 3, 9), s.weights(9, 5, axis=axis)[0])
    assert fused(s.returns(s.quantize(y))).ops == ("q_linear_matmul",)


@pytest.mark.parametrize("op", ["add", "mul"])
def test_binary(op: str) -> None:
    s = QuantizedSketch()
    y = s.op(op, s.stored("N", 3, 5, 5), s.stored(3, 1, 5, name="b", scale=0.0213, zero=3))
    assert fused(s.returns(s.quantize(y))).ops == (f"q_linear_{op}",)


@pytest.mark.parametrize("zero", [90, 91])
def test_ties_of_a_sum_round_to_even_before_the_zero_point_is_added(zero: int) -> None:
    s = QuantizedSketch()
    y = s.op("add", s.stored("N", 99), s.stored("N", 99, name="b"))
    assert fused(s.returns(s.quantize(y, 0.0742, zero))).ops == ("q_linear_add",)


@pytest.mark.parametrize(
    ("op", "attrs"),
    [
        ("average_pool", {"kernel_shape": (2, 2), "pads": (1, 0, 1, 0)}),
        ("average_pool", {"kernel_shape": (3, 2), "count_include_pad": 1, "pads": (1, 1, 1, 1)}),
        ("global_average_pool", {}),
        ("leaky_relu", {"alpha": 0.1}),
        ("sigmoid", {}),
    ],
)
def test_unary(op: str, attrs: dict[str, Any]) -> None:
    s = QuantizedSketch()
    y = s.op(op, s.stored("N", 3, 6, 4), **attrs)
    assert fused(s.returns(s.quantize(y, 0.0371 if "pool" in op else 0.0473))).ops == (f"q_linear_{op}",)


@pytest.mark.parametrize("op", ["hard_swish", "elu", "tanh", "silu", "prelu", "hard_swish_in_parts"])
@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_functions_of_one_tensor_become_a_table(op: str, dtype: str) -> None:
    s = QuantizedSketch()
    stored = s.input("N", 256, dtype=DType.U8 if dtype == "uint8" else DType.I8)
    x = s.dequantize(stored, 0.0371, 90, dtype)
    made = {
        "silu": lambda: s.op("mul", x, s.op("sigmoid", x)),
        "prelu": lambda: s.op("prelu", x, s.const([[0.3]])),
        "hard_swish_in_parts": lambda: s.op(
            "div", s.op("mul", x, s.op("clip", s.op("add", x, s.const(3.0)), s.const(0.0), s.const(6.0))), s.const(6.0)
        ),
    }
    y = made[op]() if op in made else s.op(op, x)
    s.returns(s.quantize(y, 0.03, 20, dtype))
    before = clone_graph(s.graph)
    outcome = run_pass(s, PASS)
    assert outcome.ops == ("lookup",)
    feeds = {"x": np.arange(512).astype(np.uint8).view(dtype).reshape(2, 256)}
    [expected], [got] = (interp.run(graph, feeds).values() for graph in (before, outcome.graph))
    np.testing.assert_array_equal(got, expected)


def test_a_function_of_two_tensors_is_no_table() -> None:
    s = QuantizedSketch()
    y = s.op("mul", s.stored("N", 9), s.op("tanh", s.stored("N", 9, name="b")))
    assert run_pass(s.returns(s.quantize(y)), PASS).refused("second tensor")


def test_a_function_that_is_read_elsewhere_stays() -> None:
    s = QuantizedSketch()
    inner = s.op("tanh", s.stored("N", 9))
    s.returns(s.quantize(s.op("elu", inner)), s.op("neg", inner))
    assert run_pass(s, PASS).refused("read elsewhere")


@pytest.mark.parametrize(("keepdims", "ops"), [(1, ()), (0, ("squeeze",))])
def test_a_spatial_mean(keepdims: int, ops: tuple[str, ...]) -> None:
    s = QuantizedSketch()
    y = s.op("reduce_mean", s.stored("N", 3, 6, 5), s.ints(-1, 2), keepdims=keepdims)
    assert fused(s.returns(s.quantize(y))).ops == ("q_linear_global_average_pool", *ops)


def test_a_mean_over_channels_stays() -> None:
    s = QuantizedSketch()
    y = s.op("reduce_mean", s.stored("N", 3, 6, 5), s.ints(1), keepdims=0)
    assert run_pass(s.returns(s.quantize(y)), PASS).refused("spatial axes")


def test_concat_requantizes_each_piece() -> None:
    s = QuantizedSketch()
    y = s.op("concat", s.stored("N", 3, 4), s.stored("N", 2, 4, name="b", scale=0.0473, zero=90), axis=1)
    assert fused(s.returns(s.quantize(y))).ops == ("q_linear_concat",)


@pytest.mark.parametrize(("zero", "ops"), [(0, ()), (90, ("clip",))])
def test_relu_is_a_bound_of_the_stored_range(zero: int, ops: tuple[str, ...]) -> None:
    s = QuantizedSketch()
    y = s.op("relu", s.op("conv", s.stored("N", 4, 7, 5), s.weights(8, 4, 1, 1)[0]))
    assert fused(s.returns(s.quantize(y, zero=zero))).ops == ("q_linear_conv", *ops)


@pytest.mark.parametrize(("high", "ops"), [(0.5, ("clip",)), (6.0, ())])
def test_clip_outside_the_stored_range_goes(high: float, ops: tuple[str, ...]) -> None:
    s = QuantizedSketch()
    y = s.op("conv", s.stored("N", 4, 7, 5), s.weights(8, 4, 1, 1)[0])
    y = s.op("clip", y, s.const(0.0), s.const(high))
    assert fused(s.returns(s.quantize(y, 6 / 255, 0))).ops == ("q_linear_conv", *ops)


def test_moves_between_work_on_integers() -> None:
    s = QuantizedSketch()
    y = s.op("concat", s.stored("N", 2, 4, 4), s.stored("N", 2, 4, 4, name="b"), axis=1)
    y = s.op("reshape", y, s.ints(-1, 2, 2, 4, 4))
    y = s.op("transpose", y, perm=(0, 2, 1, 3, 4))
    y = s.op("max_pool", s.op("reshape", y, s.ints(-1, 4, 4, 4)), kernel_shape=(2, 2), pads=(1, 1, 0, 0))
    outcome = fused(s.returns(s.quantize(y)))
    assert outcome.ops == ("q_linear_concat", "reshape", "transpose", "reshape", "max_pool")


def test_a_flatten_in_front_of_the_classifier_works_on_integers() -> None:
    s = QuantizedSketch()
    y = s.op("gemm", s.op("flatten", s.stored("N", 3, 2, 2)), s.weights(12, 5)[0])
    assert fused(s.returns(s.quantize(y))).ops == ("flatten", "q_linear_gemm")


def test_a_global_maximum_stays_as_it_takes_no_bytes() -> None:
    s = QuantizedSketch()
    y = s.quantize(s.op("global_max_pool", s.stored("N", 3, 4, 5)))
    assert fused(s.returns(y)).ops == ("dequantize_linear", "global_max_pool", "quantize_linear")


def test_split_halves_are_quantized_already() -> None:
    s = QuantizedSketch()
    x = s.stored("N", 4, 3)
    node = s.graph.add_node("split", [x, s.ints(2, 2)], _split(), outputs=2, names=["left", "right"], loc=("split",))
    left, right = (s.op("bitwise_not", s.quantize(value, 0.0371, 117)) for value in node.outputs)
    assert fused(s.returns(left, right)).ops == ("split", "bitwise_not", "bitwise_not")


def _split() -> Any:
    from cnnc.ops import OPS

    return OPS["split"].attrs(axis=1)


@pytest.mark.parametrize(
    ("scale", "zero", "ops"),
    [(0.0371, 117, ("flatten",)), (0.05, 117, ("flatten", "requantize")), (0.0371, 3, ("flatten", "requantize"))],
)
def test_a_pair_goes_if_scale_and_zero_point_agree(scale: float, zero: int, ops: tuple[str, ...]) -> None:
    s = QuantizedSketch()
    y = s.op("flatten", s.stored("N", 4, 3))
    assert fused(s.returns(s.op("bitwise_not", s.quantize(y, scale, zero)))).ops == (*ops, "bitwise_not")


def test_a_float_result_that_is_read_elsewhere_stays_float() -> None:
    s = QuantizedSketch()
    y = s.op("conv", s.stored("N", 4, 7, 5), s.weights(8, 4, 1, 1)[0])
    assert run_pass(s.returns(s.quantize(y), s.op("tanh", y)), PASS).refused("also read by")
    s = QuantizedSketch()
    y = s.op("conv", s.stored("N", 4, 7, 5), s.weights(8, 4, 1, 1)[0])
    assert run_pass(s.returns(s.quantize(y), y), PASS).refused("graph output")


def test_operands_that_are_not_quantized_stay() -> None:
    s = QuantizedSketch()
    y = s.op("conv", s.stored("N", 4, 7, 5), s.normal(8, 4, 1, 1))
    assert run_pass(s.returns(s.quantize(y)), PASS).refused("no dequantized tensor")


@pytest.mark.parametrize("axis", [None, 0])
def test_a_bias_of_floats_is_rounded_to_steps_of_the_sums(axis: int | None) -> None:
    s = QuantizedSketch()
    w, scales = s.weights(8, 4, 1, 1, axis=axis)
    steps = np.broadcast_to(scales * np.float32(0.0371), 8).astype(np.float32)
    y = s.op("conv", s.stored("N", 4, 7, 5), w, s.const(steps * np.arange(-400, 400, 100, np.float32), "bias"))
    outcome = fused(s.returns(s.quantize(y)))
    assert outcome.ops == ("q_linear_conv",)
    (node,) = outcome.graph.nodes
    np.testing.assert_array_equal(node.input(8).array, np.arange(-400, 400, 100))


def test_a_bias_in_other_steps_is_rounded_to_those_of_the_sums() -> None:
    s = QuantizedSketch()
    w, scales = s.weights(8, 4, 1, 1)
    y = s.op("conv", s.stored("N", 4, 7, 5), w, s.bias(8, scales * np.float32(0.0371 * 16)))
    assert fused(s.returns(s.quantize(y))).ops == ("q_linear_conv",)


def test_a_bias_between_coarse_steps_stays() -> None:
    s = QuantizedSketch()
    w, scales = s.weights(8, 4, 1, 1)
    y = s.op("conv", s.stored("N", 4, 7, 5), w, s.const(np.full(8, 0.0371 * float(scales) / 2), "bias"))
    assert run_pass(s.returns(s.quantize(y, 0.0371 * float(scales))), PASS).refused("not near whole steps")


def test_a_bias_beyond_int32_stays() -> None:
    s = QuantizedSketch()
    y = s.op("conv", s.stored("N", 4, 7, 5), s.weights(8, 4, 1, 1)[0], s.const(np.full(8, 1e9), "bias"))
    assert run_pass(s.returns(s.quantize(y)), PASS).refused("beyond int32")


def test_a_computed_bias_stays() -> None:
    s = QuantizedSketch()
    y = s.op("conv", s.stored("N", 4, 7, 5), s.weights(8, 4, 1, 1)[0], s.input(8, name="bias"))
    q = s.quantize(y)
    assert run_pass(s.returns(q), PASS).refused("the bias %bias is no dequantized tensor")


@pytest.mark.parametrize(("number", "mode"), [(None, "constant"), (0.0371 * 5, "constant"), (None, "reflect")])
def test_a_pad_works_on_integers(number: float | None, mode: str) -> None:
    s = QuantizedSketch()
    value = None if number is None else s.const(np.float32(0.0371) * np.float32(5))
    y = s.op("pad", s.stored("N", 4, 7, 5), s.ints(0, 0, 1, 2, 0, 0, 2, 1), value, mode=mode)
    y = s.op("conv", y, s.weights(8, 4, 3, 3)[0])
    if number is None:
        assert fused(s.returns(s.quantize(y))).ops == ("pad", "q_linear_conv")
    else:
        assert run_pass(s.returns(s.quantize(y)), PASS).refused("not stored exactly")


def test_quantize_rises_above_a_pad() -> None:
    s = QuantizedSketch()
    y = s.op("conv", s.stored("N", 4, 7, 5), s.weights(8, 4, 3, 3)[0])
    y = s.op("pad", y, s.ints(0, 0, 1, 2, 0, 0, 2, 1), s.const(0.5))
    assert fused(s.returns(s.quantize(y, 0.25))).ops == ("q_linear_conv", "pad")


def test_weights_with_a_scale_for_each_input_channel_stay() -> None:
    s = QuantizedSketch()
    y = s.op("conv", s.stored("N", 4, 7, 5), s.weights(8, 4, 1, 1, axis=1)[0])
    assert run_pass(s.returns(s.quantize(y)), PASS).refused("scales along axis 1")


def test_another_stored_type_of_the_result_stays() -> None:
    s = QuantizedSketch()
    y = s.op("add", s.stored("N", 4), s.stored("N", 4, name="b"))
    assert run_pass(s.returns(s.quantize(y, zero=3, dtype="int8")), PASS).refused("stored as i8, u8")


def test_a_computed_scale_stays() -> None:
    s = QuantizedSketch()
    y = s.op("sigmoid", s.stored("N", 4))
    q = s.op("quantize_linear", y, s.input(name="s"), s.const(3, dtype="uint8"))
    assert run_pass(s.returns(q), PASS).refused("is computed")
