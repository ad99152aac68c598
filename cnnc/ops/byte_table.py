"""Ops that take one byte to one byte: all that they compute is a table of 256 entries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cnnc.ir import Array, Node, Value
from cnnc.ops.quantized_operands import BYTES
from cnnc.runtime import host
from cnnc.types import DType

TABLE_OPS = frozenset({"clip", "lookup", "q_linear_leaky_relu", "q_linear_sigmoid", "requantize"})
"""Ops that work element by element on their first operand."""

PAIR_OPS = frozenset({"q_linear_add", "q_linear_mul"})
"""Ops that do so on two operands."""


@dataclass(frozen=True, slots=True)
class ByteTable:
    """``entries`` [256], of the type of the result, by the bits of the operand at ``position``."""

    position: int
    entries: Array


def byte_operands(node: Node) -> tuple[int, ...] | str:
    """Positions of the computed operands of a node on bytes, all of the result's shape; or why it is none such.

    All that it reads besides is constant, and a constant that stands for a tensor has one element.
    """
    if node.op not in TABLE_OPS | PAIR_OPS:
        return f"{node.op} does not work byte by byte"
    data = (0, 3) if node.op in PAIR_OPS else (0,)
    for position, value in enumerate(node.inputs):
        if value is not None and position not in data and value.array is None:
            return f"%{value.name} is not constant"
    for value in (*(node.input(position) for position in data), node.output):
        if value.type.dtype not in BYTES:
            return f"%{value.name} has {value.type.dtype.value}, not bytes"
    found = []
    for position in data:
        value = node.input(position)
        if value.type.shape == node.output.type.shape and value.array is None:
            found.append(position)
        elif value.array is None or value.array.size != 1:
            return f"%{value.name} broadcasts"
    return tuple(found)


def apply_to_bytes(node: Node, known: Mapping[Value, Array]) -> Array:
    """What a node of ``byte_operands`` gives for ``known`` computed operands, of any one shape."""
    operands: list[Array | None] = []
    for value in node.inputs:
        if value is None or value in known:
            operands.append(None if value is None else known[value])
            continue
        assert value.array is not None
        operands.append(value.array.reshape(()) if value.array.size == 1 else value.array)
    result: Array = host.function(node.op)(*operands, **node.attrs.keywords())
    return result


def every_byte(dtype: DType) -> Array:
    """All values of a type of one byte, in the order of their bits."""
    return np.arange(256, dtype=np.uint8).view(dtype.numpy)


def byte_table(node: Node) -> ByteTable | str:
    """What ``node`` gives for each byte, where it is a function of one; or why it is not."""
    data = byte_operands(node)
    if isinstance(data, str):
        return data
    if len({node.input(position) for position in data}) != 1:
        return "it reads two tensors"
    x = node.input(data[0])
    return ByteTable(data[0], apply_to_bytes(node, {x: every_byte(x.type.dtype)}))
