"""Quantized models: conversions that stayed, and ranges that are not used or not enough."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cnnc.doctor.finding import Finding, Severity
from cnnc.doctor.patient import Patient

USED_LEVELS = 32
"""Of 128 magnitudes of an int8 weight: a channel that stays below has lost two bits."""
SATURATED = 0.01
"""Share of a tensor at the end of its range."""


def conversions(patient: Patient) -> Iterator[Finding]:
    """Quantize and dequantize in the compiled model, with the reason of each."""
    nodes = {(node.name, node.op): node for node, _, _ in patient.nodes}
    for item in patient.explanation.conversions:
        node = nodes[item.node, item.op]
        cost = patient.costs.get(node.output.name)
        seconds = cost.seconds if cost is not None else patient.moving_seconds(node.input(0), node.output)
        is_border = item.reason.startswith(("floats come in", "floats go out"))
        yield Finding(
            Severity.INFO if is_border else Severity.WARNING,
            item.node,
            f"{item.op} stayed: {item.reason}",
            patient.told_cost(seconds),
            "feed and read integers, or leave it: it is the model's border"
            if is_border
            else "quantize the op that computes with floats too, or move it out of the integer part",
            node.loc,
            seconds,
        )


def unused_weight_range(patient: Patient) -> Iterator[Finding]:
    """Weights of bytes that use few of their steps."""
    for node, weight in patient.weights:
        array = weight.by_outputs
        if array.dtype not in (np.int8, np.uint8):
            continue
        zero = np.asarray(weight.zero, np.int64)
        shift = zero.reshape(-1, *(1,) * (array.ndim - 1)) if zero.size > 1 else zero
        magnitudes = np.abs(array.astype(np.int64) - shift).reshape(len(array), -1).max(axis=1)
        narrow = int(np.count_nonzero(magnitudes < USED_LEVELS))
        if narrow:
            yield Finding(
                Severity.WARNING if 2 * narrow > len(array) else Severity.INFO,
                node.name,
                f"{narrow} of {len(array)} output channels use less than {USED_LEVELS} of 127 steps",
                "they have lost two bits or more: their rounding errors are four times as large as need be",
                "quantize the float model with one scale a channel: cnnc quantize, without --per-tensor",
                node.loc,
            )


def saturated(patient: Patient) -> Iterator[Finding]:
    """Activations of bytes that end at their range, or fill little of it, on sample data."""
    assert patient.samples is not None
    for node in patient.source.nodes:
        statistics = patient.samples.get(node.output.name) if node.op == "quantize_linear" else None
        if statistics is None or not statistics.elements:
            continue
        share = statistics.at_highest / statistics.elements
        used = (statistics.highest - statistics.lowest) / 255
        if share > SATURATED:
            yield Finding(
                Severity.WARNING,
                node.name,
                f"{share:.1%} of its elements are clipped at the upper end on the samples",
                "large activations are cut: accuracy",
                "calibrate on data like this: cnnc quantize --calib ... --method minmax, or a higher --percentile",
                node.loc,
            )
        elif used < 0.25:
            yield Finding(
                Severity.INFO,
                node.name,
                f"it uses {used:.0%} of its range on the samples",
                "two bits of precision or more",
                "calibrate on data like this, or with --method mse",
                node.loc,
            )
