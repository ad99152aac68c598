"""fold-shapes: chains that compute with shapes become ``dims`` nodes.

Before:

    %s: i64[4] = shape(%x)
    %n: i64[1] = gather(%s, %zero)
    %t: i64[2] = concat(%n, %rest) {axis=0}
    %y: f32[N, 48] = reshape(%x, %t)

After:

    %t: i64[2] = dims() {dims=('N', -1)}
    %y: f32[N, 48] = reshape(%x, %t)

Conditions:

1. type inference knows the int64 content element by element, as expressions over symbols (int32 content only carries
   through to the cast that ends it);
2. every symbol is a size of a graph input: sizes that only values decide are not known before they are computed.

Content without symbols becomes constants in fold-constants.

Numerics: exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cnnc.dims import Dim, Expr, symbols
from cnnc.ir import Content, Graph, Notes, Patch
from cnnc.ops.reshaping import DimsAttrs
from cnnc.passes.base import Pass
from cnnc.types import DType


@dataclass(frozen=True)
class FoldShapes(Pass):
    """Replace values of known symbolic content."""

    name: ClassVar[str] = "fold-shapes"

    def run(self, graph: Graph, notes: Notes) -> bool:
        changed = False
        given = input_symbols(graph)
        for node in graph.nodes:
            content = node.output.content
            if node.op == "dims" or node.output.type.dtype is not DType.I64:
                continue
            if not isinstance(content, Content) or notes.is_spent:
                continue
            if not (node.output.uses or graph.is_output(node.output)) or not are_given(content.dims, given):
                continue
            patch = Patch(graph, node)
            patch.replace(node.output, patch.node("dims", (), DimsAttrs(content.dims, content.scalar), loc=node.loc))
            patch.apply()
            notes.fire(self.name, node.loc)
            changed = True
        return changed


def input_symbols(graph: Graph) -> frozenset[str]:
    """Symbols that stand alone as a size of a graph input: their values are known when a call begins."""
    shapes = (value.type.shape for value in graph.inputs)
    return frozenset(str(dim) for shape in shapes for dim in shape if isinstance(dim, Expr) and dim.is_atom())


def are_given(dims: tuple[Dim, ...], given: frozenset[str]) -> bool:
    """Whether all symbols in ``dims`` are among ``given``."""
    return all(symbols(dim) <= given for dim in dims)
