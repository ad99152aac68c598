"""``diagnose``: all checks on one model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from cnnc.compiler import Model, read_graph
from cnnc.doctor.finding import CheckResult, Diagnosis, Finding
from cnnc.doctor.patient import Patient
from cnnc.doctor.registry import Check, select_checks
from cnnc.doctor.samples import tensor_statistics
from cnnc.errors import OptionError
from cnnc.ir import Array
from cnnc.options import Options
from cnnc.runtime.cuda.target import is_cuda
from cnnc.targets import parse_target


def diagnose(
    model: Model,
    *,
    options: Options | None = None,
    samples: Iterable[Mapping[str, Array]] | None = None,
    checks: Sequence[str] = (),
) -> Diagnosis:
    """What makes a model slower, larger or less exact than it need be. No kernel is compiled to machine code.

    Args:
        model: as for ``cnnc.compile``.
        options: how it is compiled; -O2 by default.
        samples: batches of typical inputs by name, for checks of activations.
        checks: names of the checks to run; all of ``cnnc.doctor.CHECKS`` by default.

    Raises:
        UserError: the model, the options or the samples are wrong.
        OptionError: the target is no CPU, or there is no such check.
    """
    options = options or Options()
    chosen = select_checks(checks)
    if is_cuda(parse_target(options.target)):
        raise OptionError("programs for GPUs are not examined", where="target", hint="use cnnc emulate")
    source = read_graph(model, options.shapes)
    statistics = None if samples is None else tensor_statistics(source, samples)
    patient = Patient(source, options, statistics)
    results = tuple(_result(check, patient) for check in chosen)
    sizes = ", ".join(f"{name}={size}" for name, size in patient.sizes.items())
    return Diagnosis(results, patient.total_seconds if patient.costs else None, sizes)


def _result(check: Check, patient: Patient) -> CheckResult:
    if check.needs_samples and patient.samples is None:
        return CheckResult(check.name, check.about, (), "it needs sample data")
    found = sorted(check.run(patient), key=_rank)
    return CheckResult(check.name, check.about, tuple(found))


def _rank(finding: Finding) -> tuple[float, float]:
    return -finding.severity, -finding.seconds
