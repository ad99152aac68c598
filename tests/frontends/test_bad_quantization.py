"""Quantized models that contradict themselves are refused; odd numbers in them have a defined meaning."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

import cnnc
from cnnc import interp
from cnnc.errors import ModelError, UnsupportedError
from cnnc.frontends import import_onnx
from tests.frontends.model_builder import build, tensor_input

F32, U8, I8 = np.float32, np.uint8, np.int8


def single(op: str, x: np.ndarray[Any, Any], *operands: Any, **attributes: Any) -> ModelProto:
    """One node; its first operand is an input like ``x``, the others are weights."""
    weights = {f"w{index}": np.asarray(array) for index, array in enumerate(operands)}
    declared = tensor_input("x", x.shape, helper.np_dtype_to_tensor_dtype(x.dtype))
    node = helper.make_node(op, ["x", *weights], ["y"], name="it", **attributes)
    return build([node], [declared], ["y"], weights=weights, opset=21)


IMAGE, BYTES = np.zeros((1, 4, 5, 5), F32), np.zeros((1, 4, 5, 5), U8)
FILTER, PAIR = np.zeros((6, 4, 3, 3), I8), (F32(0.5), U8(3))
MATRIX, RIGHT = np.zeros((3, 4), U8), np.zeros((4, 5), I8)


@pytest.mark.parametrize(
    ("model", "parts"),
    [
        (single("QuantizeLinear", IMAGE, np.ones(3, F32), axis=1), ["3 elements", "the 4 of axis 1"]),
        (single("QuantizeLinear", IMAGE, np.ones(4, F32), axis=7), ["axis 7"]),
        (single("QuantizeLinear", IMAGE, np.ones((2, 2), F32)), ["must be a scalar or a vector"]),
        (single("QuantizeLinear", IMAGE, F32(1), np.zeros(3, U8)), ["zero point of y", "3 elements"]),
        (single("QuantizeLinear", IMAGE, U8(1)), ["scale of y", "one of f16"]),
        (single("QuantizeLinear", BYTES, F32(1)), ["the input", "got u8"]),
        (single("DequantizeLinear", BYTES, F32(1), I8(0)), ["zero point has i8", "input u8"]),
        (single("DequantizeLinear", BYTES, np.ones(5, F32), axis=1), ["5 elements", "the 4 of axis 1"]),
        (single("DequantizeLinear", IMAGE, F32(1)), ["the input", "got f32"]),
        (single("QLinearConv", BYTES, *PAIR, FILTER, np.ones(5, F32), np.zeros(5, I8), *PAIR), ["5 elements"]),
        (single("QLinearConv", BYTES, *PAIR, FILTER, F32(1), U8(0), *PAIR), ["zero point of w has u8"]),
        (single("QLinearConv", BYTES, np.ones(4, F32), U8(0), FILTER, F32(1), I8(0), *PAIR), ["scale of x", "one"]),
        (single("QLinearConv", BYTES, U8(1), U8(0), FILTER, F32(1), I8(0), *PAIR), ["scale of x", "one of f16"]),
        (single("QLinearConv", BYTES, *PAIR, FILTER, F32(1), I8(0), F32(1), F32(0)), ["zero point of y", "got f32"]),
        (single("QLinearConv", BYTES, *PAIR, FILTER, F32(1), I8(0), *PAIR, np.zeros(5, np.int32)), ["bias", "6"]),
        (single("QLinearConv", BYTES, *PAIR, FILTER, F32(1), I8(0), *PAIR, np.zeros(6, F32)), ["the bias", "i32"]),
        (single("ConvInteger", BYTES, FILTER, I8(0)), ["zero point of x has i8"]),
        (single("ConvInteger", BYTES, FILTER, np.zeros(4, U8)), ["zero point of x", "one element"]),
        (single("ConvInteger", BYTES, FILTER, U8(0), np.zeros(5, I8)), ["zero point of w", "5 elements"]),
        (single("ConvInteger", IMAGE, FILTER), ["x must be one of i8, u8"]),
        (single("MatMulInteger", MATRIX, RIGHT, I8(0)), ["zero point of A is i8"]),
        (single("MatMulInteger", MATRIX, RIGHT, U8(0), np.zeros(4, I8)), ["zero point of B"]),
        (single("QLinearMatMul", MATRIX, *PAIR, np.zeros((5, 6), I8), F32(1), I8(0), *PAIR), ["4 columns", "5 rows"]),
        (single("QLinearMatMul", MATRIX, *PAIR, RIGHT, np.ones(4, F32), I8(0), *PAIR), ["scale f32[4]", "axis -1"]),
        (single("QLinearMatMul", MATRIX, np.ones(4, F32), U8(0), RIGHT, F32(1), I8(0), *PAIR), ["scale f32[4]"]),
        (single("QLinearMatMul", MATRIX, *PAIR, RIGHT, F32(1), U8(0), *PAIR), ["zero point of b has u8"]),
        (single("QLinearMatMul", MATRIX, U8(1), U8(3), RIGHT, F32(1), I8(0), *PAIR), ["scale of a", "one of f16"]),
        (single("DynamicQuantizeLinear", MATRIX), ["the input", "got u8"]),
    ],
    ids=lambda value: value.graph.node[0].op_type if isinstance(value, ModelProto) else None,
)
def test_contradictions_are_refused_by_name(model: ModelProto, parts: list[str]) -> None:
    with pytest.raises(ModelError) as caught:
        import_onnx(model)
    assert all(part in str(caught.value) for part in [*parts, "'it'"]), caught.value


@pytest.mark.parametrize(
    "name",
    [
        *("INT4", "UINT4", "INT2", "UINT2", "FLOAT4E2M1"),
        *("FLOAT8E4M3FN", "FLOAT8E4M3FNUZ", "FLOAT8E5M2", "FLOAT8E5M2FNUZ", "FLOAT8E8M0"),
    ],
)
def test_smaller_types_are_refused_by_name(name: str) -> None:
    code = TensorProto.DataType.Value(name)
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale"], ["q"], output_dtype=code, name="to"),
        helper.make_node("DequantizeLinear", ["w", "scale"], ["y"], name="from"),
    ]
    model = build(nodes, [tensor_input("x", (2, 4))], ["q", "y"], weights={"scale": np.array(0.5, F32)}, opset=24)
    model.graph.initializer.append(TensorProto(name="w", data_type=code, dims=[2], raw_data=b"\0" * 2))
    with pytest.raises(UnsupportedError) as caught:
        import_onnx(model)
    message = str(caught.value)
    assert message.count(f"element type {name.lower()} is not supported") == 2
    assert "'to'" in message and "initializer 'w'" in message


def test_quantized_strings_and_unknown_types_are_refused() -> None:
    for code, error in ((TensorProto.STRING, UnsupportedError), (199, ModelError)):
        with pytest.raises(error, match="element type"):
            import_onnx(
                build(
                    [helper.make_node("QuantizeLinear", ["x", "s"], ["y"], output_dtype=code)],
                    [tensor_input("x", (2,))],
                    ["y"],
                    weights={"s": np.array(1, F32)},
                    opset=21,
                )
            )


SCALES = [0.0, -0.0, -0.5, np.nan, np.inf, -np.inf, 1e-45, 3e38]
FLOATS = np.array([0, -0.0, 1, -1, 3e38, -3e38, np.inf, -np.inf, np.nan, 0.5, 1.5, 2.5, 127.5, 300], F32)


def both(model: ModelProto, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The reference's result, which the compiled program must have too."""
    (expected,) = interp.run(import_onnx(model), {"x": x}).values()
    (ours,) = cnnc.compile(model).run({"x": x}).values()
    np.testing.assert_array_equal(ours, expected)
    return expected


