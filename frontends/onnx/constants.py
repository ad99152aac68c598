"""Constant in all its forms, and ConstantOfShape's value."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cnnc.errors import ModelError
from cnnc.frontends.onnx.attributes import field_types, field_value
from cnnc.frontends.onnx.node import Converted, Converter, OnnxNode
from cnnc.ir.fact import Array
from cnnc.types import DType

_NUMBERS = {
    "value_int": np.int64,
    "value_ints": np.int64,
    "value_float": np.float32,
    "value_floats": np.float32,
}


def convert_constant(node: OnnxNode) -> Converted:
    """A Constant node becomes a constant of the graph, no node."""
    given = [name for name in node.attribute_names if name.startswith(("value", "sparse_value"))]
    if len(given) != 1:
        raise ModelError(f"a Constant needs exactly one value, got {given}")
    name = given[0]
    if name in ("value_string", "value_strings"):
        node.refuse("it holds text, and cnnc has no strings")
    value: Array | None
    if name in _NUMBERS:
        value = np.array(node.attribute(name), _NUMBERS[name])
    else:
        value = node.tensor(name)
    if value is None:
        raise ModelError(f"a Constant has no attribute {name!r}")
    return (node.graph.add_constant(value, node.outputs[0]),)


def convert_constant_of_shape(node: OnnxNode) -> Converted:
    """The value is a tensor of one element; float32 zero by default."""
    value = node.tensor("value")
    if value is None:
        value = np.zeros(1, np.float32)
    if value.size != 1:
        raise ModelError(f"the value has {value.size} elements, expected one")
    number = field_value(value.reshape(()).item(), field_types("constant_of_shape")["value"], "value")
    return node.finish("constant_of_shape", node.inputs, value=number, dtype=DType.of(value.dtype))


CONVERTERS: Mapping[str, Converter] = {
    "Constant": convert_constant,
    "ConstantOfShape": convert_constant_of_shape,
}
