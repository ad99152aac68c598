"""Quantization and quantized ops against onnxruntime and ONNX's node tests: equal, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cnnc.errors import ModelError
from tests.ops.single_op import infer_error, node_cases, run_node_case, run_op, run_ort

CASES = [
    (case, name)
    for module, op_type, name in (
        ("quantizelinear", "QuantizeLinear", "quantize_linear"),
        ("dequantizelinear", "DequantizeLinear", "dequantize_linear"),
        ("dynamicquantizelinear", "DynamicQuantizeLinear", "dynamic_quantize_linear"),
        ("convinteger", "ConvInteger", "conv_integer"),
        ("qlinearconv", "QLinearConv", "q_linear_conv"),
        ("qlinearmatmul", "QLinearMatMul", "q_linear_matmul"),
    )
    for case in node_cases(module, op_type).values()
]


@pytest.mark.parametrize(("case", "name"), CASES, ids=lambda value: getattr(value, "name", value))
def test_onnx_node_tests(case: Any, name: str) -> None:
    for ours, expected in run_node_case(case, name):
        assert ours.dtype == expected.dtype
        np.testing.assert_allclose(ours.astype(np.float64), expected.astype(np.float64), rtol=1e-6)


def integers(seed: int, dtype: type, *shape: int) -> np.ndarray:
    limits = np.iinfo(dtype)
    return np.random.default_rng(seed).integers(limits.min, limits.max + 1, shape).astype(dtype)


def scalar(value: float, dtype: type = np.float32) -> np.ndarray:
    return np.array(value, dtype)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16])
def test_quantize_rounds_half_to_even_and_saturates_like_onnxruntime(dtype: type) -> None:
    x = np.concatenate([np.arange(-40, 40) / 8, [1e9, -1e9, np.inf, -np.inf]]).astype(np.float32)
    for inputs in ([x, scalar(0.25), scalar(3, dtype)], [x.reshape(2, 3, 14), scalar(0.5), scalar(7, dtype)]):
        (ours,) = run_op("quantize_linear", inputs)
        np.testing.assert_array_equal(ours, run_ort("QuantizeLinear", inputs, opset=21)[0])
        (back,) = run_op("dequantize_linear", [ours, *inputs[1:]])
        np.testing.assert_array_equal(back, run_ort("DequantizeLinear", [ours, *inputs[1:]], opset=21)[0])


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_quantize_per_channel_like_onnxruntime(axis: int) -> None:
    x = np.random.default_rng(0).standard_normal((3, 3, 3)).astype(np.float32) * 40
    scale, zero = np.array([0.5, 0.25, 1.5], np.float32), np.array([0, -3, 100], np.int8)
    (ours,) = run_op("quantize_linear", [x, scale, zero], axis=axis)
    np.testing.assert_array_equal(ours, run_ort("QuantizeLinear", [x, scale, zero], opset=21, axis=axis)[0])
    (back,) = run_op("dequantize_linear", [ours, scale, zero], axis=axis)
    np.testing.assert_array_equal(back, run_ort("DequantizeLinear", [ours, scale, zero], opset=21, axis=axis)[0])


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize(("x_dtype", "w_dtype"), [(np.uint8, np.int8), (np.uint8, np.uint8), (np.int8, np.int8)])
def test_q_linear_conv_agrees_with_onnxruntime(per_channel: bool, x_dtype: type, w_dtype: type) -> None:
    x, w = integers(0, x_dtype, 2, 4, 9, 7), integers(1, w_dtype, 6, 2, 3, 3)
    rng = np.random.default_rng(2)
    w_scale = rng.uniform(0.01, 0.05, 6).astype(np.float32) if per_channel else scalar(0.03)
    w_zero = np.zeros(6, w_dtype) if per_channel else scalar(5, w_dtype)
    bias = rng.integers(-5000, 5000, 6).astype(np.int32)
    inputs = [x, scalar(0.02), scalar(3, x_dtype), w, w_scale, w_zero, scalar(0.4), scalar(12, x_dtype), bias]
    attrs: dict = {"group": 2, "pads": [1, 0, 2, 1], "strides": [2, 1], "dilations": [1, 2]}
    (ours,) = run_op("q_linear_conv", inputs, **attrs)
    theirs = run_ort("QLinearConv", inputs, **attrs)[0]
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("rank", [1, 2])
def test_conv_integer_agrees_with_onnxruntime(rank: int) -> None:
    x, w = integers(0, np.uint8, 2, 4, *(9, 7)[:rank]), integers(1, np.uint8, 6, 4, *(3, 2)[:rank])
    inputs = [x, w, scalar(100, np.uint8), scalar(50, np.uint8)]
    attrs: dict = {"pads": [1] * (2 * rank), "strides": [2] * rank}
    np.testing.assert_array_equal(
        run_op("conv_integer", inputs, **attrs)[0], run_ort("ConvInteger", inputs, **attrs)[0]
    )


def test_com_microsoft_ops_agree_with_onnxruntime() -> None:
    a, b = integers(0, np.uint8, 2, 3, 5, 4), integers(1, np.uint8, 3, 1, 4)
    pair = [a, scalar(0.1037), scalar(120, np.uint8), b, scalar(0.0523), scalar(10, np.uint8)]
    single = pair[:3]
    for name, op_type, inputs, attrs in (
        ("q_linear_add", "QLinearAdd", [*pair, scalar(0.2011), scalar(100, np.uint8)], {}),
        ("q_linear_mul", "QLinearMul", [*pair, scalar(0.9), scalar(100, np.uint8)], {}),
        ("q_linear_leaky_relu", "QLinearLeakyRelu", [*single, scalar(0.07), scalar(9, np.uint8)], {"alpha": 0.2}),
        ("q_linear_sigmoid", "QLinearSigmoid", [*single, scalar(1 / 256), scalar(0, np.uint8)], {}),
        (
            "q_linear_global_average_pool",
            "QLinearGlobalAveragePool",
            [*single, scalar(0.02), scalar(110, np.uint8)],
            {},
        ),
        (
            "q_linear_average_pool",
            "QLinearAveragePool",
            [*single, scalar(0.09), scalar(110, np.uint8)],
            {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1]},
        ),
        (
            "q_linear_concat",
            "QLinearConcat",
            [scalar(0.2), scalar(7, np.uint8), *single, *single[:1], scalar(0.2), scalar(7, np.uint8)],
            {"axis": 1},
        ),
    ):
        (ours,) = run_op(name, inputs, **attrs)
        (theirs,) = run_ort(op_type, inputs, domain="com.microsoft", **attrs)
        assert ours.shape == theirs.shape and ours.dtype == theirs.dtype, name
        assert np.abs(ours.astype(int) - theirs.astype(int)).max() <= 1, name
        assert (ours != theirs).mean() < 0.05, name


EVERY_PAIR = (np.arange(256, dtype=np.uint8).repeat(256), np.tile(np.arange(256, dtype=np.uint8), 256))


@pytest.mark.parametrize("seed", range(6))
def test_sums_of_all_pairs_of_bytes_agree_with_onnxruntime(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scales = rng.uniform(0.01, 0.1, 3).astype(np.float32)
    zeros = rng.integers(0, 256, 3).astype(np.uint8)
    inputs = [EVERY_PAIR[0], scalar(scales[0]), scalar(zeros[0], np.uint8)]
    inputs += [EVERY_PAIR[1], scalar(scales[1]), scalar(zeros[1], np.uint8)]
    inputs += [scalar(scales[2]), scalar(zeros[2], np.uint8)]
    (ours,) = run_op("q_linear_add", inputs)
    theirs = run_ort("QLinearAdd", inputs, domain="com.microsoft")[0]
    # What rounds to a tie in float32 may fall the other way: one pair in 65536, by one step.
    difference = np.abs(ours.astype(int) - theirs.astype(int))
    assert difference.sum() <= 1


@pytest.mark.parametrize("zero", [8, 9])
def test_a_tie_rounds_before_the_zero_point_is_added(zero: int) -> None:
    a, b = np.arange(4, dtype=np.uint8), np.zeros(4, np.uint8)
    plain = [scalar(0.25), scalar(0, np.uint8)]
    (ours,) = run_op("q_linear_add", [a, *plain, b, *plain, scalar(0.5), scalar(zero, np.uint8)])
    np.testing.assert_array_equal(ours, zero + np.array([0, 0, 1, 2]))


@pytest.mark.parametrize(("spatial", "seed"), [((7, 7), 0), ((8, 8), 1), ((5, 6), 2)])
def test_global_means_equal_onnxruntime(spatial: tuple[int, int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    x_scale, y_scale = rng.uniform(0.01, 0.1, 2).astype(np.float32)
    x = integers(seed, np.uint8, 2, 500, *spatial)
    inputs = [x, scalar(x_scale), scalar(120, np.uint8), scalar(y_scale), scalar(110, np.uint8)]
    (ours,) = run_op("q_linear_global_average_pool", inputs)
    np.testing.assert_array_equal(ours, run_ort("QLinearGlobalAveragePool", inputs, domain="com.microsoft")[0])


@pytest.mark.parametrize("trans", [0, 1])
@pytest.mark.parametrize("per_column", [False, True])
def test_q_linear_gemm_equals_onnxruntime(trans: int, per_column: bool) -> None:
    a, b = integers(0, np.uint8, 7, 33), integers(1, np.int8, *((11, 33) if trans else (33, 11)))
    b_scale = np.linspace(0.01, 0.03, 11, dtype=np.float32) if per_column else scalar(0.02)
    b_zero = np.zeros(11, np.int8) if per_column else scalar(0, np.int8)
    c = np.arange(-5, 6, dtype=np.int32) * 700
    inputs = [a, scalar(0.0371), scalar(120, np.uint8), b, b_scale, b_zero, c, scalar(0.31), scalar(99, np.uint8)]
    (ours,) = run_op("q_linear_gemm", inputs, transB=trans)
    np.testing.assert_array_equal(ours, run_ort("QGemm", inputs, domain="com.microsoft", transB=trans)[0])


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16])
def test_requantize_is_dequantize_and_quantize(dtype: type) -> None:
    x = np.arange(256, dtype=np.uint8)
    to = [scalar(0.05), scalar(3, dtype)]
    (ours,) = run_op("requantize", [x, scalar(0.0371), scalar(117, np.uint8), *to])
    (real,) = run_op("dequantize_linear", [x, scalar(0.0371), scalar(117, np.uint8)])
    np.testing.assert_array_equal(ours, run_op("quantize_linear", [real, *to])[0])


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16])
@pytest.mark.parametrize(("axis", "block_size"), [(0, 1), (1, 2), (-1, 3), (2, 5), (1, 9)])
def test_blocks_have_scales_of_their_own(axis: int, block_size: int, dtype: type) -> None:
    rng = np.random.default_rng(block_size)
    x = rng.standard_normal((4, 6, 5)).astype(np.float32) * 40
    shape = list(x.shape)
    shape[axis] = -(-shape[axis] // block_size)
    scale, zero = rng.uniform(0.3, 2, shape).astype(np.float32), integers(0, dtype, *shape)
    attrs = {"axis": axis, "block_size": block_size}
    (ours,) = run_op("quantize_linear", [x, scale, zero], **attrs)
    np.testing.assert_array_equal(ours, run_ort("QuantizeLinear", [x, scale, zero], opset=21, **attrs)[0])
    (back,) = run_op("dequantize_linear", [ours, scale, zero], **attrs)
    np.testing.assert_array_equal(back, run_ort("DequantizeLinear", [ours, scale, zero], opset=21, **attrs)[0])


@pytest.mark.parametrize(
    ("shape", "attrs", "part"),
    [
        ((2, 5), {"block_size": 2, "axis": 0}, "must be f32[2, 6] for blocks of 2 along axis 0"),
        ((2,), {"block_size": 2, "axis": 0}, "must have the 2 axes"),
        ((4,), {"block_size": -1, "axis": 0}, "block_size is -1"),
    ],
)
def test_scales_of_blocks_of_another_shape_are_refused(shape: tuple[int, ...], attrs: dict, part: str) -> None:
    with pytest.raises(ModelError) as caught:
        run_op("quantize_linear", [np.zeros((4, 6), np.float32), np.ones(shape, np.float32)], **attrs)
    assert part in str(caught.value)


def test_a_table_is_looked_up_by_the_bits_of_a_byte() -> None:
    table = np.arange(256).astype(np.uint8)[::-1].copy()
    for dtype in (np.uint8, np.int8):
        (ours,) = run_op("lookup", [np.arange(256).astype(np.uint8).view(dtype), table])
        np.testing.assert_array_equal(ours, table)


@pytest.mark.parametrize(
    ("name", "inputs", "attrs", "parts"),
    [
        ("conv_integer", [(1, 4, 5), (6, 3, 3)], {}, ["4 channels", "take 3"]),
        ("quantize_linear", [(2, 3), (3,), (2,)], {}, ["one of f16"]),
    ],
)
def test_contradictions_are_named(name: str, inputs: list, attrs: dict, parts: list[str]) -> None:
    message = infer_error(name, inputs, dtype="u8", **attrs)
    assert all(part in message for part in parts), message
