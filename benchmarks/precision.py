"""Models with precision bf16 beside float32: time, and how far their outputs and their top-1 accuracy are apart.

    python benchmarks/precision.py --threads 1,2 --out table.md ../zoo/resnet50.onnx ../zoo/mobilenet_v2.onnx
    python benchmarks/precision.py --shared ../shared --images 3000

Both programs take turns in one process; the gain is the median over the rounds of their ratio. With ``--shared`` the
trained classifiers there are evaluated in batches of 20, for which they are compiled.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from quantization_accuracy import BATCH, TASKS, Images, Task, images_of, prepared

import cnnc
from cnnc.cli.interleaved import Pace, run_rounds
from cnnc.cli.outputs import write_text
from cnnc.compiler import CompiledModel, read_graph
from cnnc.runtime import InferenceSession
from cnnc.sample_inputs import sample_arrays
from cnnc.types import TensorType

PRECISIONS = ("f32", "bf16")

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Turn:
    """One program's turns."""

    engine: str
    session: InferenceSession
    feeds: Mapping[str, Array]

    def times(self, seconds: float) -> list[float]:
        """Seconds of each run in a slice of about ``seconds``."""
        self.session.run(None, dict(self.feeds))
        times: list[float] = []
        while not times or sum(times) < seconds:
            begin = time.perf_counter()
            self.session.run(None, dict(self.feeds))
            times.append(time.perf_counter() - begin)
        return times


def compiled(path: Path, **options: Any) -> dict[str, CompiledModel]:
    """The program of each precision."""
    return {precision: cnnc.compile(path, precision=precision, **options) for precision in PRECISIONS}


def in_bfloat(model: CompiledModel) -> str:
    """How many of the layers that multiply do so with bfloat16."""
    layers = [item for item in model.lowered.decisions if item.op in ("conv", "gemm", "matmul")]
    return f"{sum('bf16' in item.chosen for item in layers)} of {len(layers)}"


def timed(path: Path, threads: tuple[int, ...], pace: Pace) -> list[str]:
    """A row of the table of times."""
    models = compiled(path)
    ports = models["f32"].lowered.program.inputs
    feeds = sample_arrays({port.name: TensorType(port.shape, port.dtype) for port in ports}, batch=1)
    row = [path.stem, in_bfloat(models["bf16"])]
    for count in threads:
        turns = [Turn(name, model.session(threads=count), feeds) for name, model in models.items()]
        rounds = run_rounds(turns, pace)
        medians = {name: rounds.medians(name) for name in PRECISIONS}
        gain = statistics.median(a / b for a, b in zip(medians["f32"], medians["bf16"], strict=True))
        row += [f"{1e3 * statistics.median(medians[name]):.2f}" for name in PRECISIONS] + [f"{gain:.2f}"]
    print(*row, flush=True)
    return row


def top1(model: CompiledModel, images: Images, task: Task) -> Array:
    """The class of each image with the largest score, for whole batches."""
    session = model.session()
    name = session.get_inputs()[0].name
    found = []
    for start in range(0, len(images.labels), BATCH):
        [scores] = session.run(None, {name: prepared(images.pixels[start : start + BATCH], task)})
        found.append(scores.argmax(axis=1))
    classes: Array = np.concatenate(found)
    return classes


def judged(task: Task, shared: Path, count: int) -> list[str]:
    """A row of the table of accuracies; evaluates a whole number of batches."""
    images = images_of(shared / "data" / f"{task.images}.npz")
    images = images[: min(count, len(images.labels)) // BATCH * BATCH]
    path = shared / "models" / "trained" / f"{task.model}.onnx"
    [port] = read_graph(path).inputs
    models = compiled(path, shapes={port.name: (BATCH, *port.type.shape[1:])})
    classes = {name: top1(model, images, task) for name, model in models.items()}
    right = [f"{np.mean(classes[name] == images.labels):.4f}" for name in PRECISIONS]
    same = f"{np.mean(classes['f32'] == classes['bf16']):.4f}"
    row = [task.model, str(len(images.labels)), in_bfloat(models["bf16"]), *right, same]
    print(*row, flush=True)
    return row


@click.command(help=__doc__)
@click.argument("models", nargs=-1, type=click.Path(path_type=Path, exists=True))
@click.option("--threads", default="1,2", show_default=True, help="Most threads, one or several.")
@click.option("--rounds", type=int, default=15, show_default=True, help="Turns of each program.")
@click.option("--shared", type=click.Path(path_type=Path, exists=True), help="Trained classifiers and labelled images.")
@click.option("--images", "count", type=int, default=3000, show_default=True, help="Most images of a classifier.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the tables here.")
def main(
    models: tuple[Path, ...], threads: str, rounds: int, shared: Path | None, count: int, out: Path | None
) -> None:
    """Measure the models, evaluate the classifiers."""
    counts = tuple(map(int, threads.split(",")))
    text = ""
    if models:
        columns = [f"{what}, threads={n}" for n in counts for what in ("f32 ms", "bf16 ms", "gain")]
        heads = ["model", "layers in bf16", *columns]
        text += table(heads, [timed(path, counts, Pace(rounds)) for path in models])
    if shared is not None:
        heads = ["model", "images", "layers in bf16", "top-1 f32", "top-1 bf16", "same class"]
        text += table(heads, [judged(task, shared, count) for task in TASKS])
    print(text)
    if out is not None:
        write_text(out, text)


def table(heads: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    return "".join("| " + " | ".join(row) + " |\n" for row in [heads, ["---"] * len(heads), *rows]) + "\n"


if __name__ == "__main__":
    main()
