"""canonicalize-operands: constants of element-wise ops in their smallest shape, and behind the other operand.

Before::

    %y = mul(%half, %x)            half f32[1, 1, 1, 1] = 0.5, x f32[N, C, H, W]

After::

    %y = mul(%x, %half)            half f32[] = 0.5

Fires when a constant operand of add, sub, mul, div, pow, max, min or prelu
1. has leading axes of size 1, or one element in all: these axes go;
2. holds the same element everywhere: it becomes that one element; or
3. stands first in add, mul, max or min, the other operand not being constant: they change places.

Must not fire where the result would get another shape (a constant that broadcasts the other operand), or for a constant
of more than 2^20 elements, whose comparison would take longer than it saves.

Numerics: exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cnnc.ir import Array, Graph, Node, Notes, Patch, Value, known_array
from cnnc.passes.base import Pass

_COMMUTATIVE = ("add", "mul", "max", "min")
_OPS = (*_COMMUTATIVE, "sub", "div", "pow", "prelu")
_MAX_COMPARED = 1 << 20


def smallest_shapes(array: Array) -> tuple[Array, ...]:
    """``array`` in smaller shapes that may broadcast the same way, the smallest first; none when it cannot shrink."""
    found = []
    if array.ndim and array.size and array.size <= _MAX_COMPARED and _is_uniform(array):
        found.append(array.reshape(-1)[0].reshape(()))
    leading = next((axis for axis, size in enumerate(array.shape) if size != 1), array.ndim)
    if leading and leading < array.ndim:
        found.append(array.reshape(array.shape[leading:]))
    return tuple(found)


def _is_uniform(array: Array) -> bool:
    flat = np.ascontiguousarray(array).reshape(-1)
    # Bytes, so that zeros of different sign count as different, and NaN as itself.
    pattern = flat.view(np.uint8).reshape(flat.size, -1)
    return bool((pattern == pattern[0]).all())


def _canonicalize(graph: Graph, node: Node, notes: Notes) -> bool:
    operands: list[Value | None] = list(node.inputs)
    if len(operands) != 2:
        return False
    arrays = [None if value is None or value.producer else known_array(value) for value in operands]
    swaps = node.op in _COMMUTATIVE and arrays[0] is not None and arrays[1] is None
    if swaps:
        operands.reverse()
        arrays.reverse()
    for position, array in enumerate(arrays):
        value = operands[position]
        if array is None or value is None:
            continue
        for smaller in smallest_shapes(array):
            patch = Patch(graph, node)
            trial = list(operands)
            trial[position] = patch.constant(smaller, value.name)
            if _replace(graph, node, trial, patch, notes):
                return True
    return swaps and _replace(graph, node, operands, Patch(graph, node), notes)


def _replace(graph: Graph, node: Node, operands: list[Value | None], patch: Patch, notes: Notes) -> bool:
    made = patch.node(node.op, operands, node.attrs, loc=node.loc)
    if made.type.shape != node.output.type.shape:
        return False
    patch.replace(node.output, made)
    patch.apply()
    notes.fire(CanonicalizeOperands.name, node.loc)
    return True


@dataclass(frozen=True)
class CanonicalizeOperands(Pass):
    """Constants of element-wise ops without axes that do nothing, as the second operand."""

    name: ClassVar[str] = "canonicalize-operands"

    def run(self, graph: Graph, notes: Notes) -> bool:
        changed = False
        for node in graph.nodes:
            if node.op in _OPS and not notes.is_spent:
                changed |= _canonicalize(graph, node, notes)
        return changed
