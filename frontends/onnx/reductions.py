"""Reductions, whose axes became an input, and TopK, whose k did."""

from __future__ import annotations

from collections.abc import Mapping

from cnnc.frontends.onnx.generic import generic_attrs, ir_name
from cnnc.frontends.onnx.node import Converted, Converter, OnnxNode

_AXES_AND_K = frozenset({"axes", "k"})
_REDUCTIONS = (
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSum",
    "ReduceSumSquare",
)


def convert_reduce(node: OnnxNode) -> Converted:
    """Axes are an attribute before opset 18 (ReduceSum: before 13), an input since."""
    op = ir_name(node.op_type)
    if op is None:
        node.refuse("cnnc has no op for it")
    attrs = generic_attrs(node, op, dropped=_AXES_AND_K)
    if node.opset >= (13 if node.op_type == "ReduceSum" else 18):
        return node.finish(op, node.inputs, **attrs)
    axes = node.integers("axes")
    return node.finish(op, [node.input(0), node.optional_int64(axes or None, "axes")], **attrs)


def convert_top_k(node: OnnxNode) -> Converted:
    """k is an attribute before opset 10, an input since."""
    attrs = generic_attrs(node, "top_k", dropped=_AXES_AND_K)
    if node.opset >= 10:
        return node.finish("top_k", node.inputs, outputs=2, **attrs)
    return node.finish("top_k", [node.input(0), node.optional_int64([node.integer("k")], "k")], outputs=2, **attrs)


CONVERTERS: Mapping[str, Converter] = {**dict.fromkeys(_REDUCTIONS, convert_reduce), "TopK": convert_top_k}
