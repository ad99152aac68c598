"""merge-common-subexpressions: two nodes that compute the same become one.

Before:

    %a: f32[2] = relu(%x)
    %b: f32[2] = relu(%x)
    %c: f32[2] = add(%a, %b)

After:

    %a: f32[2] = relu(%x)
    %c: f32[2] = add(%a, %a)

Conditions:

1. same op, attributes and operands (constants of the same content count as the same), same number of outputs;
2. the op is deterministic: two draws of random numbers stay two.

Graph outputs may merge as well: one value may be returned under two names.

Numerics: exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cnnc.ir import Array, Graph, Node, Notes, Value
from cnnc.passes.base import Pass

_SAMPLES = 16


@dataclass(frozen=True)
class MergeCommonSubexpressions(Pass):
    """Visit nodes in order and keep the first of each kind."""

    name: ClassVar[str] = "merge-common-subexpressions"

    def run(self, graph: Graph, notes: Notes) -> bool:
        changed = False
        first: dict[object, Node] = {}
        constants = _ConstantIdentity()
        for node in graph.nodes:
            if not getattr(graph.table[node.op], "deterministic", True) or notes.is_spent:
                continue
            operands = tuple(None if value is None else constants.of(value) for value in node.inputs)
            # repr tells 0.0 from -0.0 and 1 from True; equality does not.
            key = (node.op, repr(node.attrs), operands, tuple(value.type for value in node.outputs))
            earlier = first.setdefault(key, node)
            if earlier is node:
                continue
            for old, new in zip(node.outputs, earlier.outputs, strict=True):
                graph.replace_uses(old, new)
            graph.remove_dead([node])
            notes.fire(self.name, (*earlier.loc, *node.loc))
            changed = True
        return changed


class _ConstantIdentity:
    """Constants by content: what stands for a value when operands are compared.

    Contents are only compared whole where shape, dtype and a few samples agree: hashing all weights of a model would
    take longer than every other pass together.
    """

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}
        self._alike: dict[object, list[Array]] = {}
        self._kept: list[Array] = []

    def of(self, value: Value) -> object:
        if value.array is None:
            return value
        return self._number(value.array), value.type

    def _number(self, array: Array) -> int:
        """The same number for arrays of the same content."""
        if id(array) not in self._numbers:
            # Kept, so that no other array takes over its id.
            self._kept.append(array)
            flat = array.reshape(-1)
            samples = flat[:: max(1, array.size // _SAMPLES)][:_SAMPLES].tobytes()
            alike = self._alike.setdefault((array.shape, array.dtype.name, samples), [])
            twin = next((other for other in alike if _same_bits(array, other)), None)
            if twin is None:
                alike.append(array)
            self._numbers[id(array)] = len(self._numbers) if twin is None else self._numbers[id(twin)]
        return self._numbers[id(array)]


def _same_bits(a: Array, b: Array) -> bool:
    # Bits, not values: 0.0 equals -0.0, and NaN does not equal itself.
    return bool(np.array_equal(_bits(a), _bits(b)))


def _bits(array: Array) -> Array:
    bits: Array = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return bits
