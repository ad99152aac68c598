"""Small float networks as ONNX, of the layers that CNNs are made of, for quantizers to work on."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import helper

from tests.frontends.model_builder import build, tensor_input


class FloatNetwork:
    """Nodes and random weights; attributes that became inputs are written as the opset has them."""

    def __init__(self, opset: int) -> None:
        self.opset = opset
        self.nodes: list[Any] = []
        self.weights: dict[str, np.ndarray[Any, Any]] = {}
        self._random = np.random.default_rng(0)

    def const(self, array: Any) -> str:
        name = f"c{len(self.weights)}"
        self.weights[name] = np.asarray(array)
        return name

    def normal(self, *shape: int, scale: float = 1.0) -> str:
        """Weights whose first axis has ranges of its own."""
        ranges = np.exp(self._random.uniform(-1, 1, (shape[0], *[1] * (len(shape) - 1))))
        return self.const((self._random.standard_normal(shape) * ranges * scale).astype(np.float32))

    def op(self, op: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        names = [f"{op.lower()}{len(self.nodes)}_{index}" for index in range(outputs)]
        self.nodes.append(helper.make_node(op, list(inputs), names, name=names[0], **attributes))
        return names[0] if outputs == 1 else names

    def conv(self, x: str, shape: tuple[int, ...], *, bias: int = 0, op: str = "Conv", **attributes: Any) -> str:
        w = self.normal(*shape, scale=1 / np.sqrt(np.prod(shape[1:])))
        return self.op(op, x, w, *([self.normal(bias, scale=0.2)] if bias else []), **attributes)

    def with_numbers(self, since: int, op: str, x: str, outputs: int = 1, /, **given: Any) -> Any:
        """An op whose numbers are attributes before opset ``since``, inputs from then on."""
        attributes = {name: given.pop(name) for name in ("axis", "keepdims") if name in given}
        if self.opset < since:
            return self.op(op, x, outputs=outputs, **given, **attributes)
        return self.op(op, x, *(self.const(value) for value in given.values()), outputs=outputs, **attributes)

    def model(self, result: str, shape: tuple[int, ...]) -> onnx.ModelProto:
        made = build(self.nodes, [tensor_input("x", shape)], [result], weights=self.weights, opset=self.opset)
        made.graph.output[0].CopyFrom(tensor_input(result, None))
        return made


def classifier(opset: int) -> onnx.ModelProto:
    """Convolutions dense, depthwise, grouped and 1x1; a residual, a concat, pools, a classifier."""
    n = FloatNetwork(opset)
    x = n.op("Relu", n.conv("x", (8, 3, 3, 3), bias=8, pads=[1] * 4, strides=[2, 2]))
    x = n.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    y = n.conv(x, (8, 1, 3, 3), bias=8, group=8, pads=[1] * 4)
    bounds = {"min": np.float32(0), "max": np.float32(6)} if opset >= 11 else {"min": 0.0, "max": 6.0}
    y = n.with_numbers(11, "Clip", y, **bounds)
    x = n.op("Add", x, n.conv(y, (8, 8, 1, 1)))
    z = n.op("LeakyRelu", n.conv(x, (12, 2, 3, 3), bias=12, group=4, pads=[1] * 4), alpha=0.1)
    x = n.op("AveragePool", n.op("Concat", x, z, axis=1), kernel_shape=[3, 3], pads=[1] * 4)
    x = n.op("Flatten", n.op("GlobalAveragePool", x))
    return n.model(n.op("Gemm", x, n.normal(10, 20, scale=0.3), n.normal(10), transB=1), (2, 3, 26, 22))


def decoder(opset: int) -> onnx.ModelProto:
    """Gates, a split, a pad, a transposed convolution, an upsampling, a mean, and a matrix product over the pixels."""
    n = FloatNetwork(opset)
    x = n.conv("x", (8, 3, 3, 3), bias=8, pads=[1] * 4, strides=[2, 2])
    x = n.op("Mul", x, n.op("Sigmoid", x))
    a, b = n.with_numbers(13, "Split", x, 2, axis=1, split=np.array([3, 5]) if opset >= 13 else [3, 5])
    y = n.conv(a, (8, 3, 1, 1), bias=8)
    pads = [0, 0, 1, 1, 0, 0, 1, 1]
    y = n.with_numbers(11, "Pad", y, pads=np.array(pads) if opset >= 11 else pads)
    y = n.op("Add", n.op("Tanh", n.conv(y, (5, 8, 3, 3))), b)
    y = n.op("Relu", n.conv(y, (5, 8, 3, 3), bias=8, op="ConvTranspose", strides=[2, 2], pads=[1, 0, 0, 1]))
    scales = n.const(np.array([1, 1, 2, 2], np.float32))
    up = n.op("Resize", x, *(["", scales] if opset > 10 else [scales]), mode="nearest")
    y = n.op("HardSigmoid", n.op("Concat", y, up, axis=1))
    mean = n.with_numbers(18, "ReduceMean", y, axes=np.array([2, 3]) if opset >= 18 else [2, 3], keepdims=1)
    y = n.op("Transpose", n.op("Mul", y, mean), perm=[0, 2, 3, 1])
    y = n.op("MatMul", n.op("Reshape", y, n.const(np.array([2, -1, 16]))), n.normal(16, 7, scale=0.3))
    return n.model(n.op("Add", y, n.normal(7)), (2, 3, 14, 10))
