"""``cnnc quantize``: a float model becomes one of 8-bit integers."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cnnc.cli.console import byte_count, note, print_json, print_table, say, working
from cnnc.cli.failures import Evidence
from cnnc.cli.input_options import image_options
from cnnc.cli.model_options import MODEL, SHAPES, load_graph
from cnnc.cli.model_source import FileSource, ModelSource
from cnnc.cli.outputs import check_writable
from cnnc.errors import OptionError

if TYPE_CHECKING:
    from cnnc.cli.images import ImageSettings
    from cnnc.quantization import Quantized

_METHODS = ("minmax", "average", "percentile", "entropy", "mse")

_HELP = """Quantize MODEL to 8-bit integers by the ranges that its activations have on sample data, and write it as ONNX
(QuantizeLinear and DequantizeLinear, which onnxruntime and others run too) or compiled, as .cnnc.

Activations become unsigned bytes with one scale a tensor, weights signed bytes with one scale an output channel.

\b
  cnnc quantize model.onnx --calib data.npz -o model.int8.onnx       an array for each input, samples along axis 0
  cnnc quantize model.onnx --calib photos/ --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225 -o model.int8.onnx
  cnnc quantize model.onnx --calib reader.py:make -o model.int8.cnnc a function that gives batches by input name
  cnnc quantize model.onnx --calib data.npz --method mse --per-tensor -o model.int8.onnx
"""


@click.command("quantize", help=_HELP, short_help="Make a model of 8-bit integers from sample data.")
@MODEL
@click.option("--calib", required=True, metavar="DATA", help="An .npz, a folder, or reader.py:make.")
@image_options
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The .onnx or .cnnc to write.")
@click.option(
    "--method",
    type=click.Choice(_METHODS),
    default="minmax",
    show_default=True,
    help="How the range of an activation is taken from the samples.",
)
@click.option("--percentile", type=float, default=99.99, show_default=True, help="For that method: percent in range.")
@click.option("--per-tensor", is_flag=True, help="One scale for each weight tensor, instead of one a channel.")
@click.option("--symmetric", is_flag=True, help="Ranges of activations lie evenly around 0.")
@click.option("--exclude", multiple=True, metavar="TEXT", help="Nodes whose name contains this stay in float.")
@click.option("--batch", type=click.IntRange(min=1), default=16, show_default=True, help="Samples at a time.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@SHAPES
@click.pass_obj
def command(
    evidence: Evidence,
    model: ModelSource,
    calib: str,
    images: ImageSettings,
    output: Path,
    method: str,
    percentile: float,
    per_tensor: bool,
    symmetric: bool,
    exclude: tuple[str, ...],
    batch: int,
    as_json: bool,
    shapes: tuple[str, ...],
) -> None:
    """See ``_HELP``."""
    from cnnc.cli.calibration_data import calibration_batches
    from cnnc.quantization import Settings, quantize
    from cnnc.runtime.program import Port

    if output.suffix not in (".onnx", ".cnnc"):
        raise OptionError(f"{output} ends in neither .onnx nor .cnnc", where="--output", hint="name it model.int8.onnx")
    check_writable(output, "--output")
    if isinstance(model, FileSource) and output.exists() and output.samefile(model.path):
        raise OptionError(f"{output} is the model itself", where="--output", hint="give another name with -o")
    settings = Settings(method, percentile, not per_tensor, symmetric, exclude=exclude)
    graph = load_graph(model, shapes, evidence)
    ports = [Port(value.name, index, value.type.shape, value.type.dtype) for index, value in enumerate(graph.inputs)]
    samples = calibration_batches(calib, ports, images, batch)
    before = sum(value.array.nbytes for value in graph.constants if value.array is not None)
    start = time.perf_counter()
    with working(f"calibrating {model.name}") as tell:
        made = quantize(
            graph, samples, settings, progress=lambda what, done: tell(f"{model.name}: {what}, batch {done}")
        )
    evidence.graph = made.graph
    after = sum(value.array.nbytes for value in made.graph.constants if value.array is not None)
    _write(made, output)
    if as_json:
        print_json(_report(made, before, after))
        return
    _show(made, exclude)
    saved = 1 - after / before if before else 0.0
    say(
        f"{output}: {made.layers} layers on integers, weights {byte_count(before)} -> {byte_count(after)} "
        f"({saved:.0%} less), {time.perf_counter() - start:.1f} s"
    )


def _write(made: Quantized, output: Path) -> None:
    from cnnc.compiler import Options, compile_graph
    from cnnc.ir.clone import clone_graph

    with working(f"writing {output.name}"):
        if output.suffix == ".onnx":
            from cnnc.export import export_model

            export_model(made.graph, output)
            return
        from cnnc.cli.outputs import replacing

        compiled = compile_graph(clone_graph(made.graph), Options())
        with replacing(output) as temporary:
            compiled.save(temporary)


def _report(made: Quantized, before: int, after: int) -> dict[str, object]:
    return {
        "layers": made.layers,
        "float_layers": dict(made.excluded),
        "weight_bytes": {"before": before, "after": after},
        "activations": {
            name: {
                "low": low,
                "high": high,
                "scale": made.affines[name].scale,
                "zero_point": made.affines[name].zero_point,
            }
            for name, (low, high) in made.ranges.items()
        },
    }


def _show(made: Quantized, exclude: tuple[str, ...]) -> None:
    rows = [
        (name, f"{low:.4g}", f"{high:.4g}", f"{made.affines[name].scale:.4g}", made.affines[name].zero_point)
        for name, (low, high) in made.ranges.items()
    ]
    print_table(["activation", "low>", "high>", "scale>", "zero point>"], rows)
    for name, reason in made.excluded.items():
        note(f"{name} stays in float: {reason}")
    unused = [text for text in exclude if not any(repr(text) in reason for reason in made.excluded.values())]
    if unused:
        note(f"--exclude {', '.join(unused)} names no layer")
