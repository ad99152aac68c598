"""Functions: those of the model, and the bodies that ONNX itself gives to operators it defines by others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx
from onnx import defs

from cnnc.errors import ModelError
from cnnc.frontends.onnx.dtypes import code_of
from cnnc.frontends.onnx.generic import find_schema
from cnnc.frontends.onnx.order import MAX_DEPTH
from cnnc.ir.node import Value

FunctionKey = tuple[str, str, str]
"""Domain, name and overload of a model-local function."""


def plain_domain(domain: str) -> str:
    """The domain with its default spelled one way."""
    return "" if domain == "ai.onnx" else domain


def local_functions(model: onnx.ModelProto) -> dict[FunctionKey, onnx.FunctionProto]:
    """The model's functions by key.

    Raises:
        ModelError: a function is defined twice.
    """
    functions: dict[FunctionKey, onnx.FunctionProto] = {}
    for function in model.functions:
        key = (plain_domain(function.domain), function.name, function.overload)
        if key in functions:
            raise ModelError(f"the function {function.domain}.{function.name} is defined twice")
        functions[key] = function
    return functions


def opset_versions(imports: Sequence[onnx.OperatorSetIdProto]) -> dict[str, int]:
    """Version of each imported domain.

    Raises:
        ModelError: a version below 1, or two versions of one domain.
    """
    versions: dict[str, int] = {}
    for entry in imports:
        domain = plain_domain(entry.domain)
        if entry.version < 1:
            raise ModelError(f"opset {entry.version} of domain {entry.domain or 'ai.onnx'!r} makes no sense")
        if versions.setdefault(domain, entry.version) != entry.version:
            raise ModelError(f"domain {entry.domain or 'ai.onnx'!r} is imported in two versions")
    return versions


def schema_function(node: onnx.NodeProto, opset: int, inputs: Sequence[Value | None]) -> onnx.FunctionProto | None:
    """The body that the ONNX standard gives to an operator of the default domain, or None if it gives none."""
    schema = find_schema(node.op_type, opset)
    if schema is None:
        return None
    if schema.has_function:
        function: onnx.FunctionProto = schema.function_body
        return function
    if not schema.has_context_dependent_function:
        return None
    types = [_type_of(value).SerializeToString() for value in inputs]
    body = onnx.FunctionProto.FromString(schema.get_context_dependent_function(node.SerializeToString(), types))
    if not body.input:
        # ONNX leaves out the formal names where it builds the body for one node.
        body.input.extend(parameter.name for parameter in schema.inputs)
        body.output.extend(parameter.name for parameter in schema.outputs)
    return body


def has_schema_function(op_type: str, opset: int) -> bool:
    """Whether the standard defines the operator by others."""
    schema: defs.OpSchema | None = find_schema(op_type, opset)
    return schema is not None and bool(schema.has_function or schema.has_context_dependent_function)


def _type_of(value: Value | None) -> onnx.TypeProto:
    if value is None:
        return onnx.TypeProto()
    shape = [dim if isinstance(dim, int) else str(dim) for dim in value.type.shape]
    return onnx.helper.make_tensor_type_proto(code_of(value.type.dtype), shape)


def default_attributes(function: onnx.FunctionProto, node: onnx.NodeProto) -> dict[str, onnx.AttributeProto]:
    """Attributes that the function's body may refer to: those of the call, else the function's defaults."""
    given = {attribute.name: attribute for attribute in function.attribute_proto}
    if plain_domain(node.domain) == "" and not function.attribute_proto:
        schema = find_schema(node.op_type, max(opset_versions(function.opset_import).get("", 1), 1))
        if schema is not None:
            given |= {name: a.default_value for name, a in schema.attributes.items() if a.default_value.name}
    return given | {attribute.name: attribute for attribute in node.attribute}


def bind_attributes(node: onnx.NodeProto, given: Mapping[str, onnx.AttributeProto], depth: int = 0) -> onnx.NodeProto:
    """The node with each reference to a function's attribute replaced by its value, or dropped where it has none."""
    if depth > MAX_DEPTH:
        raise ModelError(f"subgraphs are nested more than {MAX_DEPTH} deep", where=node.name)
    if not any(attribute.ref_attr_name or attribute.HasField("g") for attribute in node.attribute):
        return node
    bound = onnx.NodeProto()
    bound.CopyFrom(node)
    del bound.attribute[:]
    for attribute in node.attribute:
        if attribute.ref_attr_name:
            value = given.get(attribute.ref_attr_name)
            if value is None:
                continue
            copy = bound.attribute.add()
            copy.CopyFrom(value)
            copy.name = attribute.name
            continue
        copy = bound.attribute.add()
        copy.CopyFrom(attribute)
        if attribute.HasField("g"):
            inner = [bind_attributes(item, given, depth + 1) for item in attribute.g.node]
            del copy.g.node[:]
            copy.g.node.extend(inner)
    return bound
