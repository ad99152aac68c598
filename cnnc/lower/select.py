"""Kernel selection: every op's rules in order of preference, and the loop that applies them."""

from __future__ import annotations

from collections.abc import Mapping

from cnnc.errors import UnsupportedError
from cnnc.ir import Graph, Node
from cnnc.lower import (
    conv,
    conv_grouped,
    conv_plain_input,
    conv_transpose,
    conv_window,
    conv_winograd,
    elementwise,
    layouts,
    matrix,
    movement,
    normalization,
    pool,
    reduction,
    resize,
    views,
)
from cnnc.lower.builder import Decision, Lowered, ProgramBuilder
from cnnc.lower.numerics import DEFAULT_NUMERICS, Numerics
from cnnc.lower.rules import HOST, Rule, TiledRule
from cnnc.lower.selection import COST_MODEL, Candidate, LayerTiming, Selection
from cnnc.runtime.kernel import Target


def _joined(*tables: Mapping[str, tuple[Rule, ...]]) -> dict[str, tuple[Rule, ...]]:
    """One table; where several have an op, the rules of earlier tables come first."""
    rules: dict[str, tuple[Rule, ...]] = {}
    for table in tables:
        for op, more in table.items():
            rules[op] = (*rules.get(op, ()), *more)
    return rules


RULES: Mapping[str, tuple[Rule, ...]] = _joined(
    views.RULES,
    layouts.RULES,
    movement.RULES,
    conv_plain_input.RULES,
    conv_winograd.RULES,
    conv_window.RULES,
    conv_grouped.RULES,
    conv.RULES,
    conv_transpose.RULES,
    matrix.RULES,
    elementwise.RULES,
    pool.RULES,
    reduction.RULES,
    normalization.RULES,
    resize.RULES,
)
"""Op -> rules in order of preference; the host rule stands behind all of them."""


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
    builder = ProgramBuilder(graph, target, numerics)
    decisions: list[Decision] = []
    failed: list[str] = []
    for node in graph.nodes:
        if node.op == "dims":
            continue
        decision = _lower_node(node, builder, selection.timing(node, target))
        decisions.append(decision)
        if not decision.chosen:
            reasons = "; ".join(f"{rule}: {reason}" for rule, reason in decision.refused)
            failed.append(f"{node.op} {node.name!r} ({reasons})")
            break
    if failed:
        raise UnsupportedError("no kernel computes " + ", ".join(failed))
    return builder.finish(decisions)


def _lower_node(node: Node, builder: ProgramBuilder, timing: LayerTiming | None) -> Decision:
    refused: list[tuple[str, str]] = []
    fresh = builder.unknown_sizes(node)
    measured = None if fresh or timing is None or not _is_allowed(timing.best, node, builder) else timing
    for rule in (*RULES.get(node.op, ()), HOST):
        # Only a host step can tell the planner how large its result came out.
        reason = f"its result has a size that only values decide ({fresh[0]})" if fresh and rule is not HOST else None
        reason = reason or rule.supports(node, builder)
        if reason is None and measured is not None and rule.name != measured.best.rule:
            reason = f"{measured.best.rule} was measured to be faster"
        if reason is None:
            _emit(rule, node, builder, measured)
            return Decision(node.name, node.op, node.loc, rule.name, tuple(refused), measured)
        refused.append((rule.name, reason))
    return Decision(node.name, node.op, node.loc, "", tuple(refused), measured)


def _is_allowed(way: Candidate, node: Node, builder: ProgramBuilder) -> bool:
    """Whether a way that was measured for the layer alone may be taken in this program."""
    return any(
        isinstance(rule, TiledRule)
        and rule.name == way.rule
        and rule.supports(node, builder) is None
        and rule.allows(node, builder, way.tiling)
        for rule in RULES.get(node.op, ())
    )


def _emit(rule: Rule, node: Node, builder: ProgramBuilder, timing: LayerTiming | None) -> None:
    if not isinstance(rule, TiledRule):
        rule.emit(node, builder)
        return
    [(_, tiling)] = rule.tilings(node, builder, 1) if timing is None else [(0.0, timing.best.tiling)]
    rule.emit(node, builder, tiling)
