"""What pruning is worth to each layer of a compiled model: density, break-even and the kernel that was taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cnnc.cli.console import print_table
from cnnc.lower.break_even import BreakEven, break_evens
from cnnc.lower.density import DENSE, WeightDensity, layer_density

if TYPE_CHECKING:
    from cnnc.compiler import CompiledModel
    from cnnc.lower import Decision


@dataclass(frozen=True, slots=True)
class PrunedLayer:
    """A layer with a pruned weight.

    Attributes:
        density: share of non-zeros.
        pattern: as in ``WeightDensity``.
        break_even: the largest density at which a kernel that leaves zeros out is taken by the cost model; 0 where it
            never is.
        dense_kernel: what a dense weight would get.
    """

    density: float
    pattern: str
    break_even: float
    dense_kernel: str


def pruned_layers(compiled: CompiledModel, decisions: Sequence[Decision]) -> dict[Decision, PrunedLayer]:
    """Of the nodes that were decided so, those that have a pruned weight."""
    lowered = compiled.lowered
    # A conversion of a layer's result has the layer's name.
    decided = {(decision.node, decision.op): decision for decision in decisions}
    pruned: dict[Decision, WeightDensity] = {}
    for node in compiled.graph.nodes:
        decision = decided.get((node.name, node.op))
        zeros = None if decision is None else layer_density(node)
        if decision is not None and zeros is not None and zeros.pattern != DENSE:
            pruned[decision] = zeros
    names = {decision.node for decision in pruned}
    evens = break_evens(compiled.graph, names, compiled.target, lowered.numerics, lowered.machine)
    found = {}
    for decision, zeros in pruned.items():
        even = evens.get(decision.node, BreakEven(0.0, decision.chosen))
        found[decision] = PrunedLayer(zeros.density, zeros.pattern, even.density, even.dense_kernel)
    return found


def show_pruned_layers(nodes: Sequence[dict[str, Any]]) -> None:
    """A table of the nodes of ``cnnc explain`` that have a pruned weight."""
    rows = [
        (
            node["node"],
            f"{node['pruned']['density']:.1%}",
            node["pruned"]["pattern"],
            f"{node['pruned']['break_even']:.0%}" if node["pruned"]["break_even"] else "none",
            node["kernel"],
            node["pruned"]["dense_kernel"] if node["pruned"]["dense_kernel"] != node["kernel"] else "",
            _share(node),
        )
        for node in nodes
        if node["pruned"] is not None
    ]
    if rows:
        columns = ["node", "density>", "pattern", "pays below>", "kernel", "in place of", "of its time>"]
        print_table(columns, rows, title="layers with pruned weights; times as the cost model predicts them")


def _share(node: dict[str, Any]) -> str:
    """The predicted time of the kernel that was taken as a share of the dense one's."""
    seconds = {item["kernel"]: item["predicted_seconds"] for item in reversed(node["candidates"])}
    dense, taken = node["pruned"]["dense_kernel"], node["kernel"]
    if dense == taken or dense not in seconds or taken not in seconds:
        return ""
    return f"{seconds[taken] / seconds[dense]:.2f}"
