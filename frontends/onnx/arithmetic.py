"""Element-wise operators with two or more inputs: before opset 7 they broadcast by attribute, not as NumPy does."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cnnc.errors import ModelError
from cnnc.frontends.onnx.dtypes import dtype_by_name
from cnnc.frontends.onnx.generic import convert_same, generic_attrs, ir_name
from cnnc.frontends.onnx.node import Converted, Converter, OnnxNode
from cnnc.ir.node import Value

_BROADCAST_ATTRIBUTES = frozenset({"axis", "broadcast"})


def convert_binary(node: OnnxNode) -> Converted:
    """Before opset 7, ``broadcast=1`` lines up the second input with the axes of the first from ``axis`` on."""
    if node.opset >= 7:
        return convert_same(node)
    op = ir_name(node.op_type)
    if op is None:
        node.refuse("cnnc has no op for it")
    a, b = node.input(0), node.input(1)
    if node.integer("broadcast", 0) and node.has("axis"):
        b = _align(node, a, b, node.integer("axis"))
    return node.finish(op, [a, b], **generic_attrs(node, op, dropped=_BROADCAST_ATTRIBUTES))


def _align(node: OnnxNode, a: Value, b: Value, axis: int) -> Value:
    """``b`` with ones appended to its shape, so that it broadcasts from axis ``axis`` of ``a``."""
    axis += a.type.rank if axis < 0 else 0
    missing = a.type.rank - axis - b.type.rank
    if axis < 0 or missing < 0:
        raise ModelError(f"{b.type} does not line up with axis {axis} of {a.type}")
    if not missing:
        return b
    axes = node.constant([b.type.rank + index for index in range(missing)], np.int64, "axes")
    return node.step("unsqueeze", [b, axes])


def convert_prelu(node: OnnxNode) -> Converted:
    """Before opset 7, a slope of rank 1 is one slope per channel."""
    x, slope = node.input(0), node.input(1)
    if node.opset < 7 and slope.type.shape != (1,) and slope.type.rank == 1 and x.type.rank > 2:
        slope = _align(node, x, slope, 1)
    op = ir_name("PRelu")
    if op is None:
        node.refuse("cnnc has no op for it")
    return node.finish(op, [x, slope])


def convert_cast(node: OnnxNode) -> Converted:
    """Opset 1 names the element type by text."""
    to = node.attribute("to")
    if isinstance(to, str):
        return node.finish("cast", node.inputs, to=dtype_by_name(to))
    return node.finish(
        "cast", node.inputs, **generic_attrs(node, "cast", dropped=frozenset({"round_mode", "saturate"}))
    )


def convert_cast_like(node: OnnxNode) -> Converted:
    """A cast to the element type of the second input."""
    return node.finish("cast", [node.input(0)], to=node.input(1).type.dtype)


def convert_pow(node: OnnxNode) -> Converted:
    """The exponent may have another element type than the base, whose type the result has."""
    base, exponent = node.input(0), node.input(1)
    if node.opset < 7 and node.integer("broadcast", 0) and node.has("axis"):
        exponent = _align(node, base, exponent, node.integer("axis"))
    return node.finish("pow", [base, exponent])


_BINARY = ("Add", "Sub", "Mul", "Div", "And", "Or", "Xor", "Equal", "Greater", "Less")

CONVERTERS: Mapping[str, Converter] = {
    **dict.fromkeys(_BINARY, convert_binary),
    "Cast": convert_cast,
    "CastLike": convert_cast_like,
    "PRelu": convert_prelu,
    "Pow": convert_pow,
}
