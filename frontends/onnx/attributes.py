"""ONNX attributes as plain values, and their conversion to the fields of an op's attribute class."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, TypeAlias, Union

import onnx
from onnx import AttributeProto

from cnnc.errors import InternalError, ModelError, UnsupportedError
from cnnc.frontends.onnx.dtypes import dtype_of
from cnnc.ir.attrs import Attrs
from cnnc.ops import OPS
from cnnc.types import DType

AttributeValue: TypeAlias = (
    int
    | float
    | str
    | tuple[int, ...]
    | tuple[float, ...]
    | tuple[str, ...]
    | onnx.TensorProto
    | onnx.SparseTensorProto
    | onnx.GraphProto
)
"""What an attribute may hold: numbers, texts, tensors, and the branches of an If."""


def attribute_value(attribute: AttributeProto) -> AttributeValue:
    """The value of one attribute.

    Raises:
        UnsupportedError: a kind that no supported operator has.
        ModelError: text that is not UTF-8.
    """
    match attribute.type:
        case AttributeProto.INT:
            return int(attribute.i)
        case AttributeProto.FLOAT:
            return float(attribute.f)
        case AttributeProto.STRING:
            return _text(attribute.s, attribute.name)
        case AttributeProto.INTS:
            return tuple(int(item) for item in attribute.ints)
        case AttributeProto.FLOATS:
            return tuple(float(item) for item in attribute.floats)
        case AttributeProto.STRINGS:
            return tuple(_text(item, attribute.name) for item in attribute.strings)
        case AttributeProto.TENSOR:
            return attribute.t
        case AttributeProto.SPARSE_TENSOR:
            return attribute.sparse_tensor
        case AttributeProto.GRAPH:
            return attribute.g
        case AttributeProto.UNDEFINED:
            return _untyped(attribute)
    kind = AttributeProto.AttributeType.Name(attribute.type).lower()
    raise UnsupportedError(f"attribute {attribute.name!r} is a {kind}, which is not supported")


def _untyped(attribute: AttributeProto) -> AttributeValue:
    """Attributes of IR version 1 and 2 carry no type: the field that is set tells."""
    if attribute.ints:
        return tuple(int(item) for item in attribute.ints)
    if attribute.floats:
        return tuple(float(item) for item in attribute.floats)
    if attribute.strings:
        return tuple(_text(item, attribute.name) for item in attribute.strings)
    if attribute.HasField("s"):
        return _text(attribute.s, attribute.name)
    if attribute.HasField("t"):
        return attribute.t
    if attribute.HasField("f"):
        return float(attribute.f)
    if attribute.HasField("i"):
        return int(attribute.i)
    raise ModelError(f"attribute {attribute.name!r} has no value")


def _text(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ModelError(f"attribute {name!r} is not UTF-8 text") from error


@lru_cache(maxsize=1024)
def field_types(op: str) -> Mapping[str, Any]:
    """Name and annotated type of each attribute of an IR op."""
    attrs = OPS[op].attrs
    hints = typing.get_type_hints(attrs)
    return {field.name: hints[field.name] for field in dataclasses.fields(attrs)}


def field_value(value: AttributeValue, annotation: Any, name: str) -> Any:
    """An ONNX attribute's value as the field of an attribute class wants it.

    Raises:
        ModelError: the attribute is of another kind than the field.
    """
    kinds = typing.get_args(annotation) if _is_union(annotation) else (annotation,)
    for kind in kinds:
        origin = typing.get_origin(kind) or kind
        if origin is tuple and isinstance(value, tuple):
            return value
        if kind is DType and isinstance(value, int):
            # 0 is how the newest operators write "not given".
            return dtype_of(value) if value or type(None) not in kinds else None
        if kind is bool and isinstance(value, int):
            return bool(value)
        if kind is float and isinstance(value, (int, float)):
            return float(value)
        if kind in (int, str) and isinstance(value, kind):
            return value
    raise ModelError(f"attribute {name!r} is {value!r:.60}, expected {annotation}")


def _is_union(annotation: Any) -> bool:
    return typing.get_origin(annotation) in (Union, types.UnionType)


def make_attrs(op: str, values: Mapping[str, Any]) -> Attrs:
    """The attributes of an IR op.

    Raises:
        ModelError: an attribute without a default is missing, or the op refuses a value.
        InternalError: a converter names a field that the class does not have.
    """
    attrs = OPS[op].attrs
    unknown = sorted(set(values) - set(field_types(op)))
    if unknown:
        raise InternalError(f"{attrs.__name__} has no field {', '.join(unknown)}")
    for field in dataclasses.fields(attrs):
        has_default = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        if field.name not in values and not has_default:
            raise ModelError(f"attribute {field.name!r} is required but absent")
    return attrs(**values)
