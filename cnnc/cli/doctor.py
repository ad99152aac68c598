"""``cnnc doctor``: what makes a model slower, larger or less exact than it need be."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from cnnc.cli.console import print_json, say, working
from cnnc.cli.failures import Evidence
from cnnc.cli.input_options import image_options
from cnnc.cli.model_options import (
    LEVEL,
    PRECISION,
    SHAPES,
    STRASSEN,
    WINOGRAD,
    CompileRequest,
    compiles,
    input_ports,
    load_graph,
)

if TYPE_CHECKING:
    from cnnc.cli.images import ImageSettings
    from cnnc.doctor import CheckResult, Diagnosis, Severity

SHOWN = 5
"""Findings of a check that are printed unless all are asked for."""

_HELP = """Examine MODEL: weights that are no numbers or denormal, dead channels, zeros that do not pay, batch
normalizations that did not fold, conversions that stayed, host ops, layers that wait for memory, and more. Each finding
says what was measured, what it costs, and the next step. Times are predicted for one core, by the cost model.

\b
  cnnc doctor model.onnx
  cnnc doctor model.onnx --calib photos/           activations too, on sample data
  cnnc doctor model.onnx --check host-ops --all
  cnnc doctor model.onnx --fail-on warning         exit code 1 if there is one
"""


@click.command("doctor", help=_HELP, short_help="Say what is wrong with a model, what it costs, and what to do.")
@click.option("--calib", metavar="DATA", help="Sample data: an .npz, a folder, or reader.py:make.")
@image_options
@click.option("--check", "checks", multiple=True, metavar="NAME", help="Only this check; may be given several times.")
@click.option("--all", "show_all", is_flag=True, help=f"Print all findings of a check, not {SHOWN}.")
@click.option("--fail-on", type=click.Choice(["info", "warning", "error"]), help="Exit with 1 on findings so severe.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@compiles(LEVEL, WINOGRAD, STRASSEN, PRECISION, SHAPES)
@click.pass_obj
def command(
    evidence: Evidence,
    request: CompileRequest,
    calib: str | None,
    images: ImageSettings,
    checks: tuple[str, ...],
    show_all: bool,
    fail_on: str | None,
    as_json: bool,
) -> int:
    """See ``_HELP``."""
    from cnnc.doctor import Severity, diagnose
    from cnnc.doctor.registry import select_checks

    model = request.source
    select_checks(checks)
    graph = load_graph(model, request.shapes, evidence)
    samples = None
    if calib is not None:
        from cnnc.cli.calibration_data import calibration_batches

        samples = calibration_batches(calib, input_ports(graph), images, 32)()
    with working(f"examining {model.name}"):
        diagnosis = diagnose(graph, options=request.options(), samples=samples, checks=checks)
    if as_json:
        print_json(_as_json(diagnosis))
    else:
        _show(diagnosis, model.name, show_all)
    worst = diagnosis.worst()
    is_too_bad = fail_on is not None and worst is not None and worst >= Severity[fail_on.upper()]
    return 1 if is_too_bad else 0


def _show(diagnosis: Diagnosis, name: str, show_all: bool) -> None:
    from cnnc.doctor.patient import duration

    for result in diagnosis.results:
        if result.findings:
            _show_result(result, show_all)
    counts = _counts([finding.severity for _, finding in diagnosis.findings])
    sizes = f" with {diagnosis.sizes}" if diagnosis.sizes else ""
    seconds = diagnosis.predicted_seconds
    predicted = "no time is predicted" if seconds is None else f"{duration(seconds)} predicted on one core"
    say(f"{name}{sizes}: {counts or 'nothing was found'}; {predicted}")
    clean = [result.check for result in diagnosis.results if not result.findings and not result.skipped]
    if clean:
        say(f"nothing to say: {', '.join(clean)}")
    skipped = [result.check for result in diagnosis.results if result.skipped]
    if skipped:
        say(f"not done without --calib: {', '.join(skipped)}")


def _show_result(result: CheckResult, show_all: bool) -> None:
    shown = result.findings if show_all else result.findings[:SHOWN]
    say(f"{result.check}: {result.about}")
    for item in shown:
        say(f"  {str(item.severity).upper()} {item.where}")
        for title, text in (("fact", item.fact), ("cost", item.cost), ("next", item.advice)):
            say(f"    {title}  {text}")
    if len(shown) < len(result.findings):
        say(f"  and {len(result.findings) - len(shown)} more: --check {result.check} --all")
    say()


def _counts(severities: Sequence[Severity]) -> str:
    from cnnc.doctor import Severity

    counts = [(severities.count(severity), severity) for severity in sorted(Severity, reverse=True)]
    return ", ".join(f"{count} {severity}{'s' if count > 1 else ''}" for count, severity in counts if count)


def _as_json(diagnosis: Diagnosis) -> dict[str, Any]:
    return {
        "predicted_seconds": diagnosis.predicted_seconds,
        "sizes": diagnosis.sizes,
        "checks": [
            {
                "check": result.check,
                "about": result.about,
                "skipped": result.skipped,
                "findings": [
                    {**dataclasses.asdict(finding), "severity": str(finding.severity)} for finding in result.findings
                ],
            }
            for result in diagnosis.results
        ],
    }
