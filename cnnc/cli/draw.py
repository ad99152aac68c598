"""``cnnc draw``: a model's graph as a picture."""

from __future__ import annotations

from pathlib import Path

import click

from cnnc.cli.console import say, working
from cnnc.cli.failures import Evidence
from cnnc.cli.model_options import MODEL, SHAPES, TARGET, load_graph
from cnnc.cli.model_source import ModelSource
from cnnc.cli.outputs import check_writable, replacing
from cnnc.cli.pass_output import check_stops
from cnnc.errors import OptionError

_HELP = """Draw the graph of MODEL: as it was written, or with -O as a level's passes leave it.

Nodes are coloured by the kind of op, frames are parts of the model by their names, tensors' types stand on the lines,
and the pointer shows attributes. An .svg file needs the extra cnnc[draw]; .png and .pdf files need Graphviz, which also
reads the .dot files.

\b
  cnnc draw model.onnx                              writes model.svg
  cnnc draw model.onnx -O2 -o optimised.svg         what really runs, with layouts
  cnnc draw model.onnx -O2 --stop-after fold-batch-norm
  cnnc draw model.onnx -o model.dot
"""


@click.command("draw", help=_HELP, short_help="Draw the graph of a model.")
@MODEL
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The picture; MODEL.svg if left out.")
@click.option("-O", "level", type=click.IntRange(0, 3), help="Run the passes of this level first.")
@click.option("--stop-after", metavar="PASS|STAGE", default="", help="With -O: the last pass to run, or the stage.")
@TARGET
@SHAPES
@click.pass_obj
def command(
    evidence: Evidence,
    model: ModelSource,
    output: Path | None,
    level: int | None,
    stop_after: str,
    target: str,
    shapes: tuple[str, ...],
) -> None:
    """See ``_HELP``."""
    from cnnc.ir.drawing import SUFFIXES

    check_stops(None, stop_after)
    if stop_after and level is None:
        raise OptionError("no passes run", where="--stop-after", hint="add -O2")
    path = output or model.output(".svg")
    if path.suffix not in SUFFIXES:
        raise OptionError(f"{path} is none of {', '.join(SUFFIXES)}", where="--output", hint="write an .svg file")
    check_writable(path, "--output")
    graph = load_graph(model, shapes, evidence)
    if level is not None:
        from cnnc.compiler import optimise_graph
        from cnnc.ir import Notes
        from cnnc.options import Options
        from cnnc.targets import parse_target

        options = Options(min(level, 2), target=target)
        with working(f"optimising {model.name}"):
            optimise_graph(graph, options, Notes(), target=parse_target(target), stop_after=stop_after)
    with working("drawing"), replacing(path) as temporary:
        graph.draw(temporary)
    say(f"{path}: {len(graph)} nodes, {graph.stage}")
