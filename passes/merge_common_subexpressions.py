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

from cnnc.ir import Array, Graph, Node, Notes, Value
from cnnc.ir.text import constant_key
from cnnc.passes.base import Pass


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
    """Constants by content: what stands for a value when operands are compared."""

    def __init__(self) -> None:
        self._keys: dict[int, tuple[Array, str]] = {}

    def of(self, value: Value) -> object:
        if value.array is None:
            return value
        if id(value.array) not in self._keys:
            self._keys[id(value.array)] = (value.array, constant_key(value.array))
        return self._keys[id(value.array)][1], value.type
