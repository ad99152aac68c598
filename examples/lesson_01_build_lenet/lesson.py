"""LeNet-5 in the DSL: its layers, its numbers, what the compiler makes of it, and how long it takes.

    python examples/lesson_01_build_lenet/lesson.py

Source: LeCun et al., Gradient-Based Learning Applied to Document Recognition, Proceedings of the IEEE 86, 1998.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

import cnnc
from cnnc import dsl, interp
from cnnc.ir import Graph
from cnnc.ops import OPS
from cnnc.tuning.turns import time_in_turns

EXAMPLES = Path(__file__).resolve().parent.parent
MEAN, STD = 0.2860, 0.3530
"""Of the pixels of Fashion-MNIST, as the weights were trained with."""


class LeNet5(dsl.Module):
    """Two convolutions with pools, three linear layers: [N, 1, 28, 28] -> [N, 10].

    Args:
        pool: what stands behind the convolutions; the weights were trained with max-pool.
    """

    def __init__(self, pool: Callable[[dsl.Tensor, int], dsl.Tensor] = dsl.max_pool) -> None:
        self.pool = pool
        self.conv1 = dsl.Conv2d(1, 6, 5, padding=2)
        self.conv2 = dsl.Conv2d(6, 16, 5)
        self.fc1 = dsl.Linear(16 * 5 * 5, 120)
        self.fc2 = dsl.Linear(120, 84)
        self.fc3 = dsl.Linear(84, 10)

    def forward(self, image: dsl.Tensor) -> dsl.Tensor:
        """Class scores."""
        x = self.pool(dsl.relu(self.conv1(image)), 2)
        x = self.pool(dsl.relu(self.conv2(x)), 2)
        x = dsl.relu(self.fc1(dsl.flatten(x)))
        x = dsl.relu(self.fc2(x))
        return self.fc3(x)


def trained(network: LeNet5) -> dsl.Model:
    """The network with the bundled weights."""
    model = dsl.model(network, {"image": ("N", 1, 28, 28)}, name="lenet5", init=None)
    model.load(EXAMPLES / "models" / "lenet5_fashion.safetensors")
    return model


def bundled_images() -> tuple[np.ndarray, np.ndarray, list[str]]:
    """50 images uint8 [N, 28, 28], their classes [N], and the names of the classes."""
    with np.load(EXAMPLES / "images" / "fashion50.npz") as data:
        return data["images"], data["labels"], (EXAMPLES / "images" / "labels.txt").read_text().splitlines()


def prepared(images: np.ndarray) -> np.ndarray:
    """Images uint8 [N, 28, 28] as the network's input, float32 [N, 1, 28, 28]."""
    return (images[:, None].astype(np.float32) / 255 - np.float32(MEAN)) / np.float32(STD)


def show_layers(graph: Graph) -> None:
    """Type, parameters and multiply-accumulates of every node. Weights are the constant inputs of a node."""
    print(f"{'node':12} {'op':9} {'result':22} {'parameters':>10} {'MACs an image':>14}")
    for node in graph.nodes:
        count = OPS[node.op].macs
        types = [None if value is None else value.type for value in node.inputs]
        macs = 0 if count is None else count(node.attrs, types, [value.type for value in node.outputs])
        weights = [v.array.size for v in node.inputs if v is not None and v.array is not None and v.type.dtype.is_float]
        label = node.name.partition(" ")[0]
        print(f"{label:12} {node.op:9} {node.output.type!s:22} {sum(weights):10,} {macs!s:>14}")


def show_image(image: np.ndarray) -> None:
    """Every second row and column of uint8 [28, 28], dark to light."""
    for row in image[::2]:
        print("    " + "".join(" .:-=+*#%@"[int(pixel) * 9 // 255] * 2 for pixel in row[::2]))


def show_judges(model: dsl.Model, pixels: np.ndarray, scores: np.ndarray) -> None:
    """How far the compiled network is from two others that compute the same graph."""
    truth = interp.run(model.graph(), {"image": pixels}, float64=True)["output"]
    spread = truth.std()
    print(f"    the reference interpreter in float64   {np.abs(scores - truth).max() / spread:.1e}")
    try:
        import onnxruntime
    except ImportError:
        print("    onnxruntime is not installed: pip install onnxruntime to compare with it")
        return
    file = model.to_onnx().SerializeToString()
    [theirs] = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"]).run(None, {"image": pixels})
    print(f"    onnxruntime, on the exported ONNX file {np.abs(scores - theirs).max() / spread:.1e}")


def show_compilation(compiled: cnnc.CompiledModel) -> None:
    """Which node of the optimised graph came from which nodes of the network, and the kernel that computes it."""
    for decision in compiled.lowered.decisions:
        origins = " + ".join(place.partition(" ")[0] for place in decision.loc)
        print(f"    {decision.op:14} {decision.chosen:30} from {origins}")


def main() -> None:
    """Tell the story."""
    model = trained(LeNet5())
    images, truth, names = bundled_images()
    pixels = prepared(images)

    print("1. The network as a graph: N is a symbol, the batch is chosen at run time")
    show_layers(model.graph())
    print(f"{model.parameter_count:,} parameters, {model.macs():,} multiply-accumulates (MACs) an image\n")

    print("2. Trained weights and one image")
    compiled = cnnc.compile(model)
    scores = compiled.run({"image": pixels})["output"]
    show_image(images[1])
    chances = np.exp(scores[1] - scores[1].max())
    chances /= chances.sum()
    for index in np.argsort(-chances)[:3]:
        print(f"    {names[index]:12} {chances[index]:6.1%}")
    print(f"    it is a {names[truth[1]]}; of all bundled images {np.sum(scores.argmax(1) == truth)} of 50 are right\n")

    print("3. Is it computed rightly? Largest difference of a score, in standard deviations of the scores, from")
    show_judges(model, pixels, scores)

    print(f"\n4. What the compiler did: {len(model.graph())} nodes became {len(compiled.graph)}")
    show_compilation(compiled)

    print("\n5. Time of an image, microseconds (one thread)")
    graph = model.graph()
    plain = cnnc.compile(model, level=0).session(threads=1)
    fast = compiled.session(threads=1)
    for batch in (1, 50):
        feeds = {"image": pixels[:batch]}
        calls: dict[str, Callable[[], object]] = {
            "NumPy, node by node": partial(interp.run, graph, feeds),
            "compiled at -O0": partial(plain.run, None, feeds),
            "compiled at -O2": partial(fast.run, None, feeds),
        }
        for name, seconds in time_in_turns(calls, rounds=7).items():
            print(f"    batch {batch:2}, {name:20} {seconds / batch * 1e6:8.1f}")

    print("\n6. One thing changed, and the weights kept")
    variants = {"as trained": LeNet5(), "average pools": LeNet5(pool=dsl.avg_pool)}
    sessions = {name: cnnc.compile(trained(network)).session(threads=1) for name, network in variants.items()}
    feeds = {"image": pixels}
    calls = {name: partial(session.run, None, feeds) for name, session in sessions.items()}
    for name, seconds in time_in_turns(calls, rounds=7).items():
        right = np.sum(sessions[name].run(None, feeds)[0].argmax(1) == truth)
        print(f"    {name:14} {right:2} of 50 right, {seconds / 50 * 1e6:5.1f} microseconds an image")


if __name__ == "__main__":
    main()
