"""What makes a model slower, larger or less exact than it need be: findings with facts, costs and the next step.

    from cnnc.doctor import diagnose

    for check, finding in diagnose("model.onnx").findings:
        print(check, finding.where, finding.fact, finding.advice)

See docs/doctor.md.
"""

from __future__ import annotations

from cnnc.doctor.api import diagnose
from cnnc.doctor.finding import CheckResult, Diagnosis, Finding, Severity
from cnnc.doctor.patient import LayerCost, Patient
from cnnc.doctor.registry import CHECKS, Check
from cnnc.doctor.samples import TensorStatistics

__all__ = [
    "CHECKS",
    "Check",
    "CheckResult",
    "Diagnosis",
    "Finding",
    "LayerCost",
    "Patient",
    "Severity",
    "TensorStatistics",
    "diagnose",
]
