"""A layer: all that the speed of one node depends on. It has a key, and a graph of its own to be measured in."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from cnnc.dims import evaluate, symbols
from cnnc.errors import ModelError
from cnnc.ir import Graph, Node, Value
from cnnc.lower.density import DENSE, layer_density
from cnnc.lower.spatial import TYPICAL_SIZE
from cnnc.ops import OPS
from cnnc.ops.activation import Activation
from cnnc.runtime.kernel import Target
from cnnc.types import TensorType

_DENSITY_STEP = 0.05
"""Of a weight's non-zeros: layers that differ by less are one for measurements."""


def layer_key(node: Node, target: Target) -> str:
    """One line of text, equal for nodes of equal speed: op, attributes, operand types, zeros of the weight, CPU family.

    Symbolic sizes count as typical ones. Of constants only the pattern and share of a weight's zeros count, in steps of
    ``_DENSITY_STEP``; the bounds of an activation do not count.
    """
    sizes = _typical_sizes(node)
    operands = ", ".join("none" if value is None else _operand_text(value, sizes) for value in node.inputs)
    results = ", ".join(str(_static(value.type, sizes)) for value in node.outputs)
    attributes = []
    for attribute in dataclasses.fields(node.attrs):
        value = getattr(node.attrs, attribute.name)
        attributes.append(f"{attribute.name}={value.kind if isinstance(value, Activation) else value}")
    return f"{node.op}({operands}) -> {results} {' '.join(attributes)}{_zeros_text(node)} {target.cpu}{target.features}"


def single_layer(node: Node) -> Graph:
    """A placed graph of this node alone: constants are kept, other operands are inputs of typical sizes.

    Raises:
        ModelError: the node contradicts its op's rules at typical sizes, which may be too small for its windows.
    """
    sizes = _typical_sizes(node)
    graph = Graph(OPS, node.name)
    copies: dict[Value, Value] = {}
    for value in node.inputs:
        if value is None or value in copies:
            continue
        if value.array is not None:
            copies[value] = graph.add_constant(value.array, value.name)
            copies[value].type = value.type
        else:
            copies[value] = graph.add_input(value.name, _static(value.type, sizes))
    operands = [None if value is None else copies[value] for value in node.inputs]
    names = [value.name for value in node.outputs]
    made = graph.add_node(node.op, operands, node.attrs, outputs=len(names), names=names, loc=node.loc)
    for value, twin in zip(node.outputs, made.outputs, strict=True):
        if twin.type.shape != _static(value.type, sizes).shape:
            raise ModelError(f"%{value.name} has no size where open sizes are {sizes}", where=node.name)
        graph.set_layout(twin, value.type.layout)
    graph.set_outputs(made.outputs, names)
    graph.stage = "placed"
    return graph


def _typical_sizes(node: Node) -> dict[str, int]:
    """Every symbol of the node's types: 1 where it is a batch, else a usual height or width."""
    sizes: dict[str, int] = {}
    for value in (*node.inputs, *node.outputs):
        for axis, dim in enumerate(() if value is None else value.type.shape):
            for name in symbols(dim):
                sizes[name] = min(sizes.get(name, TYPICAL_SIZE), 1 if axis == 0 else TYPICAL_SIZE)
    return sizes


def _static(type: TensorType, sizes: Mapping[str, int]) -> TensorType:
    return type.with_shape(tuple(max(1, evaluate(dim, sizes)) for dim in type.shape))


def _zeros_text(node: Node) -> str:
    zeros = layer_density(node)
    if zeros is None or zeros.pattern == DENSE:
        return ""
    return f" zeros={zeros.pattern},{_DENSITY_STEP * round(zeros.density / _DENSITY_STEP):.0%}"


def _operand_text(value: Value, sizes: Mapping[str, int]) -> str:
    return f"{'const ' if value.is_constant else ''}{_static(value.type, sizes)}"
