"""Fields of an IR op as attributes of an ONNX operator. What equals its default is left out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from onnx import AttributeProto, defs

from cnnc.errors import InternalError
from cnnc.export.tensors import code_of, inline_tensor
from cnnc.ir.attrs import Attrs
from cnnc.ir.fact import Array
from cnnc.types import DType

Value: TypeAlias = int | float | str | DType | tuple[int, ...] | tuple[float, ...] | tuple[str, ...] | Array


def changed_fields(attrs: Attrs) -> dict[str, Any]:
    """Fields that are not at their default, which is the one of ONNX. None stands for an attribute that is absent."""
    changed = {}
    for field in dataclasses.fields(attrs):
        value = getattr(attrs, field.name)
        if field.default is dataclasses.MISSING or _stored(value) != _stored(field.default):
            changed[field.name] = value
    return changed


def _stored(value: object) -> str:
    """The value as an attribute would hold it, as text: ONNX has float32 only, and 0.0 and -0.0 are different."""
    return repr(np.float32(value)) if isinstance(value, float) else repr(value)


def make_attributes(schema: defs.OpSchema, values: Mapping[str, Value | None]) -> list[AttributeProto]:
    """Attributes of an operator in alphabetical order, without those that are None.

    Raises:
        InternalError: an exporter names an attribute that the operator does not have.
    """
    made = []
    for name, value in sorted(values.items(), key=lambda item: item[0]):
        if name not in schema.attributes:
            raise InternalError(f"{schema.name} has no attribute {name!r}")
        if value is not None:
            made.append(_make_attribute(name, value, int(schema.attributes[name].type)))
    return made


def _make_attribute(name: str, value: Any, kind: int) -> AttributeProto:
    attribute = AttributeProto(name=name, type=kind)
    match kind:
        case AttributeProto.INT:
            attribute.i = code_of(value) if isinstance(value, DType) else int(value)
        case AttributeProto.FLOAT:
            attribute.f = float(value)
        case AttributeProto.STRING:
            attribute.s = str(value).encode()
        case AttributeProto.INTS:
            attribute.ints.extend(int(item) for item in value)
        case AttributeProto.FLOATS:
            attribute.floats.extend(float(item) for item in value)
        case AttributeProto.STRINGS:
            attribute.strings.extend(str(item).encode() for item in value)
        case AttributeProto.TENSOR:
            attribute.t.CopyFrom(inline_tensor("", value))
        case _:
            raise InternalError(f"attribute {name!r} is of a kind that no exporter writes")
    return attribute
