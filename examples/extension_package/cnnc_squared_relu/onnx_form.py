"""The op in ONNX: an operator of a domain of one's own on the way in, two standard operators on the way out."""

from cnnc.export.writer import NodeWriter
from cnnc.frontends.onnx.node import Converted, OnnxNode


def convert(node: OnnxNode) -> Converted:
    """``com.example.SquaredRelu(x)``."""
    return node.finish("squared_relu", node.inputs)


def export(node: NodeWriter) -> None:
    """Relu and Mul, which every engine knows."""
    positive = node.step("Relu", node.inputs)
    node.finish("Mul", [positive, positive])
