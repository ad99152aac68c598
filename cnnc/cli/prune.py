"""``cnnc prune``: weights of least worth become 0."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cnnc.cli.console import print_json, say, working
from cnnc.cli.failures import Evidence
from cnnc.cli.input_options import image_options
from cnnc.cli.model_options import MODEL, SHAPES, input_ports, load_graph
from cnnc.cli.model_output import check_model_output, file_bytes, write_model
from cnnc.cli.model_source import FileSource, ModelSource
from cnnc.cli.pruning_options import amount_options, channel_options, choice_options
from cnnc.errors import OptionError

if TYPE_CHECKING:
    from cnnc.cli.images import ImageSettings
    from cnnc.cli.prune_report import Scores
    from cnnc.ir import Graph
    from cnnc.observation.evaluation import Evaluation
    from cnnc.pruning import Pruned, PrunedChannels

_HELP = """Set the weights of MODEL's layers that are worth least to 0, and write it as ONNX, with the names and the
structure that it has, or compiled, as .cnnc.

First convolutions and depthwise ones stay dense unless told otherwise: they have few weights, which matter.

\b
  cnnc prune model.onnx --sparsity 0.9 -o pruned.onnx                       the smallest weights, wherever they are
  cnnc prune model.onnx --sparsity 0.9 --pattern block4 -o pruned.onnx      four output channels at a time
  cnnc prune model.onnx --pattern 2:4 -o pruned.onnx                        two of four input channels
  cnnc prune model.onnx --sparsity 0.8 --ratio 'fc*=0.95' --exclude '*downsample*' -o pruned.onnx
  cnnc prune model.onnx --sparsity 0.8 --criterion taylor --gradients gradients.npz -o pruned.onnx
  cnnc prune model.onnx --sparsity 0.3 --pattern channel -o pruned.onnx     whole channels: a smaller model
  cnnc prune model.onnx --target-latency 5ms --pattern channel -o pruned.onnx
  cnnc prune model.onnx --sparsity 0.8 --eval labelled.npz -o pruned.onnx   and what it costs
  cnnc prune model.onnx --sparsity 0.8 --scope lamp --calib data.npz -o pruned.onnx

With --calib, remaining weights take over what those that went did on some hundred samples, without training. It is an
.npz with an array for every input, a folder of images or arrays, or a function that gives batches (reader.py:make).

