"""Two backends from outside cnnc: NumPy in a few lines, and C by the system's compiler.

python examples/lesson_12_own_backend/lesson.py
"""

# ruff: noqa: E402

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np

EXAMPLES = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(EXAMPLES))

from lesson_12_own_backend.c_backend import CBackend, has_compiler
from lesson_12_own_backend.c_code import RULES, CRule, conv_by_rows, no_plain_window

import cnnc
from cnnc import interp
from cnnc.compiler import read_graph
from cnnc.errors import UnsupportedError
from cnnc.extending import register_backend
from cnnc.ir import Array, Graph, Node
from cnnc.ops import OPS
from cnnc.target_backend import BackendSettings, RunGraph, TargetBackend
from cnnc.tuning.turns import time_in_turns

RESNET = EXAMPLES / "models" / "resnet14_fashion-bn.onnx"
MOBILENET = EXAMPLES / "models" / "mbv2mini_fashion-bn.onnx"


class NumpyBackend(TargetBackend):
    """Every node by its NumPy meaning: 10 lines, slow, and right."""

    def refusal(self, node: Node) -> str | None:
        return None if node.op != "dims" else "sizes as tensors are left out here"

    def compile(self, graph: Graph, settings: BackendSettings) -> RunGraph:
        def run(feeds: Mapping[str, Array]) -> Mapping[str, Array]:
            arrays = {value: value.array for value in graph.constants} | {
                value: feeds[value.name] for value in graph.inputs
            }
            for node in graph.nodes:
                operands = [None if value is None else arrays[value] for value in node.inputs]
                arrays |= zip(node.outputs, OPS[node.op].reference(node.attrs, operands), strict=False)
            return {name: arrays[value] for name, value in zip(graph.output_names, graph.outputs, strict=True)}

        return run


class RowsBackend(CBackend):
    """The C backend with the loops of the convolution in another order."""

    rules: ClassVar[Mapping[str, CRule]] = {**RULES, "conv": CRule(conv_by_rows, no_plain_window)}


def ops(graph: Graph) -> str:
    """How many nodes of each op."""
    return ", ".join(f"{count} {op}" for op, count in Counter(node.op for node in graph.nodes).most_common())


def main() -> None:
    """Tell the story."""
    if not has_compiler():
        print("this lesson needs a C compiler: install gcc or clang")
        return
    for name, backend in {"numpy": NumpyBackend, "c": CBackend, "c-rows": RowsBackend}.items():
        register_backend(name, backend)
    x = np.random.default_rng(0).normal(size=(1, 1, 28, 28)).astype(np.float32)
    feeds = {"input": x}
    truth = interp.run(read_graph(RESNET), feeds, float64=True)["logits"]

    print("1. What a backend is handed, by the passes that it asks for")
    for target in ("numpy", "c"):
        print(f"    {target:6} {ops(cnnc.compile(RESNET, target=target).graph)}")

    print("\n2. What it does not know, it says, and cnnc reports all of it at once")
    try:
        cnnc.compile(MOBILENET, target="c")
    except UnsupportedError as error:
        print("    " + error.what[:110] + " ...")

    print("\n3. The C of one layer")
    backend, model = CBackend(), cnnc.compile(RESNET, target="c")
    source = backend.source(model.graph, {"N": 1})
    print("    " + source.split("\n\n")[1].replace("\n", "\n    "))
    print(f"    ... {len(source.splitlines())} lines for {len(model.graph)} nodes")

    print("\n4. Are they right? Largest difference from float64, in standard deviations of the scores")
    models = {name: cnnc.compile(RESNET, target=name) for name in ("numpy", "c", "c-rows", "cpu")}
    for name, model in models.items():
        print(f"    {name:8} {np.abs(model.run(feeds)['logits'] - truth).max() / truth.std():.1e}")

    print("\n5. Time of an image, one thread")
    sessions = {name: model.session(threads=1) for name, model in models.items()}
    calls: dict[str, Callable[[], object]] = {n: partial(s.run, None, feeds) for n, s in sessions.items()}
    times = time_in_turns(calls, rounds=7)
    for name, seconds in times.items():
        ratio = seconds / times["cpu"]
        print(f"    {name:8} {seconds * 1e6:8.0f} microseconds, {ratio:5.1f} times as long as cnnc's kernels")

    print("\n6. The same from a package: these lines in its pyproject.toml, and no line in cnnc")
    print('    [project.entry-points."cnnc.backends"]\n    c = "my_package.c_backend:CBackend"')
    print("    cnnc run model.onnx --input x=photo.png --target c")


if __name__ == "__main__":
    main()
