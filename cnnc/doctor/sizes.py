"""A graph with numbers for its open sizes."""

from __future__ import annotations

from collections.abc import Mapping

from cnnc.dims import Dim, substitute
from cnnc.ir import Graph, Value
from cnnc.types import TensorType


def with_sizes(graph: Graph, sizes: Mapping[str, int]) -> Graph:
    """A copy of an imported graph, all types inferred anew.

    Raises:
        ModelError: the numbers are no sizes for it.
    """
    known: dict[str, Dim] = dict(sizes)
    copy = Graph(graph.table, graph.name)
    copy.stage = graph.stage
    copies: dict[Value, Value] = {}
    for value in graph.inputs:
        shape = tuple(substitute(dim, known) for dim in value.type.shape)
        copies[value] = copy.add_input(value.name, TensorType(shape, value.type.dtype))
    for value in graph.constants:
        assert value.array is not None
        copies[value] = copy.add_constant(value.array, value.name)
    for node in graph.nodes:
        operands = [None if value is None else copies[value] for value in node.inputs]
        names = [value.name for value in node.outputs]
        made = copy.add_node(node.op, operands, node.attrs, outputs=len(names), names=names, loc=node.loc)
        copies |= dict(zip(node.outputs, made.outputs, strict=True))
    copy.set_outputs([copies[value] for value in graph.outputs], graph.output_names)
    return copy
