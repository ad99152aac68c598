"""Pools of the first opsets, whose attributes had other kinds, and Gemm."""

from __future__ import annotations

from collections.abc import Mapping

from cnnc.frontends.onnx.generic import generic_attrs, ir_name
from cnnc.frontends.onnx.node import Converted, Converter, OnnxNode


def convert_lp_pool(node: OnnxNode) -> Converted:
    """``p`` is a float in opset 1."""
    op = ir_name(node.op_type)
    if op is None:
        node.refuse("cnnc has no op for it")
    p = node.real("p", 2.0)
    if p != int(p):
        node.refuse(f"p = {p} is not a whole number")
    return node.finish(op, node.inputs, p=int(p), **generic_attrs(node, op, dropped=frozenset({"p"})))


def convert_gemm(node: OnnxNode) -> Converted:
    """``broadcast`` of the first opsets allows what later ones always do."""
    return node.finish("gemm", node.inputs, **generic_attrs(node, "gemm", dropped=frozenset({"broadcast"})))


CONVERTERS: Mapping[str, Converter] = {
    "Gemm": convert_gemm,
    "GlobalLpPool": convert_lp_pool,
    "LpPool": convert_lp_pool,
}
