"""Fast convolution methods that were refused because of their rounding errors, and weights that make them worse."""

from __future__ import annotations

from collections.abc import Iterator

from cnnc.doctor.finding import Finding, Severity
from cnnc.doctor.patient import Patient

_REASON = "its rounding errors could exceed the network's share"
_METHODS = (("winograd", "--winograd f4"), ("strassen", "--strassen on"))


def refused_for_accuracy(patient: Patient) -> Iterator[Finding]:
    """Layers that Winograd's or Strassen's method would take if the network were less deep."""
    for node, _, told in patient.nodes:
        for item in told.refused:
            option = next((option for method, option in _METHODS if method in item.kernel), None)
            if option is None or item.reason != _REASON:
                continue
            cost = patient.costs.get(told.value)
            yield Finding(
                Severity.INFO,
                node.name,
                f"{item.kernel} was refused: {item.reason}",
                f"the layer takes {patient.told_cost(cost.seconds)}" if cost is not None else "not predicted",
                f"if the model stands the error: compile with {option}; cnnc verify --exact {option} says what it is",
                node.loc,
            )
