"""Accuracy of pruned classifiers on labelled images, without training, by pattern, sparsity and way of recovery.

    python benchmarks/pruning_accuracy.py --shared ../shared --images 2000 --out table.md
    python benchmarks/pruning_accuracy.py --shared ../shared --model resnet14 --sparsity 0.5 --scope layer

Recovers on images of the training set, or where there is none on images spread over the set, which are then not
evaluated. The pruned models run in cnnc. A cell is the top-1 accuracy.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
from quantization_accuracy import TASKS, Array, Task, answers, calibration_and_test, prepared

from cnnc.cli.outputs import write_text
from cnnc.compiler import read_graph
from cnnc.ir import Graph
from cnnc.ir.clone import clone_graph
from cnnc.pruning import RECOVERIES, SCOPES, Settings, prune_graph, recovered

BATCH = 50

PATTERNS = ("unstructured", "block4", "2:4")
SPARSITIES = (0.5, 0.6, 0.7, 0.8, 0.9)


def batches_of(task: Task, name: str, pixels: Array) -> list[Mapping[str, Array]]:
    return [{name: prepared(pixels[start : start + BATCH], task)} for start in range(0, len(pixels), BATCH)]


def cases(patterns: Sequence[str], sparsities: Sequence[float]) -> list[tuple[str, float | None]]:
    """Patterns and sparsities; N:M says itself how many weights go."""
    found: list[tuple[str, float | None]] = []
    for pattern in patterns:
        found += [(pattern, None)] if ":" in pattern else [(pattern, sparsity) for sparsity in sparsities]
    return found


def measured(
    task: Task, shared: Path, count: int, calibration: int, wanted: Sequence[Settings], methods: Sequence[str]
) -> Iterator[list[str]]:
    """A row for each of the settings."""
    samples, test = calibration_and_test(task, shared, count, calibration)
    dense = read_graph(shared / "models" / "trained" / f"{task.model}.onnx")
    batches = batches_of(task, dense.inputs[0].name, samples.pixels)

    def top1(graph: Graph) -> str:
        return f"{np.mean(answers(clone_graph(graph), test, task) == test.labels):.2%}"

    exact = top1(dense)
    for settings in wanted:
        pruned = prune_graph(clone_graph(dense), settings)
        sparsity = f"{pruned.totals.pruned_sparsity:.0%}"
        row, seconds = [task.model, str(len(test.labels)), exact, settings.pattern, sparsity, top1(pruned.graph)], 0.0
        for method in methods:
            start = time.perf_counter()
            made = recovered(dense, replace(pruned, graph=clone_graph(pruned.graph)), lambda: batches, method)
            seconds = max(seconds, time.perf_counter() - start)
            row.append(top1(made.graph))
        yield [*row, f"{seconds:.1f}"]


@click.command(help=__doc__)
@click.option("--shared", type=click.Path(path_type=Path, exists=True), required=True, help="Models and data.")
@click.option("--images", "count", type=int, default=10_000, show_default=True, help="Most images to evaluate.")
@click.option("--calibration", type=int, default=500, show_default=True, help="Images to recover on.")
@click.option("--model", "models", multiple=True, metavar="TEXT", help="Only models whose name contains this.")
@click.option("--pattern", "patterns", multiple=True, default=PATTERNS, show_default=True, metavar="PATTERN")
@click.option("--sparsity", "sparsities", multiple=True, type=float, default=SPARSITIES, show_default=True)
@click.option("--scope", type=click.Choice(SCOPES), default="lamp", show_default=True)
@click.option("--recover", "methods", multiple=True, type=click.Choice(RECOVERIES), default=RECOVERIES)
@click.option("--out", type=click.Path(path_type=Path), help="Write the table here.")
def main(
    shared: Path,
    count: int,
    calibration: int,
    models: Sequence[str],
    patterns: Sequence[str],
    sparsities: Sequence[float],
    scope: str,
    methods: Sequence[str],
    out: Path | None,
) -> None:
    """Measure the tasks."""
    heads = ["model", "images", "dense", "pattern", "sparsity", "pruned", *methods, "seconds"]
    rows = [heads, ["---"] * len(heads)]
    wanted = [
        Settings(sparsity=sparsity, pattern=pattern, scope=scope) for pattern, sparsity in cases(patterns, sparsities)
    ]
    for task in [task for task in TASKS if not models or any(text in task.model for text in models)]:
        for row in measured(task, shared, count, calibration, wanted, methods):
            rows.append(row)
            print(*row, sep=" | ", flush=True)
    text = "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"
    print(text)
    if out is not None:
        write_text(out, text)


if __name__ == "__main__":
    main()
