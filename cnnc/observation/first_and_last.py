"""The layers at the ends of a network: those that read its inputs, and those that give its results.

Both are often few of the products and much of the error: the first one sees inputs of few channels, the last one's
error nothing evens out.
"""

from __future__ import annotations

from collections.abc import Iterable

from cnnc.ir import Graph, Value
from cnnc.observation.layer_rows import LAYERS


def first_layers(graph: Graph) -> list[str]:
    """Names of the results of layers that an input reaches past no other layer."""
    found: dict[str, None] = {}
    seen: set[Value] = set()
    pending: list[Value] = list(graph.inputs)
    while pending:
        value = pending.pop()
        if value in seen:
            continue
        seen.add(value)
        for user in value.users:
            if user.op in LAYERS:
                found[user.output.name] = None
            else:
                pending += user.outputs
    return _ordered(graph, found)


def last_layers(graph: Graph) -> list[str]:
    """Names of the results of layers that reach an output past no other layer."""
    found: dict[str, None] = {}
    seen: set[Value] = set()
    pending: list[Value] = list(graph.outputs)
    while pending:
        value = pending.pop()
        if value in seen or value.producer is None:
            continue
        seen.add(value)
        if value.producer.op in LAYERS:
            found[value.name] = None
        else:
            pending += [operand for operand in value.producer.inputs if operand is not None]
    return _ordered(graph, found)


def _ordered(graph: Graph, names: Iterable[str]) -> list[str]:
    chosen = set(names)
    return [value.name for node in graph.nodes for value in node.outputs if value.name in chosen]
