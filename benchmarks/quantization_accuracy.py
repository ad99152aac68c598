"""Accuracy of quantized classifiers on labelled images, by calibration method and by step of the quantizer.

    python benchmarks/quantization_accuracy.py --shared ../shared --images 3000 --out tables.md
    python benchmarks/quantization_accuracy.py --shared ../shared --images 500 --model mbv2mini --table steps

Calibrates on the first 200 images of the training set, or where there is none on 200 spread over the set, which are
then not evaluated. The integers run in cnnc. A cell is the top-1 accuracy, and the share of images with the float
model's answer.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from PIL import Image

import cnnc
from cnnc.cli.outputs import write_text
from cnnc.quantization import METHODS, Settings

CALIBRATION = 200
BATCH = 20

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
    Task("efficientnet-lite0-bn", "imagenet1000_224_jpegq92", None, (127 / 255,), (128 / 255,)),
)

_NEAREST = {"rounding": "nearest", "clip_weights": False, "correct_bias": False, "equalise": False}
STEPS: dict[str, dict[str, Any]] = {
    "nearest": _NEAREST,
    "equalised": {**_NEAREST, "equalise": True},
    "clipped": {**_NEAREST, "clip_weights": True},
    "bias": {**_NEAREST, "correct_bias": True},
    "gptq": {**_NEAREST, "rounding": "gptq"},
    "default": {},
    "default, statistics": {"reestimate_batch_norm": True},
    "default, ends in float": {"keep_first": True, "keep_last": True},
}
"""Settings by name: no step, each alone, what a user gets without options, and what that leaves out."""

COLUMNS: dict[str, dict[str, dict[str, Any]]] = {
    "methods": {method: {"method": method} for method in METHODS},
    "steps": STEPS,
    "default": {"default": STEPS["default"]},
}
"""The tables."""


@dataclass(frozen=True, slots=True)
class Images:
    """Inputs [N, H, W, C] in bytes, and what they show."""

    pixels: Array
    labels: Array

    def __getitem__(self, chosen: slice | Array) -> Images:
        return Images(self.pixels[chosen], self.labels[chosen])


def images_of(path: Path) -> Images:
    """Pixels of an archive of arrays, or of JPEG files one behind another."""
    with np.load(path) as data:
        if "images" in data:
            pixels = data["images"]
            return Images(pixels[..., None] if pixels.ndim == 3 else pixels, data["labels"])
        files, ends, labels = data["data"].tobytes(), data["offsets"], data["labels"]
    decoded = [np.asarray(Image.open(io.BytesIO(files[a:b])).convert("RGB")) for a, b in itertools.pairwise(ends)]
    return Images(np.stack(decoded), labels)


def calibration_and_test(task: Task, shared: Path, count: int, calibration: int = CALIBRATION) -> tuple[Images, Images]:
    """Images to calibrate on, and at most ``count`` others to evaluate."""
    test = images_of(shared / "data" / f"{task.images}.npz")
    if task.training is not None:
        return images_of(shared / "data" / f"{task.training}.npz")[:calibration], test[:count]
    spread = np.arange(calibration) * len(test.labels) // calibration
    others = np.setdiff1d(np.arange(len(test.labels)), spread)
    return test[spread], test[others][:count]


def prepared(pixels: Array, task: Task) -> Array:
    """Bytes [N, H, W, C] as the model's input, float32 [N, C, H, W]."""
    scaled = (pixels.astype(np.float32) / 255 - np.float32(task.mean)) / np.float32(task.std)
    return np.ascontiguousarray(np.moveaxis(scaled, -1, 1), np.float32)


def answers(model: Any, images: Images, task: Task) -> Array:
    """The class of each image that the model gives most."""
    session = cnnc.compile(model).session()
    name = session.get_inputs()[0].name
    found = []
    for start in range(0, len(images.labels), BATCH):
        [scores] = session.run(None, {name: prepared(images.pixels[start : start + BATCH], task)})
        found.append(scores.argmax(axis=1))
    return np.concatenate(found)


def rows_of(task: Task, shared: Path, count: int, tables: Sequence[str]) -> dict[tuple[str, bool], list[str]]:
    """A row of each table, one scale a channel and one a tensor."""
    calibration, test = calibration_and_test(task, shared, count)
    path = shared / "models" / "trained" / f"{task.model}.onnx"
    name = cnnc.compile(path).session().get_inputs()[0].name
    batches: list[Mapping[str, Array]] = [
        {name: prepared(calibration.pixels[start : start + BATCH], task)} for start in range(0, CALIBRATION, BATCH)
    ]
    wanted = answers(path, test, task)
    rows = {}
    for table in tables:
        for per_channel in (True, False):
            row = [task.model, str(len(test.labels)), f"{np.mean(wanted == test.labels):.2%}"]
            for settings in COLUMNS[table].values():
                made = cnnc.quantize(path, batches, Settings(per_channel=per_channel, **settings))
                got = answers(made.graph, test, task)
                row.append(f"{np.mean(got == test.labels):.2%} ({np.mean(got == wanted):.1%})")
            rows[table, per_channel] = row
            print(*row, sep=" | ", flush=True)
    return rows


@click.command(help=__doc__)
@click.option("--shared", type=click.Path(path_type=Path, exists=True), required=True, help="Models and data.")
@click.option("--images", "count", type=int, default=10_000, show_default=True, help="Most images to evaluate.")
@click.option("--model", "models", multiple=True, metavar="TEXT", help="Only models whose name contains this.")
@click.option("--table", "tables", multiple=True, type=click.Choice(list(COLUMNS)), help="Only this table.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the tables here.")
def main(shared: Path, count: int, models: Sequence[str], tables: Sequence[str], out: Path | None) -> None:
    """Measure the tasks."""
    tables = tables or list(COLUMNS)
    chosen = [task for task in TASKS if not models or any(text in task.model for text in models)]
    rows = [rows_of(task, shared, count, tables) for task in chosen]
    text = ""
    for table in tables:
        for per_channel in (True, False):
            heads = ["model", "images", "float32", *COLUMNS[table]]
            lines = [heads, ["---"] * len(heads), *(row[table, per_channel] for row in rows)]
            text += f"\nOne scale {'an output channel' if per_channel else 'a weight tensor'}:\n\n"
            text += "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
    print(text)
    if out is not None:
        write_text(out, text)


if __name__ == "__main__":
    main()
