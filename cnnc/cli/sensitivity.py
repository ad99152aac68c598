"""``cnnc sensitivity``: what pruning one layer alone costs, by how much of it goes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cnnc.cli.console import print_json, say, working
from cnnc.cli.failures import Evidence
from cnnc.cli.input_options import image_options
from cnnc.cli.model_options import MODEL, SHAPES, input_ports, load_graph
from cnnc.cli.model_source import ModelSource
from cnnc.cli.outputs import check_writable
from cnnc.cli.pruning_options import choice_options
from cnnc.errors import OptionError

if TYPE_CHECKING:
    from cnnc.cli.images import ImageSettings

_HELP = """Prune each layer of MODEL alone, by each of several ratios, and score the model: what falls early is to be
left dense by `cnnc prune`, or given a ratio of its own.

\b
  cnnc sensitivity model.onnx --eval labelled.npz                           top-1
  cnnc sensitivity model.onnx --eval labelled.npz --ratios 0.5,0.9 --plot sensitivity.png
  cnnc sensitivity model.onnx --calib data.npz --pattern block4             signal-to-noise ratio of the results

--eval is as for `cnnc prune`. Without labels, give --calib: an .npz with an array for every input, a folder, or
reader.py:make, as for `cnnc quantize`.
"""


@click.command("sensitivity", help=_HELP, short_help="Say what pruning each layer alone costs.")
@MODEL
@click.option("--ratios", default="0.3,0.5,0.7,0.8,0.9", show_default=True, help="Shares of a layer's weights that go.")
@choice_options
@click.option("--eval", "evaluation_text", metavar="DATA", help="Score the model on this: an .npz, or reader.py:score.")
@click.option("--calib", metavar="DATA", help="Compare results on this: an .npz, a folder, or reader.py:make.")
@image_options
@click.option("--batch", type=click.IntRange(min=1), default=16, show_default=True, help="Samples at a time.")
@click.option("--plot", type=click.Path(path_type=Path), help="A picture to write: .png, .svg or .pdf.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@SHAPES
@click.pass_obj
def command(
    evidence: Evidence,
    model: ModelSource,
    ratios: str,
    choice: Mapping[str, Any],
    gradients: str | None,
    evaluation_text: str | None,
    calib: str | None,
    images: ImageSettings,
    batch: int,
    plot: Path | None,
    as_json: bool,
    shapes: tuple[str, ...],
) -> None:
    """See ``_HELP``."""
    from cnnc.cli.calibration_data import calibration_batches
    from cnnc.cli.evaluation_data import evaluation_of
    from cnnc.cli.prune_report import sensitivity_json, show_sensitivity
    from cnnc.pruning import Settings, plot_sensitivity, scan_sensitivity
    from cnnc.pruning.sensitivity_plot import check_plot

    if (evaluation_text is None) == (calib is None):
        raise OptionError("models are scored on one kind of data", where="--eval", hint="give --eval or --calib")
    if plot is not None:
        check_writable(plot, "--plot")
        check_plot(plot)
    asked = _numbers(ratios)
    settings = Settings(**choice)
    graph = load_graph(model, shapes, evidence)
    ports = input_ports(graph)
    with working(f"pruning layers of {model.name}") as tell:
        found = scan_sensitivity(
            graph,
            asked,
            evaluation=None if evaluation_text is None else evaluation_of(evaluation_text, ports, images),
            samples=None if calib is None else calibration_batches(calib, ports, images, batch),
            settings=settings,
            gradients=gradients,
            progress=lambda layer, done: tell(f"{model.name}: {done} layers done, {layer} is pruned"),
        )
    if plot is not None:
        plot_sensitivity(found, plot)
    if as_json:
        print_json(sensitivity_json(found))
        return
    show_sensitivity(found)
    if plot is not None:
        say(f"{plot} is written")


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        what = f"{text!r} is no list of numbers"
        raise OptionError(what, where="--ratios", hint="write 0.5,0.7,0.9 for example") from error
