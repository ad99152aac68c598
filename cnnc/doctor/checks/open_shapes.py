"""Open sizes that keep layers from their best kernel: found by compiling the model with sizes fixed."""

from __future__ import annotations

from collections.abc import Iterator

from cnnc.doctor.finding import Finding, Severity
from cnnc.doctor.patient import Patient

LEAST_SHARE = 0.01
"""Of the predicted time, from which it is a warning."""


def prevented_kernels(patient: Patient) -> Iterator[Finding]:
    """Layers that get another kernel once all sizes are numbers."""
    fixed = patient.fixed
    if fixed is None:
        return
    others = {told.value: told for _, _, told in fixed.nodes}
    for node, _, told in patient.nodes:
        other = others.get(told.value)
        if other is None or other.kernel == told.kernel or other.kernel == "view":
            continue
        before, after = patient.costs.get(told.value), fixed.costs.get(told.value)
        gain = max(0.0, before.seconds - after.seconds) if before is not None and after is not None else 0.0
        if gain == 0.0 and told.kernel != "host":
            continue
        is_large = told.kernel == "host" or patient.share(gain) >= LEAST_SHARE
        shapes = " ".join(
            f"--shape {value.name}={','.join(str(patient.sized(dim)) for dim in value.type.shape)}"
            for value in patient.source.inputs
        )
        yield Finding(
            Severity.WARNING if is_large else Severity.INFO,
            node.name,
            f"it gets {told.kernel}; with fixed sizes it would get {other.kernel}",
            patient.told_cost(gain),
            f"fix the sizes: cnnc compile {shapes}; an open batch alone costs little",
            node.loc,
            gain,
        )
