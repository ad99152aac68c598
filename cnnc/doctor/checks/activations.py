"""What activations do on sample data: no numbers, huge ranges, channels that are never anything but 0."""

from __future__ import annotations

from collections.abc import Iterator

from cnnc.doctor.checks.weight_values import F16_LARGEST
from cnnc.doctor.finding import Finding, Severity
from cnnc.doctor.patient import Patient

OUTLIER = 100.0
"""Ratio of the largest element to the root mean square, from which 8 bits do not hold both."""
MANY_DEAD = 0.25
"""Share of dead channels from which it is a warning."""
_ACTIVATIONS = frozenset({"relu", "clip", "hard_sigmoid", "hard_swish", "leaky_relu", "prelu"})


def huge_range(patient: Patient) -> Iterator[Finding]:
    """Tensors with infinities or NaN, beyond float16, or with outliers."""
    assert patient.samples is not None
    for node in patient.source.nodes:
        statistics = patient.samples.get(node.output.name)
        if statistics is None or not statistics.elements or node.output.type.dtype.is_float is False:
            continue
        where, usual = node.name, statistics.root_mean_square
        if statistics.not_finite:
            fact = f"{statistics.not_finite} of {statistics.elements} elements are NaN or infinite on the samples"
            advice = "look at the first such tensor: cnnc verify --layers; check the samples and the weights"
            yield Finding(Severity.ERROR, where, fact, "results are no numbers", advice, node.loc)
        elif statistics.largest > F16_LARGEST:
            fact = f"it reaches {statistics.largest:.2e} on the samples, and float16 ends at {F16_LARGEST:.0f}"
            advice = "leave out --precision f16; scale the inputs as in training"
            yield Finding(Severity.WARNING, where, fact, "float16 overflows", advice, node.loc)
        elif usual and statistics.largest > OUTLIER * usual:
            fact = f"it reaches {statistics.largest:.2e} on the samples; its root mean square is {usual:.2e}"
            cost = "with a range that holds the outliers, 8 bits leave the rest less than two steps"
            advice = "quantize with a clipped range: cnnc quantize --method percentile or --method mse"
            yield Finding(Severity.INFO, where, fact, cost, advice, node.loc)


def dead(patient: Patient) -> Iterator[Finding]:
    """Channels of activations that are 0 for all samples."""
    assert patient.samples is not None
    for node in patient.source.nodes:
        statistics = patient.samples.get(node.output.name) if node.op in _ACTIVATIONS else None
        if statistics is None or not statistics.dead_channels:
            continue
        count, total = statistics.dead_channels, len(statistics.live)
        yield Finding(
            Severity.WARNING if count > MANY_DEAD * total else Severity.INFO,
            node.name,
            f"{count} of {total} channels are 0 on all samples",
            f"the layers around it compute {count / total:.0%} of their products for nothing",
            "if the samples are typical: cnnc prune --pattern channel, and verify with --eval",
            node.loc,
        )
