"""``cnnc export``: a model becomes an ONNX file, as it was imported or optimised."""

from __future__ import annotations

from pathlib import Path

import click

from cnnc.cli.console import byte_count, say, working
from cnnc.cli.failures import Evidence
from cnnc.cli.model_options import MODEL, SHAPES, load_graph
from cnnc.cli.model_source import FileSource, ModelSource
from cnnc.cli.outputs import check_writable
from cnnc.errors import OptionError

_HELP = """Write MODEL as an ONNX file.

Without -O the graph is written as it was imported: functions and decided branches are inlined, old operators upgraded.
With -O it is optimised first; fused layers are written as the operators that they stand for. The file needs the oldest
opset, from 18 on, that has all operators, and none but the standard ones.

\b
  cnnc export model.onnx -o new.onnx                        the model, upgraded
  cnnc export model.onnx -o small.onnx -O1                  batch normalizations folded, shape arithmetic gone, ...
  cnnc export model.onnx -o fixed.onnx --shape input=1,3,224,224
  cnnc export model.cnnc -o model.onnx                      the optimised graph that the file holds
  cnnc export models:resnet18 -o resnet18.onnx              a network of the list, with random weights
  cnnc export graph.ir -o graph.onnx --external-data        weights in graph.onnx.data
"""


@click.command("export", help=_HELP, short_help="Write a model as an ONNX file.")
@MODEL
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The ONNX file to write.")
@click.option("-O", "level", type=click.IntRange(0, 3), help="Optimise the graph first, as at this level.")
@SHAPES
@click.option("--opset", type=click.IntRange(min=1), help="Write this opset, instead of the oldest that will do.")
@click.option(
    "--external-data", is_flag=True, help="Put the weights into OUTPUT.data; models over 2 GB always have them there."
)
@click.pass_obj
def command(
    evidence: Evidence,
    model: ModelSource,
    output: Path,
    level: int | None,
    shapes: tuple[str, ...],
    opset: int | None,
    external_data: bool,
) -> None:
    """See ``_HELP``."""
    model.check()
    check_writable(output, "--output")
    if isinstance(model, FileSource) and output.exists() and output.samefile(model.path):
        raise OptionError(f"{output} is the model itself", where="--output", hint="give another name with -o")
    graph = load_graph(model, shapes, evidence)
    from cnnc.export import export_model
    from cnnc.exporting import optimised

    if level is not None:
        with working(f"optimising {model.name}"):
            graph = optimised(graph, level)
    with working(f"writing {output.name}"):
        proto = export_model(graph, output, opset=opset, external_data=external_data)
    files = [output]
    if any(tensor.external_data for tensor in proto.graph.initializer):
        files.append(output.with_name(f"{output.name}.data"))
    size = byte_count(sum(file.stat().st_size for file in files))
    names = " and ".join(map(str, files))
    say(f"{names}: {len(proto.graph.node)} nodes, opset {proto.opset_import[0].version}, {size}")
