"""``cnnc explain``: what the compiler did with each node, and what it refused to do, with reasons."""

from __future__ import annotations

import dataclasses

import click

from cnnc.cli.console import print_json
from cnnc.cli.explanation_tables import show_explanation, show_nodes
from cnnc.cli.failures import Evidence
from cnnc.cli.model_options import (
    LEVEL,
    PRECISION,
    SHAPES,
    STRASSEN,
    TARGET,
    TUNING,
    WINOGRAD,
    CompileRequest,
    check_options,
    compile_model,
    compiles,
)
from cnnc.errors import InputError
from cnnc.near_names import near_names

_HELP = """Compile MODEL and say what became of it: which nodes were fused, which kernel runs each, which better kernels
and rewrites were refused and why, below which density pruned weights pay, where integers and floats still meet, and
what runs on the host in NumPy.

\b
  cnnc explain model.onnx
  cnnc explain model.onnx --node conv1      one node, everything known of it
  cnnc explain model.onnx -O3               with the times that were measured here
  cnnc explain model.onnx --json
"""


@click.command("explain", help=_HELP, short_help="Say what fused, which kernels run, and why.")
@compiles(LEVEL, WINOGRAD, STRASSEN, PRECISION, TARGET, TUNING, SHAPES, check_options)
@click.option("--node", "wanted", metavar="TEXT", help="Only nodes whose name, op or origins contain this.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def command(
    evidence: Evidence,
    request: CompileRequest,
    wanted: str | None,
    as_json: bool,
) -> None:
    """See ``_HELP``."""
    from cnnc.explanation import explain

    compiled = compile_model(request, evidence, kernels=False)
    explanation = explain(compiled, wanted or "")
    if wanted and not explanation.nodes:
        known = [name for decision in compiled.lowered.decisions for name in (*decision.loc, decision.op)]
        raise InputError(f"no node of the program has {wanted!r} in it", where="--node", hint=near_names(wanted, known))
    if as_json:
        print_json(dataclasses.asdict(explanation))
    elif wanted:
        show_nodes(explanation)
    else:
        show_explanation(explanation)
