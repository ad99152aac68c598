"""``cnnc opt``: run chosen passes over a graph and print or save what they make of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cnnc.cli.console import note, say
from cnnc.cli.failures import Evidence
from cnnc.cli.model_options import MODEL, SHAPES, check_options, load_graph
from cnnc.cli.model_source import ModelSource
from cnnc.cli.outputs import check_writable, replacing
from cnnc.cli.pass_output import check_stops, printer_after
from cnnc.errors import OptionError

if TYPE_CHECKING:
    from cnnc.ir import Graph

_HELP = """Run passes over GRAPH (.ir, .onnx or .cnnc) and print the graph that comes out.

\b
  cnnc opt model.onnx -p fold-constants,eliminate-no-ops        only these, in this order
  cnnc opt graph.ir -p 'assign-layouts{block=8}' -o out.ir  options in braces; writes out.ir and out.npz
  cnnc opt graph.ir -p 'fold-batch-norm,fuse-conv-activation{max=2}'   max bounds the rewrites of any pass
  cnnc opt model.onnx -O1 --print-after all                     a level's pipeline, printed at every change
  cnnc opt model.onnx -o graph.ir                               no passes: the imported graph as text
"""


@click.command("opt", help=_HELP, short_help="Run chosen passes over a graph.")
@MODEL
@click.option("-p", "--passes", "pipeline", metavar="PASS,...", help="Passes to run, with options in braces.")
@click.option("-O", "level", type=click.IntRange(0, 3), help="Run the pipeline of this level instead.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the graph here, its weights beside it.")
@click.option("--print-after", metavar="PASS|all", help="Print the graph after this pass, or after all that change it.")
@click.option("--stop-after", metavar="PASS|STAGE", default="", help="Stop after this pass, or at this stage.")
@click.option("--block", type=click.Choice(["4", "8", "16"]), default="16", show_default=True, help="Channels a block.")
@SHAPES
@check_options
@click.pass_obj
def command(
    evidence: Evidence,
    model: ModelSource,
    pipeline: str | None,
    level: int | None,
    output: Path | None,
    print_after: str | None,
    stop_after: str,
    block: str,
    shapes: tuple[str, ...],
    check_passes: bool,
    on_bad_pass: str,
    rewrite_limit: int | None,
) -> None:
    """See ``_HELP``."""
    from cnnc import passes
    from cnnc.ir import Notes
    from cnnc.ir.text import print_graph

    if pipeline is not None and level is not None:
        raise OptionError("both give a pipeline", where="--passes and -O", hint="leave one out")
    check_stops(print_after, stop_after)
    chosen = passes.pipeline(level, block=int(block)) if level is not None else passes.parse_pipeline(pipeline or "")
    if output is not None:
        if output.suffix != ".ir":
            raise OptionError(f"{output} does not end in .ir", where="--output", hint="the text form ends in .ir")
        check_writable(output, "--output")
    graph = load_graph(model, shapes, evidence)
    notes = Notes()
    manager = passes.PassManager(
        chosen,
        check=check_passes,
        on_bad_pass=on_bad_pass,
        after_pass=printer_after(print_after),
        rewrite_limit=rewrite_limit,
        stop_after=stop_after,
    )
    reports = manager.run(graph, notes)
    for report in reports:
        fate = f"undone: {report.rolled_back}" if report.rolled_back else "" if report.changed else "changed nothing"
        change = f"{report.nodes_before} -> {report.nodes_after} nodes"
        note(f"{report.name}: {fate or change}, {report.seconds * 1e3:.1f} ms")
    for refusal in notes.refusals.values():
        note(f"{refusal.rule} refused {refusal.node!r}: {refusal.reason}")
    if output is None:
        say(print_graph(graph).rstrip())
        return
    _save(graph, output)
    say(f"wrote {output}")


def _save(graph: Graph, path: Path) -> None:
    """Text and weights, the weights first: whoever sees the new text finds them."""
    from cnnc.ir.text_file import save_graph

    weights = path.with_suffix(".npz")
    with replacing(path) as text:
        save_graph(graph, text)
        written = text.with_suffix(".npz")
        if written.exists():
            written.replace(weights)
        else:
            weights.unlink(missing_ok=True)
