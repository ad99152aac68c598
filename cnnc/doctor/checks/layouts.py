"""Layout conversions, ops on the host, and channel counts that do not fill blocks: what the memory layout costs."""

from __future__ import annotations

from collections.abc import Iterator

from cnnc.doctor.finding import Finding, Severity
from cnnc.doctor.patient import Patient, duration
from cnnc.ir import Node

WASTE = 0.25
"""Share of the lanes of a block that hold no channel, from which it is said."""
LEAST_SHARE, NEGLIGIBLE = 0.01, 0.001
"""Shares of the predicted time: from which it is a warning, and below which it is not worth a word."""
_CONVOLUTIONS = frozenset({"conv", "conv_transpose"})
_WITH_HALF_VECTORS = frozenset({"conv.f32.blocked.pointwise"})


def conversions(patient: Patient) -> Iterator[Finding]:
    """Copies between blocked and plain layout that are left in the program."""
    refused = {item.node: item.reason for item in patient.explanation.refused_rewrites if item.rule == "assign-layouts"}
    for node, decision, _ in patient.nodes:
        if node.op != "convert_layout" or decision.chosen == "view":
            continue
        cost = patient.costs.get(node.output.name)
        seconds = cost.seconds if cost is not None else patient.moving_seconds(node.input(0), node.output)
        readers = node.output.users
        names = ", ".join(f"{reader.op} {reader.name!r}" for reader in readers) or "the model's result"
        layout = node.output.type.layout
        why = next((f": {refused[reader.name]}" for reader in readers if reader.name in refused), "")
        yield Finding(
            Severity.WARNING if patient.share(seconds) >= LEAST_SHARE else Severity.INFO,
            node.name,
            f"{node.input(0).name} becomes {layout} for {names}{why}",
            patient.told_cost(seconds),
            _advice(layout.is_blocked, bool(readers)),
            node.loc,
            seconds,
        )


def _advice(to_blocks: bool, is_read: bool) -> str:
    if to_blocks:
        return "let a convolution be the first to read it: those of few channels read plain tensors"
    if is_read:
        return (
            "if the reader has a form that reads blocks, use it: global pooling for flatten, 1x1 convolutions for dense"
        )
    return "nothing to do: results are plain"


def part_filled_blocks(patient: Patient) -> Iterator[Finding]:
    """Convolutions whose output channels leave lanes of their blocks idle."""
    lanes = patient.compiled.target.lanes
    for node, _, told in patient.nodes:
        channels = node.output.type.shape[1] if node.op in _CONVOLUTIONS else None
        if not isinstance(channels, int) or not node.output.type.layout.is_blocked or _is_result(node, patient):
            continue
        # The last output channels of a 1x1 convolution may take a tile of half vectors.
        width = lanes // 2 if told.kernel in _WITH_HALF_VECTORS else lanes
        stored, computed = (-(-channels // size) * size for size in (lanes, width))
        idle_bytes, idle_time = 1 - channels / stored, 1 - channels / computed
        if max(idle_bytes, idle_time) < WASTE:
            continue
        cost = patient.costs.get(node.output.name)
        computing = idle_time * cost.seconds if cost is not None else 0.0
        # What is stored is written once and read once at least.
        seconds = max(computing, 2 * idle_bytes * stored / channels * patient.moving_seconds(node.output))
        if patient.share(seconds) < NEGLIGIBLE:
            continue
        also = f", or of {width}" if width != lanes else ""
        yield Finding(
            Severity.WARNING if patient.share(seconds) >= LEAST_SHARE else Severity.INFO,
            node.name,
            f"its {channels} output channels are stored as {stored} and computed as {computed}: "
            f"blocks have {lanes} lanes",
            f"up to {patient.told_cost(seconds)}, and {idle_bytes:.0%} of the bytes of its result",
            f"use a multiple of {lanes}{also}: {computed} channels would take the same time",
            node.loc,
            seconds,
        )


def _is_result(node: Node, patient: Patient) -> bool:
    """Whether only the model's results follow: their channels are what is asked of it."""
    graph = patient.compiled.graph
    return all(user.op == "convert_layout" and graph.is_output(user.output) for user in node.output.users)


def on_host(patient: Patient) -> Iterator[Finding]:
    """Ops that run in NumPy, with what their kernels said."""
    for node, decision, told in patient.nodes:
        if decision.chosen != "host":
            continue
        operands = [value for value in (*node.inputs, *node.outputs) if value is not None and not value.is_constant]
        seconds = patient.moving_seconds(*operands)
        reasons = "; ".join(f"{item.kernel}: {item.reason}" for item in told.refused) or "there is no kernel for the op"
        yield Finding(
            Severity.WARNING,
            node.name,
            f"{node.op} runs on the host: {reasons}",
            f"at least {duration(seconds)} for its bytes, on one thread; cnnc bench --profile measures it",
            "spell it in ops that have kernels, or add one from a package of yours: docs/extending.md",
            node.loc,
            seconds,
        )
