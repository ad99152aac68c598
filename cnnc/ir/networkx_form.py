"""The graph as a networkx graph: for questions about it, such as cycles, dominators, components."""

from __future__ import annotations

from typing import Any

from cnnc.ir.graph import Graph
from cnnc.ir.text import type_text


def to_networkx(graph: Graph) -> Any:
    """A ``networkx.MultiDiGraph``.

    Its nodes are strings: ``"%name"`` of each graph input, constant and IR node (by its first output), and
    ``"output name"`` of each graph output; attribute ``kind`` is input, const, node or output, ``op`` the op. Each edge
    is one use: attributes ``value`` (name), ``type`` (text) and ``position`` (which operand).
    """
    import networkx

    drawn = networkx.MultiDiGraph(name=graph.name, stage=graph.stage)
    owner: dict[str, str] = {}
    for value in (*graph.inputs, *graph.constants):
        owner[value.name] = f"%{value.name}"
        drawn.add_node(owner[value.name], kind="const" if value.is_constant else "input", op="")
    for node in graph.nodes:
        key = f"%{node.output.name}"
        drawn.add_node(key, kind="node", op=node.op, loc=node.loc)
        for position, operand in enumerate(node.inputs):
            if operand is not None:
                facts = {"value": operand.name, "type": type_text(operand.type), "position": position}
                drawn.add_edge(owner[operand.name], key, **facts)
        owner.update((value.name, key) for value in node.outputs)
    for name, value in zip(graph.output_names, graph.outputs, strict=True):
        drawn.add_node(f"output {name}", kind="output", op="")
        drawn.add_edge(owner[value.name], f"output {name}", value=value.name, type=type_text(value.type), position=0)
    return drawn
