"""``cnnc view``: pictures of kernels and activations."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cnnc.cli.console import print_json, print_table, say, working
from cnnc.cli.failures import Evidence
from cnnc.cli.input_options import input_options
from cnnc.cli.model_options import LEVEL, SHAPES, CompileRequest, build_kernels, compile_model, compiles, load_graph
from cnnc.errors import OptionError

if TYPE_CHECKING:
    from cnnc.cli.images import ImageSettings
    from cnnc.compiler import CompiledModel
    from cnnc.view import Picture
    from cnnc.view.layers import Shown

_HELP = """Draw the kernels of MODEL, and what its layers compute for an input, as grids: a PNG file for each layer in a
folder, and a page with all of them.

Without --layer: every layer with weights, and what its activation function gives; of a network of more than twelve such
layers the first, and the last with a window at each size of map. Names are those of the model's own layers and tensors,
whatever is fused when it runs.

\b
  cnnc view model.onnx                                      kernels
  cnnc view model.onnx --input x=photo.png                  kernels and activations
  cnnc view model.onnx -i photo.png --layer conv1           /conv1/Conv and what else is below conv1
  cnnc view model.onnx -i photo.png --layer '*Relu*' --layer fc -o pictures
  cnnc view model.onnx -i photo.png --layer all --max-channels 16
"""


@click.command("view", help=_HELP, short_help="Draw kernels and activations, layer by layer.")
@input_options
@click.option("--random", type=int, metavar="SEED", help="Seeded random arrays for the inputs that are not given.")
@click.option(
    "--layer",
    "layers",
    multiple=True,
    metavar="NAME",
    help="A layer or tensor: its name, what it is part of, a pattern with *, or a part of its name; all: every one.",
)
@click.option(
    "--what",
    type=click.Choice(["both", "kernels", "activations"]),
    default="both",
    show_default=True,
    help="What to draw; activations need an input.",
)
@click.option(
    "--max-channels",
    "most",
    type=click.IntRange(1, 256),
    default=64,
    show_default=True,
    help="Most channels of a picture.",
)
@click.option("--sample", type=click.IntRange(min=0), default=0, show_default=True, help="Which sample of a batch.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The folder; MODEL.view if left out.")
@click.option("--json", "as_json", is_flag=True, help="Print what was drawn as JSON.")
@compiles(LEVEL, SHAPES)
@click.pass_obj
def command(
    evidence: Evidence,
    request: CompileRequest,
    inputs: tuple[str, ...],
    images: ImageSettings,
    random: int | None,
    layers: tuple[str, ...],
    what: str,
    most: int,
    sample: int,
    output: Path | None,
    as_json: bool,
) -> None:
    """See ``_HELP``."""
    from cnnc.view import save_pictures
    from cnnc.view.kernels import kernel_pictures
    from cnnc.view.layers import chosen_layers

    model = request.source
    has_input = bool(inputs) or random is not None
    if what == "activations" and not has_input:
        raise OptionError("activations need an input", where="--what", hint="add --input photo.png, or --random 0")
    folder = output or model.output(".view")
    _check_folder(folder)
    graph = load_graph(model, request.shapes, evidence)
    chosen = chosen_layers(graph, layers)
    drawn: list[Picture] = [] if what == "activations" else list(kernel_pictures(chosen, most))
    if has_input and what != "kernels":
        compiled = compile_model(request, evidence, kernels=False)
        drawn += _activations(compiled, chosen, inputs, images, random, most, sample)
    if not drawn:
        raise OptionError(
            "there is nothing to draw", where="--layer", hint="name layers with weights, or give an input"
        )
    order = {shown.node.name: place for place, shown in enumerate(chosen)}
    drawn.sort(key=lambda picture: order[picture.layer])
    with working("drawing"):
        files = save_pictures(drawn, folder, f"{model.name}: layers")
    if as_json:
        print_json([_as_data(picture, path) for picture, path in zip(drawn, files, strict=False)])
        return
    rows = [
        (path.name, picture.layer, "x".join(map(str, picture.shape)), picture.legend, picture.left_out)
        for picture, path in zip(drawn, files, strict=False)
    ]
    print_table(["file", "layer", "shape", "colours", "left out"], rows, title=f"pictures in {folder}")
    say(f"{files[-1]} shows them all" + ("" if has_input or what == "kernels" else "; activations need --input"))


def _activations(
    compiled: CompiledModel,
    chosen: tuple[Shown, ...],
    inputs: tuple[str, ...],
    images: ImageSettings,
    random: int | None,
    most: int,
    sample: int,
) -> tuple[Picture, ...]:
    from cnnc.cli.inputs import fill_randomly, read_feeds
    from cnnc.view.activations import activation_pictures, captured

    ports = compiled.lowered.program.inputs
    feeds = read_feeds(inputs, ports, images)
    if random is not None:
        feeds = fill_randomly(feeds, ports, random, batch=sample + 1)
    with_tensors = compiled.with_outputs(captured(chosen))
    build_kernels(with_tensors.lowered.program)
    with working("running"):
        return activation_pictures(compiled, feeds, chosen, most, sample)


def _check_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise OptionError(f"{folder} is no folder", where="--output", hint="give another name with -o")
    if not folder.exists() and not folder.absolute().parent.is_dir():
        raise OptionError(
            f"the folder {folder.parent} does not exist", where="--output", hint=f"create it: mkdir -p {folder.parent}"
        )


def _as_data(picture: Picture, path: Path) -> dict[str, Any]:
    facts = {
        field.name: getattr(picture, field.name) for field in dataclasses.fields(picture) if field.name != "pixels"
    }
    return {"file": str(path), **facts}
