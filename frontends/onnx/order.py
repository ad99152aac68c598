"""Topological order of ONNX nodes by the names they read and write; real files are not always sorted."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import onnx

from cnnc.errors import ModelError

MAX_DEPTH = 64
"""Deepest nesting of subgraphs and function calls."""


def node_label(node: onnx.NodeProto, index: int) -> str:
    """How a node is called in messages and as ``loc``: its name, else operator and position."""
    return node.name or f"{node.op_type}_{index}"


def read_names(node: onnx.NodeProto, depth: int = 0) -> set[str]:
    """Names a node reads: its inputs, and what its subgraphs take from the scopes around them."""
    names = {name for name in node.input if name}
    for attribute in node.attribute:
        graphs = [attribute.g] if attribute.type == onnx.AttributeProto.GRAPH else list(attribute.graphs)
        for graph in graphs:
            names |= captured_names(graph, depth + 1)
    return names


def captured_names(graph: onnx.GraphProto, depth: int = 0) -> set[str]:
    """Names that a subgraph reads from the scopes around it.

    Raises:
        ModelError: subgraphs nested more than 64 deep.
    """
    if depth > MAX_DEPTH:
        raise ModelError(f"subgraphs are nested more than {MAX_DEPTH} deep", where=graph.name)
    inside = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    inside |= {sparse.values.name for sparse in graph.sparse_initializer}
    inside |= {name for node in graph.node for name in node.output}
    read = {value.name for value in graph.output}
    for node in graph.node:
        read |= read_names(node, depth)
    return read - inside


def sort_nodes(nodes: Sequence[onnx.NodeProto], known: frozenset[str] | set[str]) -> list[int]:
    """Positions of the nodes in an order in which each name is written before it is read; stable where it can be.

    Args:
        known: names defined before the first node runs.

    Raises:
        ModelError: a name is written twice, read but written nowhere, or a cycle (its nodes are named).
    """
    writer: dict[str, int] = {}
    for index, node in enumerate(nodes):
        for name in node.output:
            if not name:
                continue
            if name in writer or name in known:
                raise ModelError(f"the name {name!r} is defined twice", where=f"node {node_label(node, index)!r}")
            writer[name] = index
    waits: list[int] = []
    readers: list[list[int]] = [[] for _ in nodes]
    for index, node in enumerate(nodes):
        sources: set[int] = set()
        for name in sorted(read_names(node)):
            if name in writer:
                sources.add(writer[name])
            elif name not in known:
                where = f"{node.op_type} node {node_label(node, index)!r}"
                raise ModelError(f"input {name!r} is neither computed nor given", where=where)
        for source in sources:
            readers[source].append(index)
        waits.append(len(sources))
    if all(writer.get(name, -1) < index for index, node in enumerate(nodes) for name in read_names(node)):
        return list(range(len(nodes)))
    ready = deque(index for index, count in enumerate(waits) if not count)
    order: list[int] = []
    while ready:
        index = ready.popleft()
        order.append(index)
        for reader in readers[index]:
            waits[reader] -= 1
            if not waits[reader]:
                ready.append(reader)
    if len(order) < len(nodes):
        raise ModelError(f"the graph has a cycle: {_cycle(nodes, writer, set(range(len(nodes))) - set(order))}")
    return order


def _cycle(nodes: Sequence[onnx.NodeProto], writer: dict[str, int], stuck: set[int]) -> str:
    """One cycle among the nodes that never became ready, as text."""
    path: list[int] = []
    seen: dict[int, int] = {}
    index = min(stuck)
    while index not in seen:
        seen[index] = len(path)
        path.append(index)
        index = min(writer[name] for name in read_names(nodes[index]) if writer.get(name, -1) in stuck)
    loop = [*reversed(path[seen[index] :])]
    labels = [repr(node_label(nodes[position], position)) for position in loop]
    shown = labels if len(labels) <= 8 else [*labels[:7], "..."]
    return " -> ".join([*shown, labels[0]])
