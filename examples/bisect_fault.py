"""A pass with a bug that only shows in some layers, and the bisection that finds the rewrite: ``cnnc.bisection``.

python examples/bisect_fault.py
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from cnnc.bisection import Finding, bisect_results
from cnnc.ir import Graph, Notes
from cnnc.passes import Pass, pipeline

MODEL = Path(__file__).parent / "models" / "resnet14_fashion-bn.onnx"


@dataclass(frozen=True)
class DropTinyWeights(Pass):
    """Sets weights of convolutions to 0 that are too small to matter.

    The bug: the threshold was meant to be a thousandth of the largest weight, and is multiplied by the number of output
    channels, so that it grows with the width of the layer.
    """

    name: ClassVar[str] = "drop-tiny-weights"
    numerics: ClassVar[str] = "rounding"

    def run(self, graph: Graph, notes: Notes) -> bool:
        changed = False
        for node in [node for node in graph.nodes if node.op == "conv"]:
            weight = node.input(1).array
            if weight is None or notes.is_spent:
                continue
            threshold = 1e-3 * np.abs(weight).max() * len(weight)
            kept = np.where(np.abs(weight) < threshold, np.float32(0), weight)
            graph.set_input(node, 1, graph.add_constant(kept, f"{node.name}.kept"))
            notes.fire(self.name, node.loc)
            changed = True
        graph.remove_unused_constants()
        return changed


def find() -> Finding:
    """The bisection, with each step printed as it is taken."""
    passes: list[Pass] = []
    for item in pipeline(2):
        passes.append(item)
        if item.name == "fold-batch-norm":
            passes.append(DropTinyWeights())
    return bisect_results(MODEL, passes=passes, limit=5e-2, on_step=print)


def main() -> None:
    finding = find()
    guilty = finding.guilty_pass
    assert guilty is not None
    print(finding.what)
    print(f"its results are good up to rewrite {guilty.limit - 1} of the whole pipeline, bad from {guilty.limit} on")
    print("after the rewrite:", *(f"  {line}" for line in guilty.after if " = conv(" in line), sep="\n")
    shows = "shows the fault by itself" if finding.shows_fault else "does not show the fault by itself"
    print(f"a graph of {len(finding.graph or ())} nodes {shows}; {finding.compiles} programs were compiled")


if __name__ == "__main__":
    main()
