"""Where integers and floats meet in a compiled graph: the conversions that stayed, each with its reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cnnc.ir import Graph, Node, Notes, Value

_RULES = ("fuse-quantized-ops", "look-up-function", "raise-quantize", "drop-quantize", "lower-dequantize")
"""Rewrites that would have rid the graph of a conversion, the most telling refusal first."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """A quantize_linear, dequantize_linear or dynamic_quantize_linear of the program."""

    node: str
    op: str
    reason: str


def remaining_conversions(graph: Graph, notes: Notes) -> tuple[Conversion, ...]:
    """The conversions of a compiled graph, and one sentence each why it could not go."""
    return tuple(
        Conversion(node.name, node.op, _REASONS[node.op](node, notes)) for node in graph.nodes if node.op in _REASONS
    )


def _why_quantize(node: Node, notes: Notes) -> str:
    source = _producer(node.input(0))
    if source is None:
        return f"floats come in: %{node.input(0).name} is an input of the model"
    return f"{source.op} {source.name!r} computes with floats: {_refusal(notes, node) or _NO_FORM}"


def _why_dequantize(node: Node, notes: Notes) -> str:
    readers = list(_readers(node.output))
    if not readers:
        return f"floats go out: %{node.output.name} is an output of the model"
    reader = readers[0]
    quantizers = [user for value in reader.outputs for user in _readers(value) if user.op == "quantize_linear"]
    reason = next(filter(None, (_refusal(notes, each) for each in (*quantizers, reader))), None)
    if reason is None:
        reason = _NO_FORM if quantizers else "nothing quantizes its result"
    return f"{reader.op} {reader.name!r} computes with floats: {reason}"


def _why_ranged(node: Node, notes: Notes) -> str:
    return "its scale follows from the data of each run"


_REASONS: Mapping[str, Callable[[Node, Notes], str]] = {
    "quantize_linear": _why_quantize,
    "dequantize_linear": _why_dequantize,
    "dynamic_quantize_linear": _why_ranged,
}
_NO_FORM = "it has no form that computes with integers"


def _refusal(notes: Notes, node: Node) -> str | None:
    found = (notes.refusals.get((rule, node.name)) for rule in _RULES)
    return next((refusal.reason for refusal in found if refusal is not None), None)


def _producer(value: Value) -> Node | None:
    """What computes ``value``, in whatever layout."""
    node = value.producer
    while node is not None and node.op == "convert_layout":
        node = node.input(0).producer
    return node


def _readers(value: Value) -> Iterator[Node]:
    """What reads ``value``, in whatever layout."""
    for node in value.users:
        if node.op == "convert_layout":
            yield from _readers(node.output)
        else:
            yield node
