"""com.microsoft operators that onnxruntime's own tools write into CNN files, against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from cnnc.errors import UnsupportedError
from cnnc.frontends import import_onnx
from tests.frontends.model_builder import build, compare, tensor_input

pytest.importorskip("onnxruntime")
DOMAIN = {"com.microsoft": 1}


def node(op: str, inputs: list[str], **attributes: Any) -> Any:
    return helper.make_node(op, inputs, ["y"], domain="com.microsoft", name=op, **attributes)


def random(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(sum(shape)).standard_normal(shape, dtype=np.float32)


def stored(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(sum(shape)).integers(0, 256, shape).astype(np.uint8)


def check(call: Any, feeds: dict[str, Any], weights: dict[str, Any] | None = None, *, steps: float = 0.0) -> None:
    inputs = [
        tensor_input(name, array.shape, helper.np_dtype_to_tensor_dtype(array.dtype)) for name, array in feeds.items()
    ]
    compare(build([call], inputs, ["y"], weights=weights, domains=DOMAIN), feeds, steps=steps)


@pytest.mark.parametrize(
    ("activation", "params"),
    [
        ("Relu", None),
        ("Tanh", None),
        ("Sigmoid", None),
        ("LeakyRelu", [0.2]),
        ("Clip", [-0.5, 0.5]),
        ("HardSigmoid", [0.3, 0.4]),
    ],
)
def test_fused_conv(activation: str, params: list[float] | None) -> None:
    attributes = {} if params is None else {"activation_params": params}
    call = node("FusedConv", ["x", "w", "b"], activation=activation, pads=[1, 1, 1, 1], **attributes)
    check(call, {"x": random(1, 3, 5, 6)}, {"w": random(4, 3, 3, 3), "b": random(4)})


def test_fused_conv_adds_a_fourth_input() -> None:
    call = node("FusedConv", ["x", "w", "b", "z"], activation="Relu")
    check(call, {"x": random(1, 3, 5, 6), "z": random(1, 4, 3, 4)}, {"w": random(4, 3, 3, 3), "b": random(4)})


def test_fused_conv_with_an_unknown_activation() -> None:
    call = node("FusedConv", ["x", "w"], activation="Snake")
    model = build([call], [tensor_input("x", (1, 3, 5, 5))], ["y"], weights={"w": random(4, 3, 3, 3)}, domains=DOMAIN)
    with pytest.raises(UnsupportedError, match="Snake"):
        import_onnx(model)


def test_fused_gemm() -> None:
    call = node("FusedGemm", ["x", "w", "b"], activation="LeakyRelu", activation_alpha=0.1, transB=1)
    check(call, {"x": random(2, 3)}, {"w": random(4, 3), "b": random(4)})


@pytest.mark.parametrize(("op", "inputs"), [("Gelu", 1), ("BiasGelu", 2), ("FastGelu", 1), ("FastGelu", 2)])
def test_gelu(op: str, inputs: int) -> None:
    check(node(op, ["x", "b"][:inputs]), {"x": random(3, 8)}, {"b": random(8)} if inputs == 2 else None)


def test_quick_gelu() -> None:
    check(node("QuickGelu", ["x"], alpha=1.5), {"x": random(3, 8)})


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


def test_fused_matmul() -> None:
    check(node("FusedMatMul", ["a", "b"], transA=1, transB=1, alpha=0.25), {"a": random(2, 4, 3), "b": random(5, 4)})


def test_other_operators_of_the_domain_are_refused() -> None:
    model = build([node("Inverse", ["x"])], [tensor_input("x", (3, 3), TensorProto.FLOAT)], ["y"], domains=DOMAIN)
    with pytest.raises(UnsupportedError, match=r"Inverse.*com\.microsoft"):
        import_onnx(model)
