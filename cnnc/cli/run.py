"""``cnnc run``: run a model on arrays or images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cnnc.cli.console import print_json, print_table, say, working
from cnnc.cli.failures import Evidence
from cnnc.cli.input_options import input_options
from cnnc.cli.model_options import (
    EMULATE,
    LEVEL,
    PRECISION,
    SHAPES,
    STRASSEN,
    TARGET,
    WINOGRAD,
    CompileRequest,
    compile_model,
    compiles,
)
from cnnc.cli.outputs import check_writable, replacing
from cnnc.errors import OptionError

if TYPE_CHECKING:
    from cnnc.cli.images import ImageSettings
    from cnnc.cli.inputs import Array
    from cnnc.runtime.session import InferenceSession
    from cnnc.target_backend import BackendSession

_HELP = """Run MODEL (.cnnc, .onnx or .ir) on inputs and show the outputs.

\b
  cnnc run model.cnnc --input x=x.npy -o y.npz
  cnnc run model.cnnc --input photo.png --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225 --top 5 --labels labels.txt
  cnnc run model.cnnc --input a.png --input b.png      two images, one batch
  cnnc run model.onnx --random 0 --json                seeded random inputs
"""


@click.command("run", help=_HELP, short_help="Run a model on arrays or images.")
@input_options
@click.option("--random", type=int, metavar="SEED", help="Seeded random arrays for the inputs that are not given.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Save the outputs by name to this .npz file.")
@click.option(
    "--top", type=click.IntRange(min=1), help="Show the K largest classes of each sample of an output [N, C]."
)
@click.option("--labels", type=click.Path(path_type=Path), help="Names of the classes, one a line.")
@click.option("--capture", multiple=True, metavar="NAME", help="Also return this intermediate tensor of the model.")
@click.option("--threads", type=click.IntRange(min=0), default=0, help="Most threads to use; 0 for all.")
@click.option("--allow-native-code", is_flag=True, help="Run machine code held by the file: only for files you trust.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@compiles(LEVEL, WINOGRAD, STRASSEN, PRECISION, TARGET, EMULATE, SHAPES)
@click.pass_obj
def command(
    evidence: Evidence,
    request: CompileRequest,
    inputs: tuple[str, ...],
    images: ImageSettings,
    random: int | None,
    output: Path | None,
    top: int | None,
    labels: Path | None,
    capture: tuple[str, ...],
    threads: int,
    allow_native_code: bool,
    as_json: bool,
) -> None:
    """See ``_HELP``."""
    from cnnc.cli.classes import read_labels, top_classes
    from cnnc.cli.inputs import fill_randomly, read_feeds

    if labels is not None and top is None:
        raise OptionError("labels are for --top", where="--labels", hint="add --top 5")
    if output is not None:
        check_writable(output, "--output")
    names = read_labels(labels) if labels is not None else ()
    session = _session(request, evidence, capture, threads, allow_native_code)
    ports = session.inputs
    feeds = read_feeds(inputs, ports, images)
    if random is not None:
        feeds = fill_randomly(feeds, ports, random)
    with working("running"):
        arrays = session.run(None, feeds)
    results = {port.name: array for port, array in zip(session.get_outputs(), arrays, strict=True)}
    if output is not None:
        _save(output, results)
    classes = [] if top is None else top_classes(results, top, names)
    if as_json:
        print_json({"outputs": {name: _facts(array) for name, array in results.items()}, "top": classes})
        return
    if not classes:
        rows = [[name, *_facts(array).values()] for name, array in results.items()]
        print_table(["output", "shape", "dtype", "min>", "mean>", "max>"], rows)
    for row in classes:
        title = f"{row['output']}, sample {row['sample']}"
        shown = [[item["class"], item["label"], *_scores(item)] for item in row["classes"]]
        print_table(["class>", "label", "value>", "probability>"], shown, title=title)
    if output is not None:
        say(f"saved {output}")


def _session(
    request: CompileRequest, evidence: Evidence, capture: tuple[str, ...], threads: int, allow_native_code: bool
) -> InferenceSession | BackendSession:
    """A session on the file; what is not a ``.cnnc`` file is compiled first."""
    from cnnc.runtime.session import InferenceSession

    request.source.check()
    artifact = request.source.artifact()
    if artifact is not None and not capture:
        if request.shapes:
            raise OptionError("the shapes of a .cnnc file are settled", where="--shape", hint="compile it with them")
        with working(f"loading {request.source.name}"):
            device = request.device()
            return InferenceSession(artifact, threads=threads, allow_native_code=allow_native_code, device=device)
    compiled = compile_model(request, evidence)
    if capture:
        compiled = compiled.with_outputs(capture)
    return compiled.session(threads=threads)


def _save(path: Path, results: dict[str, Array]) -> None:
    import numpy as np

    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **results)  # type: ignore[arg-type]


def _facts(array: Array) -> dict[str, Any]:
    """Shape, dtype and range; None where there is no finite number."""
    import numpy as np

    values = array.astype(np.float64).reshape(-1)
    finite = values[np.isfinite(values)]
    low, mean, high = (finite.min(), finite.mean(), finite.max()) if finite.size else (None, None, None)
    facts: dict[str, Any] = {"shape": list(array.shape), "dtype": array.dtype.name}
    for name, value in (("min", low), ("mean", mean), ("max", high)):
        facts[name] = None if value is None else float(f"{value:.6g}")
    return facts


def _scores(item: dict[str, Any]) -> tuple[str, str]:
    return f"{item['value']:.4f}", f"{item['probability']:.2%}"