@pytest.mark.jit
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("zero", [U8(0), U8(255), I8(-128), I8(127)])
def test_quantize_divides_as_floats_do_and_saturates(scale: float, zero: Any) -> None:
    """What is no number counts as 0; everything else is the quotient's nearest stored value."""
    limits = np.iinfo(zero.dtype)
    with np.errstate(all="ignore"):
        quotient = np.nan_to_num(FLOATS / F32(scale), nan=0.0).astype(np.float64)
    expected = np.clip(np.rint(quotient) + int(zero), limits.min, limits.max)
    np.testing.assert_array_equal(both(single("QuantizeLinear", FLOATS, F32(scale), zero), FLOATS), expected)


@pytest.mark.jit
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_layers_with_odd_scales_mean_the_same_on_every_target(scale: float) -> None:
    rng = np.random.default_rng(0)
    x, w = rng.integers(0, 256, (1, 4, 5, 5)).astype(U8), rng.integers(-128, 128, (6, 4, 3, 3)).astype(I8)
    for scales in ((scale, 0.02, 0.5), (0.02, scale, 0.5), (0.02, 0.02, scale)):
        x_scale, w_scale, y_scale = map(F32, scales)
        both(single("QLinearConv", x, x_scale, U8(7), w, w_scale, I8(0), y_scale, U8(9)), x)
        flat, matrix = x.reshape(5, 20), w.reshape(-1)[:60].reshape(20, 3)
        both(single("QLinearMatMul", flat, x_scale, U8(7), matrix, w_scale, I8(0), y_scale, U8(9)), flat)


@pytest.mark.jit
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_float_layers_between_odd_scales_mean_the_same_after_fusion(scale: float) -> None:
    """A pair whose scale is no positive number is not fused: the float op stays between."""
    nodes = [
        helper.make_node("DequantizeLinear", ["x", "odd", "zero"], ["a"]),
        helper.make_node("Add", ["a", "a"], ["b"]),
        helper.make_node("QuantizeLinear", ["b", "scale", "zero"], ["y"]),
    ]
    weights = {"odd": np.array(scale, F32), "scale": np.array(0.5, F32), "zero": np.array(7, U8)}
    x = np.arange(256, dtype=U8)
    both(build(nodes, [tensor_input("x", (256,), TensorProto.UINT8)], ["y"], weights=weights), x)
