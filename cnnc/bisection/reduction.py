"""A few nodes of a graph as a graph of their own: what is left of a model once the fault in it is known."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from cnnc.ir import Graph, Node, Value

MOST_RINGS = 3
"""How often the neighbours of the nodes are taken along as well, before the whole graph is kept."""


def reduced(graph: Graph, nodes: Iterable[Node], shows_fault: Callable[[Graph], bool]) -> tuple[Graph, bool]:
    """The smallest graph around ``nodes`` that shows the fault, or the whole one; and whether it was seen to show it.

    Args:
        graph: not changed.
        shows_fault: whether a graph shows it; called with graphs that it may change.
    """
    chosen = dict.fromkeys(nodes)
    if not chosen:
        return graph, False
    for _ in range(MOST_RINGS):
        part = extracted(graph, chosen)
        if shows_fault(extracted(graph, chosen)):
            return part, True
        chosen = dict.fromkeys([*chosen, *_neighbours(graph, chosen)])
    return graph, False


def extracted(graph: Graph, nodes: Iterable[Node]) -> Graph:
    """A graph of these nodes, in the same stage: what they read from others are its inputs, what others read of them
    its outputs. Nodes that compute the shapes that they read are taken along."""
    wanted = _with_shapes(nodes)
    part = Graph(graph.table, graph.name)
    part.stage = graph.stage
    copies: dict[Value, Value] = {}

    def copied(value: Value) -> Value:
        if value not in copies:
            if value.array is not None:
                copies[value] = part.add_constant(value.array, value.name)
            else:
                copies[value] = part.add_input(value.name, value.type)
            copies[value].type = value.type
        return copies[value]

    outputs: list[Value] = []
    for node in graph.nodes:
        if node not in wanted:
            continue
        operands = [None if value is None else copied(value) for value in node.inputs]
        names = [value.name for value in node.outputs]
        made = part.add_node(node.op, operands, node.attrs, outputs=len(names), names=names, loc=node.loc)
        for value, twin in zip(node.outputs, made.outputs, strict=True):
            twin.type, twin.content = value.type, value.content
            copies[value] = twin
            if graph.is_output(value) or any(user not in wanted for user in value.users):
                outputs.append(value)
    part.set_outputs([copies[value] for value in outputs], [value.name for value in outputs])
    return part


def _with_shapes(nodes: Iterable[Node]) -> set[Node]:
    wanted: set[Node] = set()
    pending = list(nodes)
    while pending:
        node = pending.pop()
        if node in wanted:
            continue
        wanted.add(node)
        read = (value for value in node.inputs if value is not None and value.producer is not None)
        pending += [value.producer for value in read if value.content is not None and value.producer is not None]
    return wanted


def _neighbours(graph: Graph, nodes: Iterable[Node]) -> list[Node]:
    found = []
    for node in nodes:
        found += [value.producer for value in node.inputs if value is not None and value.producer is not None]
        found += [user for value in node.outputs for user in value.users]
    return found
