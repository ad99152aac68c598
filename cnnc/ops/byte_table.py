"""Ops that take one byte to one byte: all that they compute is a table of 256 entries."""

from __future__ import annotations

import numpy as np

from cnnc.ir import Array, Node
from cnnc.ops.quantized_operands import BYTES
from cnnc.runtime import host

TABLE_OPS = frozenset({"clip", "q_linear_leaky_relu", "q_linear_sigmoid", "requantize"})
"""Ops that work element by element, with all operands but the first constant."""

_BITS = np.arange(256, dtype=np.uint8)


def byte_table(node: Node) -> Array | str:
    """The result of ``node`` for each byte, [256] and of the type of its result, by the byte's bits; or why not."""
    if node.op not in TABLE_OPS:
        return f"{node.op} is no function of one byte"
    x, y = node.input(0), node.output
    for value in (x, y):
        if value.type.dtype not in BYTES:
            return f"%{value.name} has {value.type.dtype.value}, not bytes"
    operands: list[Array | None] = [_BITS.view(x.type.dtype.numpy)]
    for position in range(1, len(node.inputs)):
        operand = node.optional(position)
        if operand is not None and operand.array is None:
            return f"%{operand.name} is not constant"
        operands.append(None if operand is None else operand.array)
    table: Array = host.function(node.op)(*operands, **node.attrs.keywords())
    return table
