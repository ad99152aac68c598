"""The ways to lower a layer that are worth a measurement."""

from __future__ import annotations

from cnnc.ir import Graph
from cnnc.lower.builder import ProgramBuilder
from cnnc.lower.rules import TiledRule
from cnnc.lower.select import RULES
from cnnc.lower.selection import Candidate
from cnnc.runtime.kernel import Target

TUNABLE_OPS = frozenset(op for op, rules in RULES.items() if any(isinstance(rule, TiledRule) for rule in rules))

TILED_RULES = {rule.name: rule for rules in RULES.values() for rule in rules if isinstance(rule, TiledRule)}

_OTHER_TILINGS = 2
_WORST_COST = 3.0
"""Of other kernels than the preferred one few tilings are tried, and none that costs so many times as much."""


def candidates(layer: Graph, target: Target, count: int) -> tuple[Candidate, ...]:
    """Up to ``count`` tilings of the preferred rule and a few of the others, the cost model's choice first.

    Args:
        layer: a graph of one node, see ``single_layer``.

    Returns:
        Nothing where the preferred rule has no tilings.
    """
    [node] = layer.nodes
    builder = ProgramBuilder(layer, target)
    found: list[Candidate] = []
    for rule in RULES.get(node.op, ()):
        if rule.supports(node, builder) is not None:
            continue
        if not isinstance(rule, TiledRule):
            if not found:
                return ()
            continue
        if not found:
            found += (Candidate(rule.name, tiling, cost) for cost, tiling in rule.tilings(node, builder, count))
            continue
        for cost, tiling in rule.tilings(node, builder, min(count, _OTHER_TILINGS)):
            if cost < _WORST_COST * found[0].cost:
                found.append(Candidate(rule.name, tiling, cost))
    return tuple(found)
