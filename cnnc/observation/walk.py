"""Goes through a graph on samples from its inputs to its results, and stops on the way to look or to change weights.

A walk keeps, for every batch, the values that cross one place of the graph: those that are computed before it and read
behind it. What is asked for behind the place is computed from them, so that the graph is run once in all and not once a
stop. Where they would take more memory than allowed, the walk stays at the last place and computes the values between
anew. Weights in front of the place may be changed at any time; those behind it have been used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from cnnc.compiler import compile_graph
from cnnc.ir import Array, Graph, Node, Value
from cnnc.observation.observed import Samples, checked
from cnnc.options import Options
from cnnc.runtime.input_check import bind_shapes, gather_inputs
from cnnc.runtime.program import Port

MEMORY = 1 << 30
"""Bytes that a walk keeps at most."""


class Walk:
    """Values of a graph on all samples."""

    def __init__(self, graph: Graph, samples: Samples, memory: int = MEMORY) -> None:
        """Start at the inputs of ``graph``, whose weights may change during the walk, and nothing else."""
        self._graph = graph
        self._samples = samples
        self._memory = memory
        self._kept: list[dict[str, Array]] = []
        self._names: frozenset[str] = frozenset()

    def values(self, names: Sequence[str]) -> Iterator[dict[str, Array]]:
        """The values of these names for one batch after the other, none of them in front of the last place kept.

        Raises:
            InputError: there are no samples, or they do not fit the inputs.
        """
        computed = [
            name
            for name in dict.fromkeys(names)
            if name not in self._names and self._graph.value(name).producer is not None
        ]
        part = segment(self._graph, self._names, computed)
        fed = [value.name for value in part.inputs]
        model = compile_graph(part, Options(1)) if computed else None
        for known in self._known(self._names.issuperset([*fed, *(name for name in names if name not in computed)])):
            arrays = {**known}
            if model is not None:
                arrays |= model.run({name: known[name] for name in fed})
            yield {name: arrays[name] for name in names}

    def pass_by(self, node: Node) -> None:
        """Move the place behind ``node``, if memory allows."""
        names = [value.name for value in _crossing(self._graph, node)]
        kept, size = [], 0
        for arrays in self.values(names):
            size += sum(array.nbytes for array in arrays.values())
            if size > self._memory:
                return
            kept.append(arrays)
        self._kept, self._names = kept, frozenset(names)

    def _known(self, kept_suffice: bool) -> Iterator[Mapping[str, Array]]:
        """What is known of each batch without running anything, with its inputs where they are needed."""
        if kept_suffice and self._names:
            yield from self._kept
            return
        ports = [Port(value.name, 0, value.type.shape, value.type.dtype) for value in self._graph.inputs]
        for index, batch in enumerate(checked(self._samples)):
            bind_shapes(ports, gather_inputs(ports, batch))
            yield {**batch, **(self._kept[index] if self._names else {})}


def segment(graph: Graph, known: frozenset[str], wanted: Sequence[str]) -> Graph:
    """What computes the values ``wanted`` from those of the names ``known`` and from the inputs, as a new graph."""
    needed: set[Node] = set()
    read: set[Value] = set()
    pending = [graph.value(name) for name in wanted]
    while pending:
        value = pending.pop()
        if value in read:
            continue
        read.add(value)
        node = value.producer
        if value.name in known or node is None or node in needed:
            continue
        needed.add(node)
        pending += [operand for operand in node.inputs if operand is not None]
    part = Graph(graph.table, graph.name)
    copies: dict[Value, Value] = {}
    for value in graph.values:
        if value not in read:
            continue
        if value.array is not None:
            copies[value] = part.add_constant(value.array, value.name)
        elif value.producer is None or value.name in known:
            copies[value] = part.add_input(value.name, value.type)
    for node in graph.nodes:
        if node in needed:
            names = [value.name for value in node.outputs]
            operands = [None if value is None else copies[value] for value in node.inputs]
            made = part.add_node(node.op, operands, node.attrs, outputs=len(names), names=names, loc=node.loc)
            for value, twin in zip(node.outputs, made.outputs, strict=True):
                twin.type, twin.content = value.type, value.content
                copies.setdefault(value, twin)
    part.set_outputs([copies[graph.value(name)] for name in wanted], list(wanted))
    return part


def _crossing(graph: Graph, place: Node) -> list[Value]:
    """Values computed up to ``place`` and read behind it. What is known without running is computed anew."""
    return [
        value
        for value in graph.values
        if value.array is None and value.content is None
        if value.producer is None or value.producer is place or graph.precedes(value.producer, place)
        if any(graph.precedes(place, user) for user in value.users)
    ]
