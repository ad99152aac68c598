"""Quantize a bundled model by every method, and plot how accuracy depends on it.

    python examples/quantization.py                print the table
    python examples/quantization.py methods.svg    plot it too; needs pip install cnnc[bench]

A small MobileNetV2 for Fashion-MNIST is calibrated on 100 images and judged on 500 others. Accuracy moves in steps of
one image of 500, so the signal-to-noise ratio of the scores stands beside it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import cnnc
from cnnc.ir import Graph
from cnnc.quantization import METHODS, Settings

HERE = Path(__file__).parent
MODEL = HERE / "models" / "mbv2mini_fashion-bn.onnx"
MEAN, STD = 0.2860, 0.3530
BATCH = 50
MAX_DROP = 0.005

PLAIN = "the same, plainly rounded"
KINDS = {
    "a scale a channel": Settings(),
    "a scale a tensor": Settings(per_channel=False),
    PLAIN: Settings(per_channel=False, equalise=False, clip_weights=False, rounding="nearest", correct_bias=False),
}
"""How weights are stored. The last is what the other steps are worth something against."""


@dataclass(frozen=True)
class Result:
    """One quantized model: share of right classes, and the signal-to-noise ratio of its scores in dB."""

    name: str
    accuracy: float
    sqnr: float


@dataclass(frozen=True)
class Data:
    """Prepared images float32 [N, 1, 28, 28], their classes, and what the float model scores."""

    pixels: np.ndarray
    labels: np.ndarray
    scores: np.ndarray

    def judge(self, name: str, graph: Graph) -> Result:
        """Run a quantized model."""
        got = run(graph, self.pixels)
        noise = np.square(got - self.scores).sum() / np.square(self.scores).sum()
        return Result(name, float(np.mean(got.argmax(1) == self.labels)), -10 * float(np.log10(noise)))


def prepared(images: np.ndarray) -> np.ndarray:
    """uint8 images [N, 28, 28] as the model's input."""
    return ((images[:, None].astype(np.float32) / 255) - np.float32(MEAN)) / np.float32(STD)


def run(model: Path | Graph, pixels: np.ndarray) -> np.ndarray:
    """Scores [N, 10]."""
    compiled = cnnc.compile(model)
    batches = [pixels[start : start + BATCH] for start in range(0, len(pixels), BATCH)]
    return np.concatenate([compiled.run({"input": batch})["logits"] for batch in batches])


def main() -> None:
    """Print a table of all methods; plot it if a file is named."""
    with np.load(HERE / "images" / "fashion_quantization.npz") as archive:
        pixels, labels = prepared(archive["images"]), archive["labels"]
        samples: list[Mapping[str, np.ndarray]] = [{"input": prepared(archive["samples"])}]
    data = Data(pixels, labels, run(MODEL, pixels))
    exact = float(np.mean(data.scores.argmax(1) == labels))
    print(f"{MODEL.stem}, {len(labels)} images: float32 {exact:.3f}")
    results: dict[str, list[Result]] = {}
    for kind, settings in KINDS.items():
        for method in METHODS:
            made = cnnc.quantize(MODEL, samples, replace(settings, method=method))
            result = data.judge(method, made.graph)
            results.setdefault(kind, []).append(result)
            print(f"{kind}, {method}: {result.accuracy:.3f} {result.sqnr:.1f} dB")
    evaluation = {"input": pixels, "labels": labels}
    mixed = cnnc.quantize(MODEL, samples, KINDS[PLAIN], evaluation=evaluation, max_drop=MAX_DROP)
    result = data.judge("budget", mixed.graph)
    results[PLAIN].append(result)
    print(f"{PLAIN}, minmax, a drop of at most {MAX_DROP}: {result.accuracy:.3f} {result.sqnr:.1f} dB")
    for layer, why in mixed.excluded.items():
        print(f"  {layer} stays in float: {why}")
    if len(sys.argv) > 1:
        plot(exact, results, Path(sys.argv[1]))


def plot(exact: float, results: Mapping[str, list[Result]], path: Path) -> None:
    """Bars of accuracy and of signal-to-noise ratio, by method."""
    try:
        import matplotlib
    except ImportError:
        sys.exit("the plot needs matplotlib: pip install cnnc[bench]")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (top, bottom) = pyplot.subplots(2, 1, figsize=(7, 5), sharex=True)
    names = list(dict.fromkeys(result.name for row in results.values() for result in row))
    for shift, (kind, row) in zip((-0.27, 0, 0.27), results.items(), strict=True):
        places = [names.index(result.name) + shift for result in row]
        top.bar(places, [result.accuracy for result in row], 0.25, label=kind)
        bottom.bar(places, [result.sqnr for result in row], 0.25)
    top.axhline(exact, color="black", linewidth=0.8, label="float32")
    top.set_ylim(min(result.accuracy for row in results.values() for result in row) - 0.02, exact + 0.02)
    top.set_ylabel("top-1")
    top.legend(fontsize=7, loc="upper left", ncols=4)
    bottom.set_ylabel("SQNR of the scores, dB")
    bottom.set_xticks(range(len(names)), names)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    print(f"{path} is written")


if __name__ == "__main__":
    main()
