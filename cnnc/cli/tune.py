"""``cnnc tune``: measures the kernels that layers could take, for ``cnnc compile -O3 --tuning``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cnnc.cli.console import note, print_table, say, working
from cnnc.cli.failures import Evidence
from cnnc.cli.model_options import MODEL, SHAPES, TARGET, load_graph
from cnnc.cli.model_source import ModelSource
from cnnc.cli.outputs import check_writable, write_text

if TYPE_CHECKING:
    from cnnc.tuning import Tuning

_HELP = """Measure for each layer of MODEL which kernel and which tile sizes are fastest here.

A run that was stopped goes on where it was; --again measures anew. In the end the whole model is timed, and what does
not make it faster is taken back.

-O3 does the same on its own and keeps the times in the cache. With the file, a build does not depend on a measurement:
the same model and the same file give the same program. Open sizes are measured as typical ones; --shape fixes them.

\b
  cnnc tune model.onnx -o tuning.json
  cnnc tune model.onnx -o tuning.json --threads 1 --seconds 1
  cnnc compile model.onnx -O3 --tuning tuning.json
"""


@click.command("tune", help=_HELP, short_help="Measure which kernels are fastest here.")
@MODEL
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the times to this JSON file.")
@TARGET
@SHAPES
@click.option("--threads", type=click.IntRange(min=1), help="Most threads of a run; all CPUs if left out.")
@click.option(
    "--seconds",
    type=click.FloatRange(0.001, 600),
    default=0.2,
    show_default=True,
    help="Time to spend on each layer, compiling apart.",
)
@click.option("--again", is_flag=True, help="Measure also layers that are measured already.")
@click.pass_obj
def command(
    evidence: Evidence,
    model: ModelSource,
    output: Path | None,
    target: str,
    shapes: tuple[str, ...],
    threads: int | None,
    seconds: float,
    again: bool,
) -> None:
    """See ``_HELP``."""
    if output is not None:
        check_writable(output, "--output")
    graph = load_graph(model, shapes, evidence)
    from cnnc.compiler import tune

    with working(f"tuning {model.name}") as tell:

        def progress(what: str, done: int, total: int) -> None:
            tell(f"tuning {model.name}: {done} of {total} {what}")

        tuning = tune(graph, threads=threads, seconds=seconds, again=again, target=target, progress=progress)
    _show(tuning, model.name)
    if not any(layer.chosen for layer in tuning.layers.values()):
        note("nothing else makes the model faster than what the cost model takes at -O2")
    if output is not None:
        write_text(output, tuning.to_json())
        say(f"{output}: {len(tuning.layers)} layers")
    else:
        note("the times are in the cache, where -O3 finds them; -o writes them to a file")


def _show(tuning: Tuning, name: str) -> None:
    rows = []
    before = after = 0.0
    for key, layer in tuning.layers.items():
        default, best = layer.seconds[0], layer.seconds[layer.chosen]
        before, after = before + default, after + best
        rows.append((key.partition(") ->")[0] + ")", str(layer.best), f"{default * 1e6:.1f}", f"{best * 1e6:.1f}"))
    where = f"{tuning.environment.cpu}, at most {tuning.environment.threads} threads"
    total = ("all layers, each once", "", f"{before * 1e6:.1f}", f"{after * 1e6:.1f}")
    print_table(["layer", "fastest kernel", "-O2 us>", "-O3 us>"], [*rows, total], title=f"{name} on {where}")
