"""What pruning is worth to each layer of a compiled model: density, break-even and the kernel of a dense weight."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from cnnc.explanation.facts import PrunedLayer
from cnnc.lower.break_even import BreakEven, break_evens
from cnnc.lower.density import DENSE, layer_density

if TYPE_CHECKING:
    from cnnc.compiler import CompiledModel


def pruned_layers(compiled: CompiledModel, wanted: Collection[str]) -> dict[str, PrunedLayer]:
    """By the name of a node's first output, the nodes of ``wanted`` that have a pruned weight."""
    lowered = compiled.lowered
    chosen = {decision.value: decision.chosen for decision in lowered.decisions if decision.value in wanted}
    densities = {node.output.name: layer_density(node) for node in compiled.graph.nodes if node.output.name in chosen}
    pruned = {name: zeros for name, zeros in densities.items() if zeros is not None and zeros.pattern != DENSE}
    evens = break_evens(compiled.graph, pruned, compiled.target, lowered.numerics, lowered.machine)
    found = {}
    for name, zeros in pruned.items():
        even = evens.get(name, BreakEven(0.0, chosen[name]))
        found[name] = PrunedLayer(zeros.density, zeros.pattern, even.density, even.dense_kernel)
    return found
