"""Quantized com.microsoft operators that onnxruntime's own tools write into CNN files, against onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto

from cnnc import interp
from cnnc.errors import UnsupportedError
from cnnc.frontends import import_onnx
from tests.frontends.model_builder import build, tensor_input
from tests.frontends.test_microsoft_operators import DOMAIN, check, node, random, stored

pytest.importorskip("onnxruntime")

SCALES = {
    "a_s": np.array(0.02, np.float32),
    "a_z": np.array(120, np.uint8),
    "b_s": np.array(0.03, np.float32),
    "b_z": np.array(131, np.uint8),
    "y_s": np.array(0.05, np.float32),
    "y_z": np.array(99, np.uint8),
}


@pytest.mark.parametrize("op", ["QLinearAdd", "QLinearMul"])
def test_quantized_arithmetic(op: str) -> None:
    call = node(op, ["a", "a_s", "a_z", "b", "b_s", "b_z", "y_s", "y_z"])
    check(call, {"a": stored(2, 3, 4, 5), "b": stored(3, 4, 5)}, SCALES, steps=1)


@pytest.mark.parametrize(("op", "attributes"), [("QLinearLeakyRelu", {"alpha": 0.2}), ("QLinearSigmoid", {})])
def test_quantized_activations(op: str, attributes: dict[str, float]) -> None:
    weights = {name: SCALES[name] for name in ("a_s", "a_z", "y_s", "y_z")}
    check(node(op, ["a", "a_s", "a_z", "y_s", "y_z"], **attributes), {"a": stored(2, 3, 4)}, weights, steps=1)


@pytest.mark.parametrize("channels_last", [0, 1])
def test_quantized_global_average_pool(channels_last: int) -> None:
    weights = {name: SCALES[name] for name in ("a_s", "a_z", "y_s", "y_z")}
    call = node("QLinearGlobalAveragePool", ["a", "a_s", "a_z", "y_s", "y_z"], channels_last=channels_last)
    check(call, {"a": stored(2, 3, 5, 7)}, weights, steps=1)


def test_quantized_average_pool() -> None:
    weights = {name: SCALES[name] for name in ("a_s", "a_z", "y_s", "y_z")}
    call = node("QLinearAveragePool", ["a", "a_s", "a_z", "y_s", "y_z"], kernel_shape=[2, 3], pads=[0, 1, 1, 0])
    check(call, {"a": stored(2, 3, 5, 7)}, weights, steps=1)


def test_quantized_concat() -> None:
    call = node("QLinearConcat", ["y_s", "y_z", "a", "a_s", "a_z", "b", "b_s", "b_z"], axis=1)
    check(call, {"a": stored(2, 3, 4), "b": stored(2, 5, 4)}, SCALES, steps=1)


@pytest.mark.parametrize("transposed", [0, 1])
@pytest.mark.parametrize("per_column", [False, True])
def test_quantized_gemm(transposed: int, per_column: bool) -> None:
    columns = 5 if per_column else 1
    weights = SCALES | {
        "b": (stored(5, 4) if transposed else stored(4, 5)),
        "b_s": np.linspace(0.01, 0.03, columns, dtype=np.float32).reshape((columns,) if per_column else ()),
        "b_z": np.full((columns,) if per_column else (), 128, np.uint8),
        "c": np.arange(-2000, 3000, 1000, dtype=np.int32),
        "y_s": np.array(0.3, np.float32),
    }
    call = node("QGemm", ["a", "a_s", "a_z", "b", "b_s", "b_z", "c", "y_s", "y_z"], transB=transposed, alpha=0.5)
    check(call, {"a": stored(3, 4)}, weights)


def test_quantized_gemm_with_a_real_result() -> None:
    weights = {name: SCALES[name] for name in ("a_s", "a_z", "b_s", "b_z")}
    weights |= {"b": stored(4, 5), "c": np.arange(-2000, 3000, 1000, dtype=np.int32)}
    call = node("QGemm", ["a", "a_s", "a_z", "b", "b_s", "b_z", "c"], alpha=0.5)
    check(call, {"a": stored(3, 4)}, weights)


@pytest.mark.parametrize("opset", [11, 13])
@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_quantized_softmax(opset: int, axis: int) -> None:
    weights = {"a_s": np.float32(0.05), "a_z": np.uint8(100), "y_s": np.float32(1 / 256), "y_z": np.uint8(0)}
    call = node("QLinearSoftmax", ["a", "a_s", "a_z", "y_s", "y_z"], axis=axis, opset=opset)
    check(call, {"a": stored(2, 3, 5)}, weights, steps=1)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
def test_quantized_where(dtype: type) -> None:
    names = ["a", "a_s", "a_z", "b", "b_s", "b_z", "y_s", "y_z"]
    weights = {name: np.array(7, dtype) if name.endswith("z") else SCALES[name] for name in names if "_" in name}
    feeds = {"c": random(2, 3, 4) > 0, "a": stored(2, 3, 4).astype(dtype), "b": stored(3, 4).astype(dtype)}
    check(node("QLinearWhere", ["c", *names]), feeds, weights, steps=1)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16])
@pytest.mark.parametrize("axis", [0, 1, None])
def test_quantize_and_dequantize_of_the_domain(dtype: type, axis: int | None) -> None:
    """Older files have them for the types that the default domain only took later."""
    scale = np.array(0.013, np.float32) if axis is None else np.array([0.01, 0.02, 0.03], np.float32)
    zero = np.full(scale.shape, 99, dtype)
    attributes = {} if axis is None else {"axis": axis}
    weights = {"s": scale, "z": zero}
    check(node("QuantizeLinear", ["x", "s", "z"], **attributes), {"x": random(3, 3)}, weights)
    check(node("DequantizeLinear", ["x", "s", "z"], **attributes), {"x": stored(3, 3).astype(dtype)}, weights)


@pytest.mark.parametrize("per_column", [False, True])
@pytest.mark.parametrize("biased", [False, True])
def test_matmul_of_integers_to_float(per_column: bool, biased: bool) -> None:
    columns = (5,) if per_column else ()
    weights = {
        "b": stored(4, 5),
        "a_s": np.array(0.02, np.float32),
        "b_s": np.full(columns, 0.01, np.float32),
        "a_z": np.array(120, np.uint8),
        "b_z": np.full(columns, 131, np.uint8),
        "c": random(5),
    }
    names = ["a", "b", "a_s", "b_s", "a_z", "b_z", *(["c"] if biased else [])]
    check(node("MatMulIntegerToFloat", names), {"a": stored(3, 4)}, weights)
    names = ["a", "b", "b_s", "b_z", *(["c"] if biased else [])]
    check(node("DynamicQuantizeMatMul", names), {"a": random(3, 4)}, weights)


def test_quantized_mean() -> None:
    """onnxruntime has no kernel for it: its meaning is that of ReduceMean on real values."""
    weights = {name: SCALES[name] for name in ("a_s", "a_z", "y_s", "y_z")}
    call = node("QLinearReduceMean", ["a", "a_s", "a_z", "y_s", "y_z"], axes=[1, 2], keepdims=0)
    inputs = [tensor_input("a", (2, 3, 5), TensorProto.UINT8)]
    graph = import_onnx(build([call], inputs, ["y"], weights=weights, domains=DOMAIN))
    a = stored(2, 3, 5)
    real = (0.02 * (a.astype(np.float32) - 120)).mean((1, 2))
    np.testing.assert_array_equal(interp.run(graph, {"a": a})["y"], np.rint(real / 0.05) + 99)


def test_pools_with_channels_last_are_refused() -> None:
    call = node("QLinearAveragePool", ["a", "a_s", "a_z", "y_s", "y_z"], kernel_shape=[2, 2], channels_last=1)
    weights = {name: SCALES[name] for name in ("a_s", "a_z", "y_s", "y_z")}
    model = build([call], [tensor_input("a", (1, 4, 4, 2), TensorProto.UINT8)], ["y"], weights=weights, domains=DOMAIN)
    with pytest.raises(UnsupportedError, match="channels_last"):
        import_onnx(model)
