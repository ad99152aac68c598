"""A placed graph in which some nodes work on plain tensors, so that their NumPy functions can take their place.

Kernels of convolutional networks read blocked tensors, NumPy functions read plain ones. So a node cannot simply be
given to the host: its operands are converted, and so is its result for readers that want it blocked.
"""

from __future__ import annotations

from collections.abc import Set

from cnnc.ir import Graph, Node, Value
from cnnc.ops.layout import ConvertLayoutAttrs
from cnnc.types import PLAIN


def with_plain_nodes(graph: Graph, names: Set[str]) -> Graph:
    """A copy of a placed graph; nodes whose first output is named read and write plain tensors.

    A conversion that is named only passes its operand on: readers convert where they must.
    """
    return _PlainNodes(graph, names).copied()


class _PlainNodes:
    def __init__(self, graph: Graph, names: Set[str]) -> None:
        self.graph = graph
        self.names = names
        self.copy = Graph(graph.table, graph.name)
        self.copy.stage = graph.stage
        self.placed: dict[Value, Value] = {}
        """Copies in the layout of the original."""
        self.plain: dict[Value, Value] = {}

    def copied(self) -> Graph:
        for value in self.graph.inputs:
            self._keep(value, self.copy.add_input(value.name, value.type))
        for value in self.graph.constants:
            assert value.array is not None
            self._keep(value, self.copy.add_constant(value.array, value.name))
        for node in self.graph.nodes:
            if node.output.name not in self.names:
                self._add(node, is_plain=False)
            elif node.op == "convert_layout":
                self.plain[node.output] = self._as_plain(node.input(0))
            else:
                self._add(node, is_plain=True)
        self.copy.set_outputs([self._as_placed(value) for value in self.graph.outputs], self.graph.output_names)
        return self.copy

    def _keep(self, value: Value, twin: Value) -> None:
        twin.type = value.type
        self.placed[value] = twin

    def _add(self, node: Node, *, is_plain: bool) -> None:
        find = self._as_plain if is_plain else self._as_placed
        operands = [None if value is None else find(value) for value in node.inputs]
        names = [value.name for value in node.outputs]
        made = self.copy.add_node(node.op, operands, node.attrs, outputs=len(names), names=names, loc=node.loc)
        for value, twin in zip(node.outputs, made.outputs, strict=True):
            twin.content = value.content
            twin.type = value.type.with_layout(PLAIN) if is_plain else value.type
            (self.plain if is_plain else self.placed)[value] = twin

    def _as_plain(self, value: Value) -> Value:
        if value not in self.plain:
            twin = self.placed[value]
            self.plain[value] = self._converted(value, twin, ConvertLayoutAttrs(PLAIN))
        return self.plain[value]

    def _as_placed(self, value: Value) -> Value:
        if value not in self.placed:
            self.placed[value] = self._converted(value, self.plain[value], ConvertLayoutAttrs(value.type.layout))
        return self.placed[value]

    def _converted(self, value: Value, twin: Value, attrs: ConvertLayoutAttrs) -> Value:
        if twin.type.layout == attrs.layout:
            return twin
        loc = value.producer.loc if value.producer is not None else (value.name,)
        name = f"{value.name}.{attrs.layout}"
        return self.copy.add_node("convert_layout", [twin], attrs, names=[name], loc=loc).output
