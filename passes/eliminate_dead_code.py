"""eliminate-dead-code: nodes and constants that no graph output depends on go.

Before:

    %a: f32[2] = relu(%x)
    %b: f32[2] = sigmoid(%x)
    output "y" = %a

After:

    %a: f32[2] = relu(%x)
    output "y" = %a

Conditions: no output of the node is read or returned. Graph inputs stay: they are the model's signature.

Numerics: exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cnnc.ir import Graph, Notes
from cnnc.passes.base import Pass


@dataclass(frozen=True)
class EliminateDeadCode(Pass):
    """Remove what nobody reads."""

    name: ClassVar[str] = "eliminate-dead-code"

    def run(self, graph: Graph, notes: Notes) -> bool:
        removed = 0
        for node in reversed(list(graph.nodes)):
            if notes.is_spent:
                break
            if node.is_alive and graph.remove_dead([node]):
                notes.fire(self.name, node.loc)
                removed += 1
        return bool(removed + graph.remove_unused_constants())
