"""Values, nodes and graphs by content: what is the same in several graphs is kept once."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

from cnnc.ir import Graph, Node, Value
from cnnc.ir.name_groups import group_of
from cnnc.ir.text import fields_text, type_text
from cnnc.report.facts import GraphFact, NodeFact, ValueFact

T = TypeVar("T", bound=Hashable)


class Interned(Generic[T]):
    """Distinct items in the order in which they were first seen."""

    def __init__(self) -> None:
        self._indices: dict[T, int] = {}

    def index(self, item: T) -> int:
        """The item's place among all."""
        return self._indices.setdefault(item, len(self._indices))

    def __getitem__(self, index: int) -> T:
        return self.items[index]

    @property
    def items(self) -> tuple[T, ...]:
        return tuple(self._indices)


class GraphTable:
    """All graphs of a report."""

    def __init__(self) -> None:
        self.values: Interned[ValueFact] = Interned()
        self.nodes: Interned[NodeFact] = Interned()
        self.graphs: Interned[GraphFact] = Interned()

    def add(self, graph: Graph) -> int:
        """Index of the graph as it is now."""
        nodes = tuple(self.node(node) for node in graph.nodes)
        inputs, outputs = tuple(map(self._value, graph.inputs)), tuple(map(self._value, graph.outputs))
        return self.graphs.index(GraphFact(nodes, inputs, outputs))

    def node(self, node: Node) -> int:
        """Index of a node as it is now."""
        return self.nodes.index(
            NodeFact(
                key=node.output.name if node.outputs else node.name,
                op=node.op,
                name=node.name,
                origins=node.loc,
                group=group_of(node.name),
                attributes=fields_text(node.attrs),
                inputs=tuple(None if value is None else self._value(value) for value in node.inputs),
                outputs=tuple(map(self._value, node.outputs)),
            )
        )

    def _value(self, value: Value) -> int:
        return self.values.index(ValueFact(value.name, type_text(value.type), value.is_constant))
