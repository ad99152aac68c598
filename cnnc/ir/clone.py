"""A copy of a graph: the snapshot that a pass is judged against, and rolled back to."""

from __future__ import annotations

from cnnc.errors import InternalError
from cnnc.ir.graph import Graph
from cnnc.ir.node import Value


def clone_graph(graph: Graph) -> Graph:
    """A graph of its own with the same values, nodes, names, types and stage. Constant arrays are shared: they are
    never written."""
    copy = Graph(graph.table, graph.name)
    copy.stage = graph.stage
    copies: dict[Value, Value] = {}
    for value in graph.inputs:
        copies[value] = copy.add_input(value.name, value.type)
    for value in graph.constants:
        assert value.array is not None
        copies[value] = copy.add_constant(value.array, value.name)
        copies[value].type = value.type
    for node in graph.nodes:
        operands = [None if value is None else copies[value] for value in node.inputs]
        names = [value.name for value in node.outputs]
        made = copy.add_node(node.op, operands, node.attrs, outputs=len(names), names=names, loc=node.loc)
        for value, twin in zip(node.outputs, made.outputs, strict=True):
            if twin.name != value.name:
                raise InternalError(f"%{value.name} was copied as %{twin.name}")
            twin.type, twin.content = value.type, value.content
            copies[value] = twin
    copy.set_outputs([copies[value] for value in graph.outputs], graph.output_names)
    return copy
