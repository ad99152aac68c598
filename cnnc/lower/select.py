"""Kernel selection: the loop that applies the target's rules to the nodes of a graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from cnnc.errors import UnsupportedError
from cnnc.extension_points import ExtensionPoint
from cnnc.ir import Graph, Node
from cnnc.lower import cpu_rules, cuda
from cnnc.lower.builder import Decision, Lowered, ProgramBuilder
from cnnc.lower.numerics import DEFAULT_NUMERICS, Numerics
from cnnc.lower.rules import HOST, LoweringRule, Offer, Offers, Rule, TiledRule, joined, offers_for
from cnnc.lower.selection import COST_MODEL, Candidate, LayerTiming, Selection
from cnnc.runtime.cuda.target import is_cuda
from cnnc.runtime.kernel import Target


def _refusal(name: str, thing: Any) -> str | None:
    rules = [rule for table in thing.values() for rule in table] if isinstance(thing, Mapping) else [None]
    fits = all(isinstance(rule, (LoweringRule, TiledRule)) for rule in rules)
    return None if fits else "it is no mapping of ops to tuples of LoweringRule and TiledRule"


Rules = Mapping[str, tuple[Rule, ...]]

EXTENSIONS: ExtensionPoint[Rules] = ExtensionPoint("cnnc.lowering_rules", "table of lowering rules", _refusal)
GPU_EXTENSIONS: ExtensionPoint[Rules] = ExtensionPoint("cnnc.gpu_lowering_rules", "table of GPU rules", _refusal)
"""Rules of other packages, by any name: tables of ops. They are asked before cnnc's own, in the order of the names."""


def rules_of(target: Target) -> Rules:
    """Op -> rules in order of preference; the host rule stands behind all of them.

    Raises:
        ExtensionError: the package that offers rules is broken.
    """
    own, added = (cuda.RULES, GPU_EXTENSIONS.all()) if is_cuda(target) else (cpu_rules.RULES, EXTENSIONS.all())
    return joined(*added.values(), own) if added else own


def lower(
    graph: Graph, target: Target, selection: Selection = COST_MODEL, numerics: Numerics = DEFAULT_NUMERICS
) -> Lowered:
    """The program of a placed graph.

    Args:
        selection: which rule and tiling measured layers get.
        numerics: what kernels may do to the last bits.

    Raises:
        UnsupportedError: no rule takes a node; all such nodes are named.
    """
    builder = ProgramBuilder(graph, target, numerics, selection.machine)
    decisions: list[Decision] = []
    failed: list[str] = []
    for node in graph.nodes:
        if node.op == "dims":
            continue
        first = builder.step_count
        pinned = selection.pinned.get(node.output.name, "")
        decision = _lower_node(node, builder, selection.timing(node, target), pinned)
        decisions.append(replace(decision, steps=tuple(range(first, builder.step_count))))
        if not decision.chosen:
            reasons = "; ".join(f"{rule}: {reason}" for rule, reason in decision.refused)
            failed.append(f"{node.op} {node.name!r} ({reasons})")
            break
    if failed:
        raise UnsupportedError("no kernel computes " + ", ".join(failed))
    return builder.finish(decisions)


def _lower_node(node: Node, builder: ProgramBuilder, timing: LayerTiming | None, pinned: str) -> Decision:
    """Lower the node the best way that is offered, and say why the others were not taken."""
    offers = _offers(node, builder, pinned)
    if not offers.tiled:
        if offers.other is not None:
            offers.other.emit(node, builder)
        chosen = "" if offers.other is None else offers.other.name
        return Decision(node.output.name, node.name, node.op, node.loc, chosen, offers.refused)
    best = offers.best
    tiling, why = best.tiling, ""
    # Options or the rest of the network may rule out what was measured without them.
    measured = [
        offer
        for offer in offers.tiled
        if timing is not None
        and offer.rule.name == timing.best.rule
        and offer.rule.allows(node, builder, timing.best.tiling)
    ]
    if timing is not None and measured:
        best, tiling, why = measured[0], timing.best.tiling, "was measured to be faster"
    refused = list(offers.refused)
    for offer in offers.tiled:
        if offer is not best:
            refused.append((offer.rule.name, f"{best.rule.name} {why or _comparison(best, offer)}"))
    best.rule.emit(node, builder, tiling)
    ordered = sorted(offers.tiled, key=lambda offer: offer is not offers.best)
    candidates = tuple(Candidate(offer.rule.name, offer.tiling, offer.cost) for offer in ordered)
    decided = timing if measured else None
    return Decision(node.output.name, node.name, node.op, node.loc, best.rule.name, tuple(refused), decided, candidates)


def _comparison(best: Offer, other: Offer) -> str:
    """Why ``best`` is taken and not ``other``, which follows the name of ``best``."""
    share = f"is estimated to take {best.cost / max(other.cost, 1.0):.2f} of its time"
    if best.is_insisted_on or other.cost >= best.cost:
        return share
    return f"{share}, too small a gain for another kernel"


def _offers(node: Node, builder: ProgramBuilder, pinned: str) -> Offers:
    """What the rules say to the node; ``pinned`` is the only one that is asked, "" asks all."""
    rules = rules_of(builder.target).get(node.op, ())
    if pinned:
        return offers_for(node, [rule for rule in (*rules, HOST) if rule.name == pinned], builder)
    fresh = builder.unknown_sizes(node)
    if not fresh:
        return offers_for(node, (*rules, HOST), builder)
    # Only a host step can tell the planner how large its result came out.
    reason = f"its result has a size that only values decide ({fresh[0]})"
    offers = offers_for(node, (HOST,), builder)
    return replace(offers, refused=(*((rule.name, reason) for rule in rules), *offers.refused))
