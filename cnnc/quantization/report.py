"""What became of every layer, and why: the noisiest result first."""

from __future__ import annotations

from dataclasses import dataclass

from cnnc.ir import Node
from cnnc.observation.observed import Samples
from cnnc.observation.signal_to_noise import decibels
from cnnc.quantization.mixed_precision import Mixed
from cnnc.quantization.noise import layer_noise
from cnnc.quantization.placement import stored_result
from cnnc.quantization.quantizer import Calibrated, Quantized


@dataclass(frozen=True, slots=True)
class LayerReport:
    """One layer that has an integer form.

    Attributes:
        name: of its node; ``result`` is the name of what it computes.
        is_integer: whether it computes on integers.
        sqnr: of its result in this model, in dB; infinite without noise.
        why: one sentence.
        sqnr_alone: of the model's results where this layer alone is quantized, in dB; None if not measured.
        float_seconds, integer_seconds: its time with one sample in both precisions; None if not measured.
    """

    name: str
    result: str
    op: str
    is_integer: bool
    sqnr: float
    why: str
    sqnr_alone: float | None = None
    float_seconds: float | None = None
    integer_seconds: float | None = None


def layer_reports(
    calibrated: Calibrated, quantized: Quantized, samples: Samples, mixed: Mixed | None = None
) -> tuple[LayerReport, ...]:
    """Every layer, the lowest signal-to-noise ratio first.

    Args:
        quantized: made from ``calibrated``.
        samples: on which noise is measured.
        mixed: what was measured to choose the layers, if anything.
    """
    placement = calibrated.placement
    chosen = set(placement.chosen) | placement.excluded.keys()
    nodes = [node for node in calibrated.source.nodes if node in chosen]
    results = {node.output.name: stored_result(calibrated.source, node).name for node in nodes}
    is_float = results.keys() <= quantized.in_float.keys()
    noise = (
        dict.fromkeys(results, 0.0) if is_float else layer_noise(calibrated.source, quantized.graph, results, samples)
    )
    reports = [_report(node, quantized, noise[node.output.name], mixed) for node in nodes]
    return tuple(sorted(reports, key=lambda report: report.sqnr))


def _report(node: Node, quantized: Quantized, noise: float, mixed: Mixed | None) -> LayerReport:
    result = node.output.name
    reason = quantized.in_float.get(result)
    facts = (node.name, result, node.op, reason is None, decibels(noise))
    if mixed is None or result not in mixed.times.floats:
        return LayerReport(*facts, reason or "its op has an integer form")
    slow, quick = mixed.times.floats[result], mixed.times.integers[result]
    alone = decibels(mixed.noise[result]) if result in mixed.noise else None
    return LayerReport(*facts, reason or _why_integer(slow, quick), alone, slow, quick)


def _why_integer(in_float: float, on_integers: float) -> str:
    if on_integers < in_float:
        return "faster on integers"
    return "saves its neighbours conversions"
