"""Kernel selection: every op's rules in order of preference, and the loop that applies them."""

from __future__ import annotations

from collections.abc import Mapping

from cnnc.errors import UnsupportedError
from cnnc.ir import Graph, Node
from cnnc.lower import (
    conv,
    conv_transpose,
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
from cnnc.lower.rules import HOST, LoweringRule
from cnnc.runtime.kernel import Target


def _joined(*tables: Mapping[str, tuple[LoweringRule, ...]]) -> dict[str, tuple[LoweringRule, ...]]:
    """One table; where several have an op, the rules of earlier tables come first."""
    rules: dict[str, tuple[LoweringRule, ...]] = {}
    for table in tables:
        for op, more in table.items():
            rules[op] = (*rules.get(op, ()), *more)
    return rules


RULES: Mapping[str, tuple[LoweringRule, ...]] = _joined(
    views.RULES,
    layouts.RULES,
    movement.RULES,
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


def lower(graph: Graph, target: Target) -> Lowered:
    """The program of a placed graph.

    Raises:
        UnsupportedError: no rule takes a node; all such nodes are named.
    """
    builder = ProgramBuilder(graph, target)
    decisions: list[Decision] = []
    failed: list[str] = []
    for node in graph.nodes:
        if node.op == "dims":
            continue
        decision = _lower_node(node, builder)
        decisions.append(decision)
        if not decision.chosen:
            reasons = "; ".join(f"{rule}: {reason}" for rule, reason in decision.refused)
            failed.append(f"{node.op} {node.name!r} ({reasons})")
            break
    if failed:
        raise UnsupportedError("no kernel computes " + ", ".join(failed))
    return builder.finish(decisions)


def _lower_node(node: Node, builder: ProgramBuilder) -> Decision:
    refused: list[tuple[str, str]] = []
    fresh = builder.unknown_sizes(node)
    for rule in (*RULES.get(node.op, ()), HOST):
        # Only a host step can tell the planner how large its result came out.
        reason = f"its result has a size that only values decide ({fresh[0]})" if fresh and rule is not HOST else None
        reason = reason or rule.supports(node, builder)
        if reason is None:
            rule.emit(node, builder)
            return Decision(node.name, node.op, node.loc, rule.name, tuple(refused))
        refused.append((rule.name, reason))
    return Decision(node.name, node.op, node.loc, "", tuple(refused))
