"""Accuracy of quantized classifiers on labelled images, by calibration method.

    python benchmarks/quantization_accuracy.py --shared ../shared --images 2000 --out table.md

Calibrates on the first 200 images of the training set, or where there is none on the last 200 of the set, which are
then not evaluated. The integers run in cnnc.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

import cnnc
from cnnc.cli.outputs import write_text
from cnnc.quantization import METHODS, Settings

CALIBRATION = 200
BATCH = 50

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Task:
    """A trained model and its labelled images: a pixel is (x / 255 - mean) / std."""

    model: str
    images: str
    training: str | None
    mean: tuple[float, ...]
    std: tuple[float, ...]


_FASHION = ("fashion_mnist_test", "fashion_mnist_train", (0.2860,), (0.3530,))
TASKS = (
    Task("lenet5_fashion", *_FASHION),
    Task("resnet14_fashion-bn", *_FASHION),
    Task("mbv2mini_fashion-bn", *_FASHION),
    Task("cifar10_resnet20_jpegft-bn", "cifar10_test_jpeg", None, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
)


def prepared(images: Array, task: Task) -> Array:
    """Bytes [N, H, W] or [N, H, W, 3] as the model's input, float32 [N, C, H, W]."""
    pixels = images[..., None] if images.ndim == 3 else images
    scaled = (pixels.astype(np.float32) / 255 - np.float32(task.mean)) / np.float32(task.std)
    return np.ascontiguousarray(np.moveaxis(scaled, -1, 1), np.float32)


def accuracy(model: Any, images: Array, labels: Array) -> float:
    """Share of the images whose largest output is their label."""
    session = cnnc.compile(model).session()
    name = session.get_inputs()[0].name
    right = 0
    for start in range(0, len(images), BATCH):
        [scores] = session.run(None, {name: images[start : start + BATCH]})
        right += int(np.sum(scores.argmax(1) == labels[start : start + BATCH]))
    return right / len(images)


def measured(task: Task, shared: Path, count: int) -> list[str]:
    """A row of the table: float, then each method, one scale a channel and one a tensor."""
    with np.load(shared / "data" / f"{task.images}.npz") as data:
        images, labels = data["images"], data["labels"]
    if task.training is None:
        sample, images, labels = images[-CALIBRATION:], images[:-CALIBRATION], labels[:-CALIBRATION]
    else:
        with np.load(shared / "data" / f"{task.training}.npz") as data:
            sample = data["images"][:CALIBRATION]
    path = shared / "models" / "trained" / f"{task.model}.onnx"
    pixels, labels = prepared(images[:count], task), labels[:count]
    calibration = prepared(sample, task)
    batches: list[Mapping[str, Array]] = [
        {"input": calibration[start : start + BATCH]} for start in range(0, len(calibration), BATCH)
    ]
    row = [task.model, str(len(pixels)), f"{accuracy(path, pixels, labels):.4f}"]
    for per_channel in (True, False):
        for method in METHODS:
            made = cnnc.quantize(path, batches, Settings(method=method, per_channel=per_channel))
            row.append(f"{accuracy(made.graph, pixels, labels):.4f}")
    print(*row, flush=True)
    return row


@click.command(help=__doc__)
@click.option("--shared", type=click.Path(path_type=Path, exists=True), required=True, help="Models and data.")
@click.option("--images", "count", type=int, default=10_000, show_default=True, help="Most images to evaluate.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the table here.")
def main(shared: Path, count: int, out: Path | None) -> None:
    """Measure every task."""
    heads = ["model", "images", "float32", *METHODS, *(f"{method}, a tensor" for method in METHODS)]
    rows = [heads, ["---"] * len(heads), *(measured(task, shared, count) for task in TASKS)]
    table = "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"
    print(table)
    if out is not None:
        write_text(out, table)


if __name__ == "__main__":
    main()
