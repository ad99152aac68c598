"""Batch normalizations that no layer took up."""

from __future__ import annotations

from collections.abc import Iterator

from cnnc.doctor.finding import Finding, Severity
from cnnc.doctor.patient import Patient
from cnnc.ir import Graph, Node

_OP = "batch_normalization"
_LAYERS = frozenset({"conv", "conv_transpose", "gemm", "matmul"})
_WORTH_A_WARNING = 0.01
"""Share of the predicted time."""


def unfolded(patient: Patient) -> Iterator[Finding]:
    """Those that cost a pass over their tensor, with the reason; what a convolution does on reading is free."""
    sources = {node.name: node for node in patient.source.nodes if node.op == _OP}
    for node, _, told in patient.nodes:
        if node.op in _LAYERS:
            continue
        for origin in told.origins:
            if origin.op != _OP or origin.name not in sources:
                continue
            cost = patient.costs.get(node.output.name)
            seconds = cost.seconds if cost is not None else patient.moving_seconds(node.output)
            yield Finding(
                Severity.WARNING if patient.share(seconds) >= _WORTH_A_WARNING else Severity.INFO,
                origin.name,
                f"it is a {node.op} of its own: {why(sources[origin.name], patient.source)}",
                patient.told_cost(seconds),
                "put it right behind a convolution whose result nothing else reads: then it costs nothing",
                node.loc,
                seconds,
            )
            break


def why(node: Node, graph: Graph) -> str:
    """Why a batch normalization of the source does not fold into a layer before it."""
    if any(value is not None and not value.is_constant for value in node.inputs[1:]):
        return "its parameters are not constant"
    producer = node.input(0).producer
    if producer is None:
        return "it stands at the model's input"
    if producer.op not in _LAYERS:
        return f"it stands behind {producer.op} {producer.name!r}, which has no weights"
    readers = len(node.input(0).users) + graph.is_output(node.input(0))
    if readers > 1:
        return f"{readers} read the result of {producer.op} {producer.name!r}, which would change for all of them"
    return f"{producer.op} {producer.name!r} could not take it: cnnc explain --node has the refusal"
