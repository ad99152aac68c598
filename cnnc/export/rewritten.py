"""Ops that only the IR has: what passes make of chains of ONNX operators is written as such a chain again."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cnnc.errors import InternalError
from cnnc.export.activations import activated, per_channel
from cnnc.export.operation import Operand
from cnnc.export.writer import Exporter, NodeWriter
from cnnc.ir.fact import Fact, Operands
from cnnc.ops import OPS
from cnnc.types import DType, TensorType


def export_scale_shift(node: NodeWriter) -> None:
    """x * scale + shift, one of each a channel, then the activation."""
    x = node.input(0)
    rank = x.type.rank
    y = node.step("Mul", [x, per_channel(node, node.input(1), rank)])
    y = node.step("Add", [y, per_channel(node, node.input(2), rank)])
    node.result(activated(node, y, node.attrs.activation))


def export_channel_shuffle(node: NodeWriter) -> None:
    """[N, g * c, ...] -> [N, g, c, ...] -> [N, c, g, ...] -> [N, c * g, ...]: Reshape, Transpose, Reshape."""
    x, groups = node.input(0), node.attrs.groups
    batch, channels, *spatial = x.type.shape
    apart, dealt = (batch, groups, channels // groups, *spatial), (batch, channels // groups, groups, *spatial)
    dtype = x.type.dtype
    y = node.step("Reshape", [x, node.shape(apart)], TensorType(apart, dtype))
    y = node.step("Transpose", [y], TensorType(dealt, dtype), perm=(0, 2, 1, *range(3, len(apart))))
    node.finish("Reshape", [y, node.shape(x.type.shape)])


def export_dims(node: NodeWriter) -> None:
    """Sizes as an int64 vector or scalar: a constant where all are numbers, else arithmetic on Shape."""
    dims = node.attrs.dims
    if all(isinstance(dim, int) for dim in dims):
        node.constant_result(np.array(dims, np.int64).reshape(() if node.attrs.scalar else (-1,)))
    elif node.attrs.scalar:
        node.finish("Squeeze", [node.model.sizes.size(node, dims[0]), node.int64([0], "axes")])
    else:
        node.result(node.shape(dims))


def export_elementwise_chain(node: NodeWriter) -> None:
    """The steps one after the other."""
    values: list[Operand | None] = list(node.inputs)
    for step in node.attrs.steps:
        op = OPS[step.op]
        attrs = op.attrs(**dict(step.attributes))
        read = [None if index < 0 else values[index] for index in step.operands]
        facts = [None if operand is None else Fact(operand.type, array=operand.array) for operand in read]
        values.append(node.part(step.op, read, attrs, op.infer_types(attrs, Operands(facts))[0]))
    last = values[-1]
    if last is None:
        raise InternalError(f"chain {node.operation.name!r} has no step")
    node.result(last)


def export_constant_of_shape(node: NodeWriter) -> None:
    """The value is a tensor of one element, which also gives the element type."""
    value, dtype = node.attrs.value, node.attrs.dtype
    if value == 0 and dtype is DType.F32:
        node.finish("ConstantOfShape", node.inputs)
        return
    node.finish("ConstantOfShape", node.inputs, value=np.array([value], dtype.numpy))


EXPORTERS: Mapping[str, Exporter] = {
    "channel_shuffle": export_channel_shuffle,
    "constant_of_shape": export_constant_of_shape,
    "dims": export_dims,
    "elementwise_chain": export_elementwise_chain,
    "scale_shift": export_scale_shift,
}
