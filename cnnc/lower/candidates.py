"""The ways to lower a layer that are worth a measurement."""

from __future__ import annotations

from typing import Any

from cnnc.ir import Graph
from cnnc.lower.builder import ProgramBuilder
from cnnc.lower.numerics import DEFAULT_NUMERICS, Numerics
from cnnc.lower.rules import TiledRule, offers_for
from cnnc.lower.select import rules_of
from cnnc.lower.selection import Candidate
from cnnc.runtime.cpu.machine import USUAL_MACHINE, Machine
from cnnc.runtime.kernel import Target

_OTHER_TILINGS = 2
_WORST_COST = 3.0
"""Of other kernels than the chosen one few tilings are tried, and none that costs so many times as much."""


def tunable_ops(target: Target) -> frozenset[str]:
    """Ops that some rule with tilings takes."""
    rules_of_op = rules_of(target)
    return frozenset(op for op, rules in rules_of_op.items() if any(isinstance(rule, TiledRule) for rule in rules))


def tiled_rules(target: Target) -> dict[str, TiledRule[Any]]:
    """The rules with tilings by name."""
    return {rule.name: rule for rules in rules_of(target).values() for rule in rules if isinstance(rule, TiledRule)}


def candidates(
    layer: Graph,
    target: Target,
    count: int,
    numerics: Numerics = DEFAULT_NUMERICS,
    machine: Machine = USUAL_MACHINE,
) -> tuple[Candidate, ...]:
    """Up to ``count`` tilings of the rule that the cost model takes and a few of the others, its choice first.

    Args:
        layer: a graph of one node, see ``single_layer``.

    Returns:
        Nothing where a rule without tilings is preferred.
    """
    [node] = layer.nodes
    builder = ProgramBuilder(layer, target, numerics, machine)
    offers = offers_for(node, rules_of(target).get(node.op, ()), builder)
    if not offers.tiled:
        return ()
    first = offers.best
    found = [Candidate(first.rule.name, tiling, cost) for cost, tiling in first.rule.tilings(node, builder, count)]
    for offer in offers.tiled:
        if offer is first:
            continue
        for cost, tiling in offer.rule.tilings(node, builder, min(count, _OTHER_TILINGS)):
            if cost < _WORST_COST * first.cost:
                found.append(Candidate(offer.rule.name, tiling, cost))
    return tuple(found)