--eval is an .npz with an array for every input and `labels` (top-1; without them, agreement with the dense model), or a
function score(run) of your own (reader.py:score), where run gives the results of a batch by name.
"""


@click.command("prune", help=_HELP, short_help="Set the weights of least worth to 0.")
@MODEL
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The .onnx or .cnnc to write.")
@amount_options
@choice_options
@channel_options
@click.option("--calib", metavar="DATA", help="Recover accuracy on samples: an .npz, a folder, or reader.py:make.")
@click.option(
    "--recover",
    type=click.Choice(("reconstruct", "statistics", "both")),
    help="With --calib: remaining weights by least squares (default); statistics of batch normalizations; or both.",
)
@click.option(
    "--batch", type=click.IntRange(min=1), default=16, show_default=True, help="Samples of --calib at a time."
)
@click.option("--eval", "evaluation_text", metavar="DATA", help="Score the model on this: an .npz, or reader.py:score.")
@image_options
@click.option(
    "--external-data", is_flag=True, help="Put the weights into OUTPUT.data; models over 2 GB always have them there."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@SHAPES
@click.pass_obj
def command(
    evidence: Evidence,
    model: ModelSource,
    output: Path,
    amount: Mapping[str, Any],
    choice: Mapping[str, Any],
    channel: Mapping[str, Any],
    gradients: str | None,
    calib: str | None,
    recover: str | None,
    batch: int,
    evaluation_text: str | None,
    images: ImageSettings,
    external_data: bool,
    as_json: bool,
    shapes: tuple[str, ...],
) -> None:
    """See ``_HELP``."""
    from cnnc.cli.calibration_data import calibration_batches
    from cnnc.cli.evaluation_data import evaluation_of
    from cnnc.cli.prune_channels import check_channel_options, prune_channels_of
    from cnnc.ir.clone import clone_graph
    from cnnc.pruning import Settings, prune_graph, recovered
    from cnnc.pruning.api import gradients_of, own_graph

    by_channel = choice["pattern"] == "channel"
    check_channel_options(channel, choice)
    if by_channel and recover not in (None, "reconstruct"):
        what = "with whole channels, weights of the channels that are left are fitted, and nothing else"
        raise OptionError(what, where="--recover", hint="leave it out, or choose another pattern")
    if recover is not None and calib is None:
        raise OptionError("nothing can be recovered without samples", where="--recover", hint="give --calib data.npz")
    check_model_output(output, model, kind="pruned", external_data=external_data)
    settings = None if by_channel else Settings(**amount, **choice)
    if settings is not None:
        settings.check_amount()
    dense = load_graph(model, shapes, evidence)
    ports = input_ports(dense)
    evaluation = None if evaluation_text is None else evaluation_of(evaluation_text, ports, images)
    samples = None if calib is None else calibration_batches(calib, ports, images, batch)
    start = time.perf_counter()
    graph = own_graph(dense)
    stages = [dense]
    pruned: Pruned | PrunedChannels
    with working(f"pruning {model.name}") as tell:
        worth = gradients_of(graph, gradients)
        if settings is None:
            pruned = prune_channels_of(
                graph, amount, choice, channel, worth, samples, lambda text: tell(f"{model.name}: {text}")
            )
        else:
            pruned = prune_graph(graph, settings, worth)
            if samples is not None:
                evidence.graph = pruned.graph
                stages.append(pruned.graph)
                pruned = replace(pruned, graph=clone_graph(pruned.graph))
                method = recover or "reconstruct"
                pruned = recovered(dense, pruned, samples, method, lambda what, done: tell(f"{what}: {done}"))
        stages.append(pruned.graph)
    evidence.graph = pruned.graph
    scores = None if evaluation is None else _scores(evaluation, stages)
    write_model(pruned.graph, output, external_data=external_data)
    before_file = file_bytes(model.path) if isinstance(model, FileSource) else None
    made = _report(pruned, scores, before_file, file_bytes(output), as_json=as_json)
    if not as_json:
        say(f"{output}: {made}, {time.perf_counter() - start:.1f} s")


def _report(
    pruned: Pruned | PrunedChannels, scores: Scores | None, before_file: int | None, after_file: int, *, as_json: bool
) -> str:
    """Tell what became of the model, as JSON or in a table; returns it in a line, too."""
    from cnnc.cli import prune_channels, prune_report
    from cnnc.pruning import Pruned

    if isinstance(pruned, Pruned):
        facts = prune_report.Facts(pruned, scores, before_file, after_file)
        if as_json:
            print_json(prune_report.report_json(facts))
        else:
            prune_report.show(facts)
        return prune_report.sentence(facts)
    channels = prune_channels.ChannelFacts(pruned, scores, before_file, after_file)
    if as_json:
        print_json(prune_channels.report_json(channels))
    else:
        prune_channels.show(channels)
    return prune_channels.sentence(channels)


def _scores(evaluation: Evaluation, stages: list[Graph]) -> Scores:
    """Of the dense model, the pruned one, and perhaps that after recovery."""
    from cnnc.cli.prune_report import Scores
    from cnnc.observation.evaluation import checked_score, metric_of, score_of
    from cnnc.observation.observed import compiled

    dense, *others = stages
    with working("evaluating the dense model") as tell:
        exact = compiled(dense).run
        score = score_of(evaluation, dense, exact)
        before = checked_score(score, exact)
        tell("evaluating the pruned model")
        after = [checked_score(score, compiled(graph).run) for graph in others]
    return Scores(metric_of(evaluation), before, *after)
