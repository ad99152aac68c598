"""Which layers a tensor stands between, once moves and activations between them are looked through.

Such ops work on what they are given, integers or floats. Where the layers before and behind a tensor differ, it is
converted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cnnc.ir import Graph, Node, Value
from cnnc.quantization.placement import CLAMPS, MOVES

FLOAT = ""
"""Stands for everything that is always in float: inputs and results of the model, and ops without an integer form."""


@dataclass(frozen=True, slots=True)
class Link:
    """A tensor between layers, which are named by their results.

    Attributes:
        producer: the layer that computes it, or ``FLOAT``.
        consumers: those that read it, ``FLOAT`` among them where anything else does.
        value: name of the tensor as the first of them computes it.
    """

    producer: str
    consumers: tuple[str, ...]
    value: str


def links(graph: Graph, layers: Iterable[Node]) -> tuple[Link, ...]:
    """All tensors that a layer computes or reads."""
    names = {node: node.output.name for node in layers}
    read: dict[Value, dict[str, None]] = {}
    for node in graph.nodes:
        if _is_transparent(node):
            continue
        for value in node.inputs:
            if value is not None and value.array is None:
                read.setdefault(_root(value), {})[names.get(node, FLOAT)] = None
    for value in graph.outputs:
        read.setdefault(_root(value), {})[FLOAT] = None
    found = []
    for value, consumers in read.items():
        producer = FLOAT if value.producer is None else names.get(value.producer, FLOAT)
        if producer != FLOAT or any(name != FLOAT for name in consumers):
            found.append(Link(producer, tuple(consumers), value.name))
    return tuple(found)


def owners(graph: Graph, layers: Iterable[Node]) -> dict[Node, str]:
    """The layer that the time of every node counts for: itself, or the last one before it; ``FLOAT`` without any.

    Activations are fused into the layer before them in one program and stand alone in another.
    """
    names = {node: node.output.name for node in layers}
    found: dict[Node, str] = {}
    for node in graph.nodes:
        producers = [value.producer for value in node.inputs if value is not None and value.producer is not None]
        before = [found[producer] for producer in producers if found[producer] != FLOAT]
        found[node] = names.get(node, before[0] if before else FLOAT)
    return found


def _root(value: Value) -> Value:
    """What a value is made of by moves and activations alone."""
    while value.producer is not None and _is_transparent(value.producer):
        value = value.producer.input(0)
    return value


def _is_transparent(node: Node) -> bool:
    return node.op in CLAMPS or (node.op in MOVES and len(node.outputs) == 1)
