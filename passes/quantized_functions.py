"""Functions of one quantized tensor, whatever they are made of: a table of what they give for each of 256 bytes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cnnc.ir import Array, Match, Node, Op, Patch, Rule, Value, known_array
from cnnc.ops.elementwise_chain import CHAIN_OPS
from cnnc.passes.quantized_operand import Quantized, is_dequantized, read_operand, read_result
from cnnc.runtime import host
from cnnc.types import DType

_BYTES = (DType.I8, DType.U8)
_BITS = np.arange(256, dtype=np.uint8)


@dataclass
class _Chain:
    """Element-wise nodes in order, over one dequantized tensor and constants of one element."""

    sources: list[Quantized] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)

    def collect(self, value: Value) -> str | None:
        """Add what computes ``value``; says why that is no function of one tensor."""
        node, array = value.producer, known_array(value)
        if (array is not None and array.size == 1) or node in self.nodes:
            return None
        if is_dequantized(value):
            return self._read(value)
        if node is None or node.op not in CHAIN_OPS:
            return f"%{value.name} is no dequantized tensor"
        for operand in node.inputs:
            reason = None if operand is None else self.collect(operand)
            if reason is not None:
                return reason
        self.nodes.append(node)
        return None

    def _read(self, value: Value) -> str | None:
        source = read_operand(value)
        if isinstance(source, str):
            return source
        if any(source.stored is not other.stored or not source.is_like(other) for other in self.sources):
            return f"%{value.name} is a second tensor"
        self.sources.append(source)
        return None

    def real(self, stored: Array) -> Array:
        """The last node's result for a source of ``stored`` values."""
        values: dict[Value, Array] = {}

        def read(operand: Value | None) -> Array | None:
            if operand is None:
                return None
            array = known_array(operand)
            return values[operand] if array is None else array.reshape(())

        for source in self.sources:
            values[source.node.output] = _evaluate(source.node, [stored, *map(read, source.node.inputs[1:])])
        for node in self.nodes:
            values[node.output] = _evaluate(node, [read(operand) for operand in node.inputs])
        return values[self.nodes[-1].output]


def _evaluate(node: Node, operands: list[Array | None]) -> Array:
    with np.errstate(all="ignore"):
        result: Array = host.function(node.op)(*operands, **node.attrs.keywords())
    return result


def _apply(found: Match, patch: Patch) -> str | None:
    y, chain = read_result(found.root), _Chain()
    if isinstance(y, str):
        return y
    reason = chain.collect(found.root.input(0))
    if reason is not None:
        return reason
    if not chain.sources:
        return "it computes a constant"
    x = chain.sources[0]
    if x.dtype not in _BYTES or y.dtype not in _BYTES:
        return f"operand and result are stored as {x.dtype.value} and {y.dtype.value}"
    if any(node.output.type.shape != x.stored.type.shape for node in chain.nodes if node.output.type.rank):
        return f"%{x.stored.name} broadcasts"
    inside: set[Any] = {*chain.nodes, found.root}
    outside = [node for node in chain.nodes if not set(node.output.users) <= inside]
    if outside:
        return f"%{outside[0].output.name} is read elsewhere"
    real = chain.real(_BITS.view(x.dtype.numpy))
    pair = [known_array(value) for value in y.pair(patch)]
    entries = _evaluate(found.root, [real, *(None if array is None else array.reshape(()) for array in pair)])
    table = patch.constant(entries, f"{found.root.output.name}.table")
    loc = tuple(dict.fromkeys(place for node in (*chain.nodes, found.root) for place in node.loc))
    patch.replace(found.root.output, patch.node("lookup", [x.stored, table], loc=loc))
    return None


_FUNCTION = Op("|".join(sorted(CHAIN_OPS)), rest=True)
FUNCTION_RULES = (Rule("look-up-function", Op("quantize_linear", _FUNCTION, rest=True), _apply),)
