"""The verifier: the rules that every graph keeps, and the ops that are legal in each stage.

Rules: values have one producer and a unique name; nodes stand in topological order; use lists mirror inputs exactly;
types re-derived from the operands equal the stored ones (layouts aside); the stage's op table holds.
"""

from __future__ import annotations

from cnnc.dims import symbols
from cnnc.errors import UserError, VerifyError
from cnnc.ir.graph import Graph
from cnnc.ir.node import Node, Value
from cnnc.types import TensorType

STAGES = ("imported", "normalised", "optimised", "placed")
"""In this order; a pass may require one and ensure a later one."""

ILLEGAL_ONCE_NORMALISED = frozenset({"identity", "dropout", "cast_like"})
"""Ops that normalisation always removes."""


def stage_index(stage: str) -> int:
    """Position of a stage in the order."""
    return STAGES.index(stage)


def verify(graph: Graph) -> None:
    """Check all rules.

    Raises:
        VerifyError: the first broken rule, naming node and value.
    """
    known: set[Value] = set(graph.inputs) | set(graph.constants)
    for node in graph.nodes:
        _verify_node(graph, node, known)
        known.update(node.outputs)
    for value in graph.outputs:
        if value not in known:
            raise VerifyError(f"output %{value.name} is not in the graph")
    for value in graph.values:
        if value not in known:
            raise VerifyError(f"%{value.name} is listed but has no producer in the graph")
    for value in known:
        for user, position in value.uses:
            if not user.is_alive or user.inputs[position] is not value:
                raise VerifyError(f"%{value.name} lists a use by {user!r} that is not there")
    if stage_index(graph.stage) >= stage_index("normalised"):
        _verify_stage(graph)


def _verify_node(graph: Graph, node: Node, known: set[Value]) -> None:
    for position, value in enumerate(node.inputs):
        if value is None:
            continue
        if value not in known:
            raise VerifyError(f"{node!r} reads %{value.name} before it is computed, or it is not in the graph")
        if (node, position) not in value.uses:
            raise VerifyError(f"%{value.name} does not list its use by {node!r}")
    for value in node.outputs:
        if value in known or graph.value(value.name) is not value:
            raise VerifyError(f"%{value.name} has two producers, or its name belongs to another value")
    name = node.output.name
    try:
        types = graph.infer(node.op, node.attrs, node.inputs, outputs=len(node.outputs), name=name, loc=node.loc)
    except UserError as error:
        raise VerifyError(f"{node!r} contradicts its op's rules: {error}") from error
    for value, derived in zip(node.outputs, types):
        if not types_agree(value.type, derived):
            raise VerifyError(f"%{value.name} is stored as {value.type}, but {node!r} gives {derived}")


def types_agree(stored: TensorType, derived: TensorType) -> bool:
    """Whether shape and dtype are the same, but for sizes that only values decide; layouts are not compared."""
    if stored.dtype is not derived.dtype or stored.rank != derived.rank:
        return False
    for a, b in zip(stored.shape, derived.shape):
        # Sizes that only values decide are named after the node, and a rewrite may have renamed it.
        unknown = any(name.startswith("u_") for name in symbols(a) | symbols(b))
        if a != b and not unknown:
            return False
    return True


def _verify_stage(graph: Graph) -> None:
    for node in graph.nodes:
        if node.op in ILLEGAL_ONCE_NORMALISED:
            raise VerifyError(f"{node!r} is not legal in stage {graph.stage}")
    if graph.stage == "placed":
        return
    for value in graph.values:
        if value.type.layout.is_blocked:
            raise VerifyError(f"%{value.name} has layout {value.type.layout} before layouts are assigned")
