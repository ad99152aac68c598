"""Random quantized networks: compiled, they equal the reference bit for bit, on one thread and on two."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

import cnnc
from cnnc import interp
from cnnc.frontends import import_onnx
from tests.frontends.model_builder import build, tensor_input

CHANNELS, SIDE = (3, 8, 17), 9


class RandomNetwork:
    """A chain of layers over tensors of one map size, every result quantized anew."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.dtype = np.dtype(self.random.choice(["uint8", "int8"]))
        self.nodes: list[Any] = []
        self.weights: dict[str, Any] = {}
        self.pool: list[tuple[str, int, float]] = []
        """Dequantized tensors to read: name, channels, scale."""

    def const(self, array: Any) -> str:
        name = f"w{len(self.weights)}"
        self.weights[name] = np.asarray(array)
        return name

    def node(self, op: str, inputs: list[str], **attributes: Any) -> str:
        name = f"{op.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], **attributes))
        return name

    def zero_point(self, dtype: np.dtype[Any]) -> str:
        """Often an end of the range."""
        limits = np.iinfo(dtype)
        ends = [limits.min, limits.max, 0, 128 + limits.min]
        return self.const(
            np.array(self.random.choice([*ends, *self.random.integers(limits.min, limits.max, 4)]), dtype)
        )

    def quantize(self, x: str, scale: float) -> tuple[str, float]:
        """``x`` stored and read again."""
        if self.random.random() < 0.3:
            x = self.node("Relu", [x])
        pair = [self.const(np.float32(scale)), self.zero_point(self.dtype)]
        return self.node("DequantizeLinear", [self.node("QuantizeLinear", [x, *pair]), *pair]), scale

    def add(self, x: str, channels: int, scale: float) -> None:
        y, scale = self.quantize(x, scale)
        self.pool.append((y, channels, scale))

    def pick(self) -> tuple[str, int, float]:
        return self.pool[int(self.random.integers(max(0, len(self.pool) - 3), len(self.pool)))]

    def conv(self) -> None:
        x, channels, x_scale = self.pick()
        kernel, outputs = int(self.random.choice([1, 3])), int(self.random.choice(CHANNELS))
        group = channels if self.random.random() < 0.3 else 1
        outputs = channels if group > 1 else outputs
        dtype = np.dtype(self.random.choice(["int8", "uint8"]))
        limits = np.iinfo(dtype)
        w = self.random.integers(limits.min, limits.max + 1, (outputs, channels // group, kernel, kernel)).astype(dtype)
        per_channel = dtype == np.int8 and self.random.random() < 0.5
        w_scale = self.random.uniform(0.5, 1.5, outputs if per_channel else ()).astype(np.float32)
        w_scale = (w_scale / np.float32(70 * np.sqrt(w[0].size))).astype(np.float32)
        zero = self.const(np.zeros(outputs, dtype)) if per_channel else self.zero_point(dtype)
        weights = self.node(
            "DequantizeLinear", [self.const(w), self.const(w_scale), zero], axis=0 if per_channel else 1
        )
        steps = np.broadcast_to(w_scale * np.float32(x_scale), (outputs,)).astype(np.float32)
        bias = [self.const(self.random.integers(-9000, 9000, outputs).astype(np.int32)), self.const(steps)]
        real_bias = self.node("DequantizeLinear", bias, axis=0)
        pads = [kernel // 2] * 4
        self.add(self.node("Conv", [x, weights, real_bias], group=group, pads=pads), outputs, x_scale * 2)

    def binary(self, op: str) -> None:
        x, channels, scale = self.pick()
        others = [entry for entry in self.pool if entry[1] == channels]
        y, _, other = others[int(self.random.integers(len(others)))]
        self.add(self.node(op, [x, y]), channels, (scale + other) * float(self.random.uniform(0.3, 1.2)))

    def concat(self) -> None:
        (x, a, scale), (y, b, _) = self.pick(), self.pick()
        self.add(self.node("Concat", [x, y], axis=1), a + b, scale)

    def pooled(self, op: str) -> None:
        x, channels, scale = self.pick()
        self.add(self.node(op, [x], kernel_shape=[3, 3], pads=[1] * 4), channels, scale)

    def unary(self) -> None:
        x, channels, _ = self.pick()
        self.add(self.node(str(self.random.choice(["Sigmoid", "LeakyRelu", "HardSwish", "Tanh"])), [x]), channels, 0.01)

    def model(self, layers: int) -> ModelProto:
        pair = [self.const(np.float32(0.02)), self.zero_point(self.dtype)]
        self.pool.append((self.node("DequantizeLinear", ["x", *pair]), 8, 0.02))
        kinds = [self.conv, self.conv, self.concat, self.unary]
        kinds += [lambda op=op: self.binary(op) for op in ("Add", "Mul")]
        kinds += [lambda op=op: self.pooled(op) for op in ("MaxPool", "AveragePool")]
        for _ in range(layers):
            kinds[int(self.random.integers(len(kinds)))]()
        code = helper.np_dtype_to_tensor_dtype(self.dtype)
        shape = (2, 8, SIDE, SIDE)
        assert code in (TensorProto.UINT8, TensorProto.INT8)
        results = [name for name, _, _ in self.pool[-2:]]
        return build(self.nodes, [tensor_input("x", shape, code)], results, weights=self.weights, opset=17)


def stored(network: RandomNetwork, seed: int) -> dict[str, Any]:
    bits = np.random.default_rng(seed).integers(0, 256, (2, 8, SIDE, SIDE)).astype(np.uint8)
    return {"x": bits.view(network.dtype)}


@pytest.mark.jit
@pytest.mark.parametrize("seed", range(8))
def test_compiled_equals_the_reference(seed: int) -> None:
    network = RandomNetwork(seed)
    compiled = cnnc.compile(network.model(9))
    feeds = stored(network, seed)
    expected = list(interp.run(compiled.graph, feeds).values())
    for threads in (1, 2):
        results = compiled.session(threads=threads).run(None, feeds)
        for ours, reference in zip(results, expected, strict=True):
            np.testing.assert_array_equal(ours, reference)


@pytest.mark.parametrize("seed", range(40))
def test_fused_lies_within_steps_of_float64(seed: int) -> None:
    """A step at each layer at most: sums that fall between two stored values may take either."""
    network = RandomNetwork(seed)
    model = network.model(1)
    feeds = stored(network, seed)
    compiled = cnnc.compile(model, level=0)
    truth = interp.run(import_onnx(model), feeds, float64=True)
    for (name, real), (_, _, step) in zip(truth.items(), network.pool[-2:]):
        ours = interp.run(compiled.graph, feeds)[name]
        assert np.abs(ours - real).max() <= 1.001 * step
        assert np.mean(np.abs(ours - real) > 0.001 * step) <= 0.01
