"""Compile a bundled trained model, classify bundled images, and compare with onnxruntime.

make demo
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

import cnnc
from cnnc.runtime import InferenceSession

HERE = Path(__file__).parent
MODEL = HERE / "models" / "resnet14_fashion-bn.onnx"
MEAN, STD = 0.2860, 0.3530


def normalise(images: np.ndarray) -> np.ndarray:
    """uint8 images [N, 28, 28] as the model's input, float32 [N, 1, 28, 28]."""
    return ((images[:, None].astype(np.float32) / 255) - MEAN) / STD


def main() -> int:
    console = Console()
    labels = (HERE / "images" / "labels.txt").read_text().splitlines()

    console.print(f"[bold]1. compile[/] {MODEL.name}")
    start = time.perf_counter()
    model = cnnc.compile(MODEL)
    session = InferenceSession(model)
    chosen = [decision.chosen for decision in model.lowered.decisions]
    console.print(
        f"   {len(chosen)} steps, {chosen.count('host')} of them on the host, "
        f"{time.perf_counter() - start:.1f} s (kernels are compiled once and cached)"
    )

    console.print("[bold]2. run[/] it on examples/images/ankle_boot.png")
    image = np.asarray(Image.open(HERE / "images" / "ankle_boot.png").convert("L"))
    [logits] = session.run(None, {"input": normalise(image[None])})
    probabilities = np.exp(logits[0] - logits[0].max())
    probabilities /= probabilities.sum()
    table = Table("class", "probability")
    for index in np.argsort(-probabilities)[:3]:
        table.add_row(labels[index], f"{probabilities[index]:.2%}")
    console.print(table)

    console.print("[bold]3. check[/] it against onnxruntime on 50 labelled images")
    with np.load(HERE / "images" / "fashion50.npz") as data:
        images, truth = data["images"], data["labels"]
    [ours] = session.run(None, {"input": normalise(images)})
    console.print(f"   accuracy {np.mean(ours.argmax(1) == truth):.0%}")
    try:
        import onnxruntime
    except ImportError:
        console.print("   onnxruntime is not installed: pip install onnxruntime to compare with it")
        return 0
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    peer = onnxruntime.InferenceSession(str(MODEL), options, providers=["CPUExecutionProvider"])
    [theirs] = peer.run(None, {"input": normalise(images)})
    difference = float(np.abs(ours - theirs).max() / theirs.std())
    same = np.mean(ours.argmax(1) == theirs.argmax(1))
    console.print(
        f"   same class in {same:.0%}; largest difference {difference:.1e} of the output's standard deviation"
    )
    return 0 if same == 1 and difference < 1e-3 else 1


if __name__ == "__main__":
    raise SystemExit(main())
