"""Writes ``squared_relu.onnx``: a small network that has the activation in all three spellings.

python examples/extension_package/make_model.py [FOLDER]
"""

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper


def model() -> onnx.ModelProto:
    """x [N, 3, 16, 16] -> conv -> SquaredRelu -> conv -> Relu * Relu -> conv -> Relu ** 2 -> y [N, 5, 16, 16]."""
    random = np.random.default_rng(0)
    weights = [
        numpy_helper.from_array(random.normal(0, 0.2, (out, channels, 3, 3)).astype(np.float32), f"w{index}")
        for index, (channels, out) in enumerate([(3, 16), (16, 20), (20, 5)])
    ]
    two = numpy_helper.from_array(np.float32(2), "two")
    pads = [1, 1, 1, 1]
    nodes = [
        helper.make_node("Conv", ["x", "w0"], ["c0"], "conv0", pads=pads),
        helper.make_node("SquaredRelu", ["c0"], ["s0"], "square0", domain="com.example"),
        helper.make_node("Conv", ["s0", "w1"], ["c1"], "conv1", pads=pads),
        helper.make_node("Relu", ["c1"], ["r1"], "relu1"),
        helper.make_node("Mul", ["r1", "r1"], ["s1"], "square1"),
        helper.make_node("Conv", ["s1", "w2"], ["c2"], "conv2", pads=pads),
        helper.make_node("Relu", ["c2"], ["r2"], "relu2"),
        helper.make_node("Pow", ["r2", "two"], ["y"], "square2"),
    ]
    x = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["N", 3, 16, 16])
    y = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["N", 5, 16, 16])
    graph = helper.make_graph(nodes, "squares", [x], [y], [*weights, two])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.example", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


if __name__ == "__main__":
    path = Path(sys.argv[1] if len(sys.argv) > 1 else ".") / "squared_relu.onnx"
    onnx.save(model(), path)
    print(f"wrote {path}")
