"""Batch normalization folds into the convolution before it: the algebra, where it must not, and what it saves.

python examples/lesson_03_fold_batch_norm/lesson.py
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

import cnnc
from cnnc import dsl, frontends, interp, passes
from cnnc.ir import Graph, Notes, clone_graph
from cnnc.runtime.host import function
from cnnc.tuning.turns import time_in_turns

MODELS = Path(__file__).resolve().parent.parent / "models"
FOLDS = ("fold-batch-norm", "fold-scale-into-conv")
"""The passes that section 5 leaves out: the second one would fold what the first one left."""


class PreActivation(dsl.Module):
    """A convolution whose result is normalized, and added to the normalized one: [N, 4, H, W] -> the same."""

    def __init__(self) -> None:
        self.conv = dsl.Conv2d(4, 4, 3, padding=1)
        self.norm = dsl.BatchNorm(4)

    def forward(self, x: dsl.Tensor) -> dsl.Tensor:
        """The convolution's result is read twice."""
        y = self.conv(x)
        return y + dsl.relu(self.norm(y))


class Blocks(dsl.Module):
    """Six blocks of MobileNet, depthwise 3x3 and 1x1, each with normalization and ReLU6: [N, 32, H, W] -> the same."""

    def __init__(self) -> None:
        self.layers = []
        for _ in range(6):
            self.layers += [dsl.Conv2d(32, 32, 3, padding=1, groups=32, bias=False), dsl.BatchNorm(32), dsl.relu6]
            self.layers += [dsl.Conv2d(32, 32, 1, bias=False), dsl.BatchNorm(32), dsl.relu6]

    def forward(self, x: dsl.Tensor) -> dsl.Tensor:
        """One after the other."""
        return dsl.Sequential(*self.layers)(x)


def show_algebra() -> None:
    """One layer, in both forms."""
    random = np.random.default_rng(0)
    x = random.standard_normal((1, 3, 6, 6))
    w, b = random.standard_normal((2, 3, 3, 3)), random.standard_normal(2)
    gamma, beta, mean = random.standard_normal((3, 2))
    variance = random.uniform(0.5, 2, 2)
    conv = function("conv")
    scale = gamma / np.sqrt(variance + 1e-5)
    apart = (conv(x, w, b) - mean.reshape(2, 1, 1)) * scale.reshape(2, 1, 1) + beta.reshape(2, 1, 1)
    folded = conv(x, w * scale.reshape(2, 1, 1, 1), (b - mean) * scale + beta)
    print(f"    scale of each channel {scale.round(3).tolist()}")
    print(f"    largest difference between the two forms, in float64: {np.abs(apart - folded).max():.1e}")


def show_padding() -> None:
    """Before a padded convolution a shift cannot be folded: the border does not see it."""
    conv = function("conv")
    x, w, shift = np.zeros((1, 1, 5, 5)), np.ones((1, 1, 3, 3)), 1.0
    apart = conv(x + shift, w, None, pads=(1, 1, 1, 1))
    folded = conv(x, w, np.array([shift * w.sum()]), pads=(1, 1, 1, 1))
    for line, (left, right) in enumerate(zip(apart[0, 0], folded[0, 0])):
        names = ("apart", "folded") if line == 2 else ("", "")
        numbers = [" ".join(f"{value:2.0f}" for value in row) for row in (left, right)]
        print(f"    {names[0]:6} {numbers[0]}      {numbers[1]}    {names[1]}".rstrip())


def without(graph: Graph, names: tuple[str, ...]) -> Graph:
    """The graph as -O2 optimises it, but for some passes."""
    pipeline = [item for item in passes.pipeline(2) if item.name not in names]
    last = next(index for index, item in enumerate(pipeline) if item.ensures == "optimised")
    passes.PassManager(pipeline[: last + 1]).run(graph, Notes())
    return graph


def main() -> None:
    """Tell the story."""
    print("1. The algebra holds")
    show_algebra()

    print("\n2. On a trained network: ResNet-14")
    path = MODELS / "resnet14_fashion-bn.onnx"
    graph = frontends.import_onnx(path)
    image = np.random.default_rng(0).standard_normal((2, 1, 28, 28), np.float32)
    truth = interp.run(graph, {"input": image}, float64=True)["logits"]
    apart = interp.run(graph, {"input": image})["logits"]
    folded = clone_graph(graph)
    notes = Notes()
    passes.PassManager([passes.make_pass("eliminate-no-ops"), passes.make_pass("fold-batch-norm")]).run(folded, notes)
    together = interp.run(folded, {"input": image})["logits"]
    print(f"    {len(graph)} nodes became {len(folded)}; {len(notes.fired)} rewrites")
    print("    error against float64, in standard deviations of the scores:")
    for name, scores in (("apart", apart), ("folded", together)):
        print(f"    {name:6} {np.abs(scores - truth).max() / truth.std():.1e}")

    print("\n3. Where it must not: the convolution's result is read twice")
    two_readers = dsl.model(PreActivation(), ("N", 4, 8, 8)).graph()
    notes = Notes()
    passes.make_pass("fold-batch-norm").run(two_readers, notes)
    for refusal in notes.refusals.values():
        print(f"    {refusal.rule} at {refusal.node}: {refusal.reason}")

    print("\n4. Where it must not: a shift before a convolution that pads with zeros")
    show_padding()

    print("\n5. What it saves: six blocks of MobileNet on [1, 32, 28, 28], microseconds on one thread")
    model = dsl.model(Blocks(), (1, 32, 28, 28))
    random = np.random.default_rng(0)
    for name, parameter in model.parameters.items():
        if "running_var" in name or "running_mean" in name:
            model.set(name, random.uniform(0.5, 1.5, parameter.shape))
    forms = {"apart": without(model.graph(), FOLDS), "folded": model.graph()}
    models = {form: cnnc.compile(made) for form, made in forms.items()}
    feeds = {"x": random.standard_normal((1, 32, 28, 28), np.float32)}
    calls = {form: partial(model.session(threads=1).run, None, feeds) for form, model in models.items()}
    for form, seconds in time_in_turns(calls).items():
        print(f"    {form:6} {len(models[form].graph):3} nodes, {seconds * 1e6:6.0f}")


if __name__ == "__main__":
    main()
