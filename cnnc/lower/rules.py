"""Lowering rules: how one op becomes steps, and why a rule does not apply.

Rules of an op are tried in order, and the first whose ``supports`` returns None is taken. Rules with tilings compete: a
later one is taken where its estimated cost is clearly lower, or where it was measured to be faster. Every refusal is
kept: ``cnnc explain`` prints it. The host rule is last and takes any op in plain layout.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from cnnc.ir import Node
from cnnc.lower.builder import ProgramBuilder

Supports = Callable[[Node, ProgramBuilder], str | None]
"""None when a rule takes the node, else one sentence why not."""

T = TypeVar("T")

CLEARLY = 0.95
"""Share of the preferred rule's estimated cost up to which another rule is taken: estimates are no better than that."""

LEAST_GAIN = 30_000
"""Vector multiply-adds, some 10 microseconds, that another rule must save: it is one more kernel to compile."""


@dataclass(frozen=True)
class LoweringRule:
    """One way to lower a node.

    Args:
        name: what ``explain`` shows, usually the kernel's name.
        emit: adds the steps and places every output.
    """

    name: str
    supports: Supports
    emit: Callable[[Node, ProgramBuilder], None]


@dataclass(frozen=True)
class TiledRule(Generic[T]):
    """A way to lower a node onto a kernel that takes several tilings.

    Args:
        name: the kernel's name.
        kind: the class of its tilings, a frozen dataclass of ints.
        tilings: up to so many tilings for a node, with their estimated costs; the first is the one to take unmeasured.
        emit: adds the steps, with the given tiling, and places every output.
        insists: whether it is to be taken whatever the others cost, because an option says so.
        allows: whether a tiling that was measured for the layer alone may stand in this program.
        reads_weights: whether costs include the reading of the weights. The rules of an op that compete all say the
            same.
    """

    name: str
    kind: type[T]
    supports: Supports
    tilings: Callable[[Node, ProgramBuilder, int], Sequence[tuple[float, T]]]
    emit: Callable[[Node, ProgramBuilder, T], None]
    insists: Callable[[ProgramBuilder], bool] = lambda builder: False
    allows: Callable[[Node, ProgramBuilder, T], bool] = lambda node, builder, tiling: True
    reads_weights: bool = False


Rule = LoweringRule | TiledRule[Any]


def joined(*tables: Mapping[str, tuple[Rule, ...]]) -> dict[str, tuple[Rule, ...]]:
    """One table; where several have an op, the rules of earlier tables come first."""
    rules: dict[str, tuple[Rule, ...]] = {}
    for table in tables:
        for op, more in table.items():
            rules[op] = (*rules.get(op, ()), *more)
    return rules


def host_supports(node: Node, builder: ProgramBuilder) -> str | None:
    """The host takes every op whose operands lie in plain layout."""
    for value in (*node.inputs, *node.outputs):
        if value is not None and value.type.layout.is_blocked:
            return f"%{value.name} is in blocked layout"
    return None


@dataclass(frozen=True, slots=True)
class Offer:
    """A rule that takes a node, with the tiling that it would use unmeasured and its cost in vector multiply-adds."""

    rule: TiledRule[Any]
    tiling: Any
    cost: float
    is_insisted_on: bool = False


@dataclass(frozen=True, slots=True)
class Offers:
    """What the rules of an op say to a node.

    Attributes:
        tiled: rules with tilings that take it, in order of preference; none where another rule is preferred to them.
        other: the first rule without tilings that takes it, if ``tiled`` is empty.
        refused: (rule, reason) of those that do not, as far as they were asked.
    """

    tiled: tuple[Offer, ...]
    other: LoweringRule | None
    refused: tuple[tuple[str, str], ...]

    @property
    def best(self) -> Offer:
        """The first of ``tiled``, unless another is estimated to be clearly faster."""
        for offer in self.tiled:
            if offer.is_insisted_on:
                return offer
        first, cheapest = self.tiled[0], min(self.tiled, key=lambda offer: offer.cost)
        is_worth_it = cheapest.cost <= CLEARLY * first.cost and first.cost - cheapest.cost >= LEAST_GAIN
        return cheapest if is_worth_it else first


def offers_for(node: Node, rules: Sequence[Rule], builder: ProgramBuilder) -> Offers:
    """Ask the rules in order, up to the first without tilings that takes the node."""
    tiled: list[Offer] = []
    refused: list[tuple[str, str]] = []
    for rule in rules:
        reason = rule.supports(node, builder)
        if reason is not None:
            refused.append((rule.name, reason))
            continue
        if isinstance(rule, LoweringRule):
            return Offers(tuple(tiled), None if tiled else rule, tuple(refused))
        [(cost, tiling)] = rule.tilings(node, builder, 1)
        tiled.append(Offer(rule, tiling, cost, rule.insists(builder)))
    return Offers(tuple(tiled), None, tuple(refused))


HOST = LoweringRule("host", host_supports, lambda node, builder: builder.host_step(node))
