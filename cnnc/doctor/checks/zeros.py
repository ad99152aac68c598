"""Zeros in weights: channels that nothing depends on, and densities that no kernel makes use of."""

from __future__ import annotations

from collections.abc import Iterator

from cnnc.doctor.finding import Finding, Severity
from cnnc.doctor.patient import Patient, duration
from cnnc.lower.density import DENSE, layer_density, layer_weight, weight_density

LEAST_SHARE = 0.05
"""Of empty filters and unread inputs of a layer, below which they are not worth a warning."""


def dead_channels(patient: Patient) -> Iterator[Finding]:
    """Filters of zeros, and input channels that no filter reads, that are still there in the compiled model."""
    for node, _, _ in patient.nodes:
        weight = layer_weight(node)
        if weight is None:
            continue
        zeros = weight_density(weight.by_outputs, weight.groups, weight.zero)
        if not (zeros.empty_filters or zeros.dead_inputs):
            continue
        filters, inputs = weight.by_outputs.shape[:2]
        share = max(zeros.empty_filters / filters, zeros.dead_inputs / (inputs * weight.groups))
        cost = patient.costs.get(node.output.name)
        seconds = share * cost.seconds if cost is not None else 0.0
        yield Finding(
            Severity.WARNING if share >= LEAST_SHARE else Severity.INFO,
            node.name,
            f"{zeros.empty_filters} of its filters are zeros, {zeros.dead_inputs} input channels are not read",
            f"up to {patient.told_cost(seconds)}: they stay, since other layers need tensors of this width",
            "cnnc prune --pattern channel takes whole channels out, with what depends on them; sums over skip "
            "connections keep a channel that any of their summands has",
            node.loc,
            seconds,
        )


def unused_density(patient: Patient) -> Iterator[Finding]:
    """Weights with many zeros: whether a kernel leaves them out, and from which density on one would."""
    for node, _, told in patient.nodes:
        zeros = layer_density(node)
        if zeros is None or zeros.pattern == DENSE or told.pruned is None:
            continue
        pruned = told.pruned
        fact = f"{pruned.density:.0%} of its weights are not zero ({pruned.pattern})"
        if told.kernel != pruned.dense_kernel:
            dense = [item for item in told.candidates if item.kernel == pruned.dense_kernel]
            gain = (
                max(0.0, dense[0].predicted_seconds - told.chosen.predicted_seconds) if dense and told.chosen else 0.0
            )
            yield Finding(
                Severity.INFO,
                node.name,
                f"{fact}; {told.kernel} leaves the others out",
                f"it gains {duration(gain)} predicted over {pruned.dense_kernel}",
                "nothing to do",
                node.loc,
            )
            continue
        pays = f"below {pruned.break_even:.0%} they would pay" if pruned.break_even else "they pay at no density"
        advice = (
            f"prune it further: cnnc prune --ratio '{node.name}={1 - pruned.break_even:.2f}', or leave it dense"
            if pruned.break_even
            else "leave the layer dense: cnnc prune --exclude; whole channels pay everywhere: --pattern channel"
        )
        yield Finding(
            Severity.WARNING,
            node.name,
            f"{fact}, and it is computed as if none were; {pays}",
            "the accuracy that the zeros took buys no time here; the .cnnc file is smaller by them",
            advice,
            node.loc,
        )
