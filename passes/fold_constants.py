"""fold-constants: what depends on constants alone is computed now.

Before:

    const %a: f32[2] = [1.0, 2.0]
    %b: f32[2] = exp(%a)
    %y: f32[2] = add(%x, %b)

After:

    const %b: f32[2] = [2.7182817, 7.389056]
    %y: f32[2] = add(%x, %b)

Conditions:

1. the content of every output is known from type inference, or every operand is a constant;
2. the op is deterministic (random numbers are drawn at run time);
3. the result has at most ``max_elements`` elements, or no more than the operands have together: a constant expanded
   to a large tensor stays an instruction;
4. with ``dequantize=false``: it is no dequantize_linear. Weights of a quantized model then stay integers.

Numerics: exact, the interpreter's functions are used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cnnc.ir import Array, Graph, Node, Notes
from cnnc.ops.opdef import OpDef
from cnnc.passes.base import Pass
from cnnc.types import DType


@dataclass(frozen=True)
class FoldConstants(Pass):
    """Visit nodes in order, so that a chain folds in one go."""

    name: ClassVar[str] = "fold-constants"
    max_elements: int = 1 << 16
    dequantize: bool = True

    def run(self, graph: Graph, notes: Notes) -> bool:
        changed = False
        for node in graph.nodes:
            if notes.is_spent:
                break
            arrays = self._fold(graph, node, notes)
            if arrays is not None:
                notes.fire(self.name, node.loc)
                _replace(graph, node, arrays)
                changed = True
        if changed:
            graph.remove_unused_constants()
        return changed

    def _fold(self, graph: Graph, node: Node, notes: Notes) -> tuple[Array, ...] | None:
        op = graph.table[node.op]
        if not isinstance(op, OpDef) or not op.deterministic:
            return None
        if node.op == "dequantize_linear" and not self.dequantize:
            return None
        known = tuple(value.fact.array for value in node.outputs)
        found = tuple(array for array in known if array is not None)
        if len(found) == len(known):
            return found
        operands = [None if value is None else value.fact.array for value in node.inputs]
        if not node.inputs or any(array is None and value is not None for array, value in zip(operands, node.inputs)):
            return None
        given = sum(array.size for array in operands if array is not None)
        for value in node.outputs:
            elements = value.type.elements
            if not isinstance(elements, int):
                return None
            if elements > max(self.max_elements, given):
                notes.refuse(self.name, node, f"its {elements} elements would make the model larger")
                return None
        results = op.reference(node.attrs, operands)[: len(node.outputs)]
        for value, array in zip(node.outputs, results, strict=True):
            if array.shape != value.type.shape or DType.of(array.dtype) is not value.type.dtype:
                return None
        return results


def _replace(graph: Graph, node: Node, arrays: tuple[Array, ...]) -> None:
    names = [value.name for value in node.outputs]
    constants = []
    for value, array in zip(node.outputs, arrays, strict=True):
        # A copy: results may be views of operands or of each other.
        constant = graph.add_constant(array.copy(), value.name)
        graph.replace_uses(value, constant)
        constants.append(constant)
    graph.remove_dead([node])
    for constant, name in zip(constants, names, strict=True):
        if constant.uses or graph.is_output(constant):
            graph.rename(constant, name)
