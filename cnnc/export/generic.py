"""The exporter of every op that is an ONNX operator: same inputs, same attributes, same results."""

from __future__ import annotations

from cnnc.export.opset import operator_of
from cnnc.export.writer import NodeWriter


def export_same(node: NodeWriter) -> None:
    """One node; attributes at their default are left out."""
    op_type = operator_of(node.operation.op)
    if op_type is None:
        node.refuse("the installed onnx package knows no operator of this name", "update the onnx package")
    node.finish(op_type, node.inputs, **node.fields())
