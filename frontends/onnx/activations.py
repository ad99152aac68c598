"""Clip, Softmax and its relatives, Dropout: operators whose attributes or meaning changed over the opsets."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cnnc.dims import product
from cnnc.errors import ModelError
from cnnc.frontends.onnx.generic import generic_attrs
from cnnc.frontends.onnx.node import Converted, Converter, OnnxNode
from cnnc.ir.node import Value

_SOFTMAX_OPS = {"Softmax": "softmax", "LogSoftmax": "log_softmax", "Hardmax": "hardmax"}


def convert_clip(node: OnnxNode) -> Converted:
    """Bounds are attributes before opset 11, inputs since."""
    if node.opset >= 11:
        return node.finish("clip", node.inputs)
    x = node.input(0)
    bounds = [
        node.constant(node.real(name), x.type.dtype.numpy, name) if node.has(name) else None for name in ("min", "max")
    ]
    return node.finish("clip", [x, *bounds])


def convert_softmax(node: OnnxNode) -> Converted:
    """Before opset 13 the input is seen as a matrix: all axes before ``axis`` are rows, all from it on are columns."""
    op = _SOFTMAX_OPS[node.op_type]
    if node.opset >= 13:
        return node.finish(op, node.inputs, **generic_attrs(node, op))
    flat, axis = _as_matrix(node, node.input(0))
    if axis is not None:
        return node.finish(op, [flat], axis=axis)
    return node.finish("reshape", [node.step(op, [flat], axis=1), node.step("shape", [node.input(0)])], allowzero=1)


def softmax(node: OnnxNode, x: Value, opset: int) -> Value:
    """Softmax of ``x`` in the sense of ``opset``, along the axis that the node names."""
    if opset >= 13:
        return node.step("softmax", [x], axis=node.integer("axis", -1))
    flat, axis = _as_matrix(node, x)
    if axis is not None:
        return node.step("softmax", [flat], axis=axis)
    return node.step("reshape", [node.step("softmax", [flat], axis=1), node.step("shape", [x])], allowzero=1)


def _as_matrix(node: OnnxNode, x: Value) -> tuple[Value, int | None]:
    """``x`` as the matrix that operators before opset 13 see; or itself, and the axis alone that makes the columns."""
    axis = node.integer("axis", 1)
    rank = x.type.rank
    if not -rank <= axis <= rank:
        raise ModelError(f"axis {axis} is outside a tensor of rank {rank}")
    axis += rank if axis < 0 else 0
    if axis < rank and product(x.type.shape[axis + 1 :]) == 1:
        return x, axis
    return node.step("flatten", [x], axis=axis), None


def convert_dropout(node: OnnxNode) -> Converted:
    """Nothing is dropped at inference: before opset 12 the ratio is an attribute and the mode is fixed.

    The mask is of the input's element type before opset 10.
    """
    x = node.input(0)
    if node.opset >= 12:
        return node.finish("dropout", node.inputs, **generic_attrs(node, "dropout"))
    ratio = node.constant(node.real("ratio", 0.5), np.float32, "ratio")
    if not node.is_used(1):
        return node.finish("dropout", [x, ratio])
    if node.opset >= 10:
        return node.finish("dropout", [x, ratio], outputs=2)
    (y,) = node.finish("dropout", [x, ratio], outputs=1)
    shape = node.step("shape", [x])
    ones = node.constant([1], x.type.dtype.numpy, "ones")
    return (y, node.step("expand", [ones, shape]))


CONVERTERS: Mapping[str, Converter] = {
    **dict.fromkeys(_SOFTMAX_OPS, convert_softmax),
    "Clip": convert_clip,
    "Dropout": convert_dropout,
}
