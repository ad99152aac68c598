"""Layers that wait for memory: the roofline (Williams, Waterman and Patterson, 2009) with this machine's rates."""

from __future__ import annotations

from collections.abc import Iterator

from cnnc.doctor.finding import Finding, Severity
from cnnc.doctor.patient import FLOPS_PER_MAC, LayerCost, Patient, duration

LEAST_SHARE, LARGE_SHARE = 0.01, 0.1
"""Shares of the predicted time from which a layer is named, and from which it is a warning."""


def bandwidth_bound(patient: Patient) -> Iterator[Finding]:
    """Layers whose bytes take longer than their multiply-adds."""
    for node, _, _ in patient.nodes:
        cost = patient.costs.get(node.output.name)
        if cost is None or not cost.macs or cost.moving <= cost.computing:
            continue
        share = patient.share(cost.seconds)
        if share < LEAST_SHARE:
            continue
        yield Finding(
            Severity.WARNING if share >= LARGE_SHARE else Severity.INFO,
            node.name,
            f"its bytes take {duration(cost.moving)}, its multiply-adds {duration(cost.computing)}: "
            f"{cost.weight_bytes / 2**20:.1f} MiB of weights for {FLOPS_PER_MAC * cost.macs / 1e6:.1f} MFLOP",
            patient.told_cost(cost.seconds),
            _advice(cost, patient),
            node.loc,
            cost.seconds - cost.computing,
        )


def _advice(cost: LayerCost, patient: Patient) -> str:
    machine = patient.compiled.lowered.machine
    if cost.weight_bytes / machine.memory_bandwidth > cost.moving / 2:
        return (
            "run larger batches, which read the weights once; cnnc quantize makes them a quarter as many bytes, "
            "cnnc prune fewer"
        )
    return "cnnc quantize moves a quarter of the bytes; fewer channels on large maps move fewer"
