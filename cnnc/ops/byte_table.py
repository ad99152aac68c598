"""Ops that take one byte to one byte: all that they compute is a table of 256 entries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cnnc.ir import Array, Node
from cnnc.ops.quantized_operands import BYTES
from cnnc.runtime import host

TABLE_OPS = frozenset({"clip", "lookup", "q_linear_leaky_relu", "q_linear_sigmoid", "requantize"})
"""Ops that work element by element, with all operands but the first constant."""

_BINARY = frozenset({"q_linear_add", "q_linear_mul"})
_BITS = np.arange(256, dtype=np.uint8)


@dataclass(frozen=True, slots=True)
class ByteTable:
    """``entries`` [256], of the type of the result, by the bits of the operand at ``position``."""

    position: int
    entries: Array


def byte_table(node: Node) -> ByteTable | str:
    """What ``node`` gives for each byte, where that is all it does; or why not.

    A sum or product is a function of one byte if its other operand is a constant of one element.
    """
    position = 0
    if node.op in _BINARY and node.input(0).array is not None:
        position = 3
    if node.op not in TABLE_OPS | _BINARY:
        return f"{node.op} is no function of one byte"
    x, y = node.input(position), node.output
    for value in (x, y):
        if value.type.dtype not in BYTES:
            return f"%{value.name} has {value.type.dtype.value}, not bytes"
    if x.type.shape != y.type.shape:
        return f"%{x.name} broadcasts"
    operands: list[Array | None] = []
    for index, operand in enumerate(node.inputs):
        array = None if operand is None else operand.array
        if index != position and operand is not None and array is None:
            return f"%{operand.name} is not constant"
        if node.op in _BINARY and array is not None and array.size != 1:
            return f"%{node.input(index).name} has more than one element"
        operands.append(array if array is None or array.size > 1 else array.reshape(()))
    operands[position] = _BITS.view(x.type.dtype.numpy)
    entries: Array = host.function(node.op)(*operands, **node.attrs.keywords())
    return ByteTable(position, entries)
