"""A small quantized network, written as QDQ: at every level equal to onnxruntime, which fuses it to integer ops too."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

import cnnc
from cnnc import interp
from cnnc.frontends import import_onnx
from tests.frontends.model_builder import build, tensor_input

ort = pytest.importorskip("onnxruntime")


class Network:
    """Nodes and weights of a QDQ graph; activations are u8, weights i8 with a scale for each output channel."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.weights: dict[str, Any] = {}
        self.scales: dict[str, np.float32] = {}
        self._random = np.random.default_rng(11)

    def store(self, x: str, scale: float, zero: int, cast: bool = False) -> str:
        """``x`` quantized and dequantized, with a cast to the type that it has in between."""
        y = f"{x}.real"
        self.weights |= {f"{y}.scale": np.float32(scale), f"{y}.zero": np.uint8(zero)}
        pair = [f"{y}.scale", f"{y}.zero"]
        self.nodes.append(helper.make_node("QuantizeLinear", [x, *pair], [f"{x}.stored"]))
        if cast:
            self.nodes.append(helper.make_node("Cast", [f"{x}.stored"], [f"{x}.cast"], to=TensorProto.UINT8))
        self.nodes.append(helper.make_node("DequantizeLinear", [f"{x}.cast" if cast else f"{x}.stored", *pair], [y]))
        self.scales[y] = np.float32(scale)
        return y

    def node(self, op: str, inputs: list[str], **attributes: Any) -> str:
        name = f"{op.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], **attributes))
        return name

    def layer(self, op: str, x: str, *shape: int, **attributes: Any) -> str:
        """conv or gemm (transB) with weights [M, ...] and a bias."""
        name = f"w{len(self.nodes)}"
        scale = self._random.uniform(0.002, 0.004, shape[0]).astype(np.float32)
        self.weights |= {
            name: self._random.integers(-127, 128, shape).astype(np.int8),
            f"{name}.scale": scale,
            f"{name}.zero": np.zeros(shape[0], np.int8),
            f"{name}.bias": self._random.integers(-3000, 3000, shape[0]).astype(np.int32),
            f"{name}.step": scale * self.scales[x],
            f"{name}.none": np.zeros(shape[0], np.int32),
        }
        w = self.node("DequantizeLinear", [name, f"{name}.scale", f"{name}.zero"], axis=0)
        bias = self.node("DequantizeLinear", [f"{name}.bias", f"{name}.step", f"{name}.none"], axis=0)
        return self.node(op, [x, w, bias], **attributes)


def residual_network() -> ModelProto:
    n = Network()
    x = n.store("x", 0.0173, 128, cast=True)
    x = n.store(n.node("Relu", [n.layer("Conv", x, 8, 3, 3, 3, pads=[1] * 4, strides=[2, 2])]), 0.0231, 0, cast=True)
    x = n.store(n.node("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2]), 0.0231, 0)
    y = n.store(n.node("Relu", [n.layer("Conv", x, 8, 1, 3, 3, pads=[1] * 4, group=8)]), 0.0117, 0)
    y = n.store(n.layer("Conv", y, 8, 8, 1, 1), 0.0313, 121)
    x = n.store(n.node("Relu", [n.node("Add", [x, y])]), 0.0371, 7)
    x = n.store(n.node("GlobalAveragePool", [x]), 0.0187, 0)
    x = n.store(n.node("Flatten", [x]), 0.0187, 0)
    y = n.store(n.layer("Gemm", x, 10, 8, transB=1), 0.0109, 119)
    return build(n.nodes, [tensor_input("x", ("N", 3, 32, 24))], [y], weights=n.weights)


@pytest.fixture(scope="module")
def model() -> ModelProto:
    return residual_network()


@pytest.fixture(scope="module")
def feeds() -> dict[str, Any]:
    return {"x": np.random.default_rng(5).standard_normal((3, 3, 32, 24), dtype=np.float32)}


@pytest.mark.jit
@pytest.mark.parametrize("level", [0, 2])
def test_results_equal_onnxruntime(model: ModelProto, feeds: dict[str, Any], level: int) -> None:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    compiled = cnnc.compile(model, level=level)
    (name,) = compiled.run(feeds)
    np.testing.assert_array_equal(compiled.run(feeds)[name], session.run(None, feeds)[0])


def test_results_lie_within_a_step_of_float64(model: ModelProto, feeds: dict[str, Any]) -> None:
    (truth,) = interp.run(import_onnx(model), feeds, float64=True).values()
    (ours,) = cnnc.compile(model, level=0).run(feeds).values()
    assert np.mean(np.abs(ours - truth) > 1.001 * 0.0109) <= 1e-3
    assert (ours.argmax(1) == truth.argmax(1)).all()


def test_nothing_but_the_input_and_the_output_is_float(model: ModelProto) -> None:
    ops = [node.op for node in cnnc.compile(model, level=0).graph.nodes]
    assert ops.count("quantize_linear") == ops.count("dequantize_linear") == 1
    assert ops.count("q_linear_conv") == 3
    assert {"q_linear_add", "q_linear_global_average_pool", "q_linear_gemm", "max_pool", "clip"} <= set(ops)
    assert not {"conv", "gemm", "add", "relu", "requantize"} & set(ops)
