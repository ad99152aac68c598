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


def test_fused_matmul() -> None:
    check(node("FusedMatMul", ["a", "b"], transA=1, transB=1, alpha=0.25), {"a": random(2, 4, 3), "b": random(5, 4)})


def test_other_operators_of_the_domain_are_refused() -> None:
    model = build([node("Inverse", ["x"])], [tensor_input("x", (3, 3), TensorProto.FLOAT)], ["y"], domains=DOMAIN)
    with pytest.raises(UnsupportedError, match=r"Inverse.*com\.microsoft"):
        import_onnx(model)
