"""The text form of the IR: prints a graph so that ``cnnc.ir.text_parser.parse_graph`` reads back the same one.

    graph "lenet5" stage=imported {
      input %x: f32[N, 1, 28, 28]
      const %w: f32[6, 1, 5, 5] = sha256:0123456789abcdef
      const %b: f32[2] = [0.5, -0.0]
      %conv1: f32[N, 6, 12, 12] = conv(%x, %w, none) {strides=(2, 2), activation=Activation(kind="relu")} @"conv1"
      output "logits" = %conv1
    }

One statement a line. Constants of at most 32 elements are written out with their exact values, larger ones by the hash
of their content. Attributes equal to their default are left out. Symbolic dimensions inside attributes stand in single
quotes, names that are not plain words in double quotes. ``@`` gives a node's origins.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from cnnc.dims import Expr
from cnnc.errors import InternalError
from cnnc.ir.attrs import Attrs
from cnnc.ir.fact import Array
from cnnc.ir.graph import Graph
from cnnc.ir.node import Node, Value
from cnnc.types import DType, Layout, Quant, TensorType

MAX_INLINE_ELEMENTS = 32
"""Largest constant whose values are written out."""

BARE_NAME = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_./\-]*")
"""Names that need no quotes."""

ConstantText = Callable[[Array], str]


def print_graph(graph: Graph, constant_text: ConstantText | None = None) -> str:
    """The graph as text, one statement a line, with a newline at the end.

    Args:
        graph: any graph.
        constant_text: how a constant's content is written, ``constant_text`` of this module unless given.
    """
    show = constant_text or _constant_text
    lines = [f"graph {json.dumps(graph.name)} stage={graph.stage} {{"]
    lines += [f"  input {_operand(value)}: {type_text(value.type)}" for value in graph.inputs]
    for value in graph.constants:
        assert value.array is not None
        lines.append(f"  const {_operand(value)}: {type_text(value.type)} = {show(value.array)}")
    lines += [f"  {node_text(node)}" for node in graph.nodes]
    for name, value in zip(graph.output_names, graph.outputs, strict=True):
        lines.append(f"  output {json.dumps(name)} = {_operand(value)}")
    return "\n".join([*lines, "}", ""])


def print_apart(graph: Graph) -> tuple[str, dict[str, Array]]:
    """The graph as text, and by key the constants that it gives by hash: what ``parse_graph`` needs to read it back."""
    arrays: dict[str, Array] = {}

    def show(array: Array) -> str:
        inline = _inline(array)
        if inline is not None:
            return inline
        key = constant_key(array)
        arrays[key] = array
        return f"sha256:{key}"

    return print_graph(graph, show), arrays


def node_text(node: Node) -> str:
    """One node as a statement."""
    results = ", ".join(f"{_operand(value)}: {type_text(value.type)}" for value in node.outputs)
    operands = ", ".join("none" if value is None else _operand(value) for value in node.inputs)
    fields = fields_text(node.attrs)
    attributes = f" {{{fields}}}" if fields else ""
    origins = " @" + ", ".join(map(json.dumps, node.loc)) if node.loc else ""
    return f"{results} = {node.op}({operands}){attributes}{origins}"


def type_text(type: TensorType) -> str:
    """``f32[N, 64, 56, 56]@c16 quant(scales; zero points; axis)``; layout and quantization only where they are set."""
    return f"{type} {_quant_text(type.quant)}" if type.quant is not None else str(type)


def _quant_text(quant: Quant) -> str:
    scales = ", ".join(float.__repr__(float(scale)) for scale in quant.scale)
    zeros = ", ".join(str(int(zero)) for zero in quant.zero_point)
    return f"quant({scales}; {zeros}; {'none' if quant.axis is None else quant.axis})"


def constant_key(array: Array) -> str:
    """16 hexadecimal digits of the SHA-256 of dtype, shape and content (row-major, little-endian)."""
    digest = hashlib.sha256(f"{DType.of(array.dtype).value}{list(array.shape)}".encode())
    digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()[:16]


def _constant_text(array: Array) -> str:
    inline = _inline(array)
    return f"sha256:{constant_key(array)}" if inline is None else inline


def _inline(array: Array) -> str | None:
    """``[1.0, nan]`` in row-major order, or None for large constants and NaNs whose payload is not the usual one."""
    if array.size > MAX_INLINE_ELEMENTS:
        return None
    parts = [_scalar(item) for item in array.reshape(-1)]
    if array.dtype.kind in "iub" or _bits(parse_floats(parts, array.dtype)) == _bits(array):
        return f"[{', '.join(parts)}]"
    exact = [float.__repr__(float(item)) for item in array.reshape(-1)]
    return f"[{', '.join(exact)}]" if _bits(parse_floats(exact, array.dtype)) == _bits(array) else None


def _bits(array: Array) -> bytes:
    return np.ascontiguousarray(array).tobytes()


def parse_floats(parts: list[str], dtype: np.dtype[Any]) -> Array:
    """The floats of a constant, each read as a float64 and rounded to ``dtype``."""
    with np.errstate(all="ignore"):
        array: Array = np.array([float(part) for part in parts], np.float64).astype(dtype)
        return array


def _scalar(item: Any) -> str:
    if item.dtype.kind == "b":
        return "true" if item else "false"
    return str(int(item)) if item.dtype.kind in "iu" else str(item)


def _operand(value: Value) -> str:
    return f"%{value.name}" if BARE_NAME.fullmatch(value.name) else f"%{json.dumps(value.name)}"


def fields_text(attrs: Attrs) -> str:
    """``strides=(2, 2), group=4``: the attributes that differ from their default."""
    parts = []
    for field in dataclasses.fields(attrs):
        text = attribute_text(getattr(attrs, field.name))
        # Texts are compared, not values: 1, 1.0 and True are different attributes, and so are 0.0 and -0.0.
        if field.default is dataclasses.MISSING or text != attribute_text(field.default):
            parts.append(f"{field.name}={text}")
    return ", ".join(parts)


def attribute_text(value: Any) -> str:
    """An attribute's value; each kind has a form of its own, so that it reads back as the same kind."""
    match value:
        case None:
            return "none"
        case bool():
            return "true" if value else "false"
        case int():
            return int.__repr__(value)
        case float():
            return float.__repr__(value)
        case str():
            return json.dumps(value)
        case DType():
            return value.value
        case Layout():
            return f"@{value}"
        case Expr():
            return f"'{value}'"
        case Attrs():
            return f"{type(value).__name__}({fields_text(value)})"
        case tuple():
            return f"({', '.join(attribute_text(item) for item in value)}{',' if len(value) == 1 else ''})"
    raise InternalError(f"an attribute may not be a {type(value).__name__}: {value!r}")
