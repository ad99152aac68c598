"""The converter of every operator whose IR op has the same inputs and the same attributes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import onnx
from onnx import defs

from cnnc.errors import ModelError
from cnnc.frontends.onnx.attributes import attribute_value, field_types, field_value
from cnnc.frontends.onnx.node import Converted, OnnxNode
from cnnc.ops import OPS

_LEGACY = frozenset({"consumed_inputs"})
"""Attributes of the first opsets that never meant anything to the result."""


@lru_cache(maxsize=1024)
def ir_name(op_type: str) -> str | None:
    """Name of the IR op that an operator of the default domain is, or None."""
    return next((name for name in OPS.own() if name.replace("_", "") == op_type.lower()), None)


@lru_cache(maxsize=4096)
def find_schema(op_type: str, opset: int, domain: str = "") -> defs.OpSchema | None:
    """The definition of an operator as of an opset, or None where ONNX had none then."""
    try:
        return defs.get_schema(op_type, opset, domain)
    except defs.SchemaError:
        return None


def generic_attrs(node: OnnxNode, op: str, *, dropped: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The node's attributes as fields of an IR op; a default is that of the node's own opset.

    Args:
        dropped: attributes that the converter has dealt with itself.

    Raises:
        UnsupportedError: an attribute that the IR op does not have, with a value that is not its default.
    """
    fields = field_types(op)
    schema = find_schema(node.op_type, node.opset, node.domain)
    defaults: Mapping[str, onnx.AttributeProto] = (
        {name: attribute.default_value for name, attribute in schema.attributes.items()} if schema else {}
    )
    values: dict[str, Any] = {}
    for name in node.attribute_names:
        if name in dropped or name in _LEGACY:
            continue
        value = node.attribute(name)
        assert value is not None
        if name in fields:
            values[name] = field_value(value, fields[name], name)
        elif schema is not None and name not in defaults:
            raise ModelError(f"{node.op_type} of opset {node.opset} has no attribute {name!r}")
        elif name not in defaults or not defaults[name].name or attribute_value(defaults[name]) != value:
            node.refuse(f"attribute {name!r} = {value!r:.60} is not supported")
    for name, default in defaults.items():
        if name in fields and name not in values and name not in dropped and default.name:
            values[name] = field_value(attribute_value(default), fields[name], name)
    return values


def convert_same(node: OnnxNode) -> Converted:
    """Same inputs, same attributes, same outputs."""
    op = ir_name(node.op_type)
    if op is None:
        node.refuse("cnnc has no op for it")
    return node.finish(op, node.inputs, **generic_attrs(node, op))
