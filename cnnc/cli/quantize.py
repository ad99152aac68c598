"""``cnnc quantize``: a float model becomes one of 8-bit integers."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cnnc.cli.console import byte_count, print_json, say, working
from cnnc.cli.failures import Evidence
from cnnc.cli.input_options import image_options
from cnnc.cli.model_options import MODEL, SHAPES, input_ports, load_graph
from cnnc.cli.model_output import check_model_output, file_bytes, write_model
from cnnc.cli.model_source import FileSource, ModelSource
from cnnc.cli.quantization_options import quantization_options
from cnnc.errors import OptionError

if TYPE_CHECKING:
    from cnnc.cli.images import ImageSettings
    from cnnc.quantization import Settings

_HELP = """Quantize MODEL to 8-bit integers by the ranges that its activations have on sample data, and write it as ONNX
(QuantizeLinear and DequantizeLinear, which onnxruntime and others run too) or compiled, as .cnnc.

Activations become unsigned bytes with one scale a tensor, weights signed bytes with one scale an output channel,
rounded so that the results of their layers on the data stay what they are.

\b
  cnnc quantize model.onnx --calib data.npz -o model.int8.onnx       an array for each input, samples along axis 0
  cnnc quantize model.onnx --calib photos/ --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225 -o model.int8.onnx
  cnnc quantize model.onnx --calib reader.py:make -o model.int8.cnnc a function that gives batches by input name
  cnnc quantize model.onnx --calib data.npz --method mse --per-tensor -o model.int8.onnx

With --max-drop, layers stay in float until accuracy falls by no more than that on the --eval data and the model is
fastest on this machine: never slower than the float model. --eval is an .npz with an array for every input and `labels`
(top-1; without them, agreement with the float model), or a function score(run) of your own, where run gives the results
of a batch by name.

\b
  cnnc quantize model.onnx --calib data.npz --max-drop 0.005 --eval labelled.npz -o model.int8.onnx
  cnnc quantize model.onnx --calib data.npz --max-drop 0.01 --eval reader.py:score -o model.int8.onnx
"""


@click.command("quantize", help=_HELP, short_help="Make a model of 8-bit integers from sample data.")
@MODEL
@click.option("--calib", required=True, metavar="DATA", help="An .npz, a folder, or reader.py:make.")
@image_options
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The .onnx or .cnnc to write.")
@quantization_options
@click.option("--batch", type=click.IntRange(min=1), default=16, show_default=True, help="Samples at a time.")
@click.option(
    "--max-drop", type=float, metavar="DROP", help="Leave layers in float that cost more accuracy, or are faster so."
)
@click.option("--eval", "evaluation_text", metavar="DATA", help="For --max-drop: an .npz, or reader.py:score.")
@click.option("--threads", type=click.IntRange(min=1), help="For --max-drop: most threads of timed runs; default all.")
@click.option(
    "--external-data", is_flag=True, help="Put the weights into OUTPUT.data; models over 2 GB always have them there."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@SHAPES
@click.pass_obj
def command(
    evidence: Evidence,
    model: ModelSource,
    calib: str,
    images: ImageSettings,
    output: Path,
    settings: Settings,
    batch: int,
    max_drop: float | None,
    evaluation_text: str | None,
    threads: int | None,
    external_data: bool,
    as_json: bool,
    shapes: tuple[str, ...],
) -> None:
    """See ``_HELP``."""
    from cnnc.cli.calibration_data import calibration_batches
    from cnnc.cli.evaluation_data import evaluation_of
    from cnnc.cli.quantize_report import Facts, report_json, show
    from cnnc.quantization import calibrate, layer_reports, quantize_within, storage_of

    check_model_output(output, model, kind="int8", external_data=external_data)
    if (evaluation_text is None) != (max_drop is None):
        what = "--max-drop and --eval go together: the budget, and the data that it is measured on"
        raise OptionError(what, where="--eval" if max_drop is None else "--max-drop", hint="give both")
    graph = load_graph(model, shapes, evidence)
    ports = input_ports(graph)
    samples = calibration_batches(calib, ports, images, batch)
    evaluation = None if evaluation_text is None else evaluation_of(evaluation_text, ports, images)
    before = storage_of(graph)
    start = time.perf_counter()
    with working(f"calibrating {model.name}") as tell:

        def progress(what: str, done: int) -> None:
            tell(f"{model.name}: {what}, {done} done")

        calibrated = calibrate(graph, samples, settings, progress=progress)
        mixed = None
        if evaluation is not None and max_drop is not None:
            mixed = quantize_within(calibrated, samples, evaluation, max_drop, threads=threads, progress=progress)
        made = calibrated.quantized() if mixed is None else mixed.quantized
        evidence.graph = made.graph
        tell(f"{model.name}: noise of layers")
        layers = layer_reports(calibrated, made, samples, mixed)
    write_model(made.graph, output, external_data=external_data)
    before_file = file_bytes(model.path) if isinstance(model, FileSource) else None
    facts = Facts(made, layers, mixed, before, storage_of(made.graph), before_file, file_bytes(output))
    if as_json:
        print_json(report_json(facts))
        return
    show(facts, settings.exclude)
    sizes = "" if before_file is None else f"{byte_count(before_file)} -> "
    say(
        f"{output}: {made.layers} layers on integers, file {sizes}{byte_count(facts.after_file)}, "
        f"{time.perf_counter() - start:.1f} s"
    )
