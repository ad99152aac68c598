"""The rewrite driver: applies a set of pattern rules over a graph until none fires.

A rule is a pattern and a function that describes the replacement on a ``Patch`` or says in a sentence why not. The
driver visits nodes in order, and visits again what a rewrite made, at most ``limit`` rewrites.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cnnc.fact_table import FactTable, Tabled
from cnnc.ir.graph import Graph
from cnnc.ir.node import Node
from cnnc.ir.patch import Patch
from cnnc.ir.pattern import Match, Miss, Op, match


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a rewrite that nearly fits was not done: node, its op at that time, and one sentence."""

    rule: str
    node: str
    op: str
    reason: str


@dataclass(repr=False)
class Notes(Tabled):
    """What passes did and refused, for ``cnnc explain``.

    ``misses`` are patterns that begin at a node and do not go on. ``budget`` bounds the number of rewrites in all; a
    pass asks ``is_spent`` before each one.
    """

    fired: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    refusals: dict[tuple[str, str], Refusal] = field(default_factory=dict)
    misses: dict[tuple[str, str], Refusal] = field(default_factory=dict)
    undone: list[tuple[str, str]] = field(default_factory=list)
    budget: int | None = None

    def fact_table(self) -> FactTable:
        """A row for each rule that did something, then one for each refusal."""
        done = Counter(rule for rule, _ in self.fired)
        rows = [(rule, "done", "", f"{count} times") for rule, count in done.items()]
        rows += [(refusal.rule, "refused", refusal.node, refusal.reason) for refusal in self.refusals.values()]
        rows += [(name, "undone", "", reason) for name, reason in self.undone]
        return FactTable(repr(self), ("rewrite", "", "node", ""), tuple(rows))

    def __repr__(self) -> str:
        undone = f", {len(self.undone)} passes undone" if self.undone else ""
        return f"Notes({len(self.fired)} rewrites, {len(self.refusals)} refused{undone})"

    @property
    def is_spent(self) -> bool:
        """Whether the budget allows no further rewrite."""
        return self.budget is not None and len(self.fired) >= self.budget

    def undo(self, name: str, reason: str) -> None:
        """A pass was rolled back."""
        self.undone.append((name, reason))

    def fire(self, rule: str, loc: tuple[str, ...]) -> None:
        """A rewrite happened. A refusal of a larger form of it at the same node still stands."""
        self.fired.append((rule, loc))

    def refuse(self, rule: str, node: Node, reason: str) -> None:
        """A rewrite did not happen; the last reason for a rule and node counts."""
        self.refusals[rule, node.name] = Refusal(rule, node.name, node.op, reason)

    def miss(self, rule: str, node: Node, reason: str) -> None:
        """A pattern began at a node and did not go on; the last reason for a rule and node counts."""
        self.misses[rule, node.name] = Refusal(rule, node.name, node.op, reason)


Apply = Callable[[Match, Patch], "str | None"]


@dataclass(frozen=True)
class Rule:
    """``apply`` fills the patch and returns None, or returns the reason for not firing."""

    name: str
    pattern: Op
    apply: Apply


def rewrite(graph: Graph, rules: Sequence[Rule], notes: Notes, *, limit: int | None = None) -> int:
    """Apply ``rules`` to a fixed point. Returns the number of rewrites.

    Each rule must make the graph smaller or the match impossible, or the driver would not end; it stops with the
    graph's size times 64 as a backstop.
    """
    done = 0
    backstop = 64 * (len(graph) + 16)
    bound = backstop if limit is None else min(limit, backstop)
    changed = True
    while changed and done < bound:
        changed = False
        for node in graph.nodes:
            while node.is_alive and done < bound and not notes.is_spent and _rewrite_node(graph, rules, notes, node):
                done += 1
                changed = True
    return done


def _rewrite_node(graph: Graph, rules: Sequence[Rule], notes: Notes, node: Node) -> bool:
    for rule in rules:
        found = match(graph, rule.pattern, node)
        if isinstance(found, Miss):
            if not found.structural:
                notes.refuse(rule.name, node, found.reason)
            elif found.begins:
                notes.miss(rule.name, node, found.reason)
            continue
        patch = Patch(graph, node)
        reason = rule.apply(found, patch)
        if reason is not None:
            notes.refuse(rule.name, node, reason)
            continue
        patch.apply()
        notes.fire(rule.name, found.loc)
        return True
    return False
