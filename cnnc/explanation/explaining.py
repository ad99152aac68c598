"""``explain``: the facts about a compiled model, gathered from the notes of passes and the decisions of lowering."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from cnnc.errors import InputError
from cnnc.explanation.conversions import remaining_conversions
from cnnc.explanation.facts import (
    Explanation,
    KernelCandidate,
    NodeExplanation,
    Origin,
    RefusedKernel,
    RefusedRewrite,
    Rewrite,
)
from cnnc.explanation.host_copies import host_copies
from cnnc.explanation.open_sizes import open_sizes
from cnnc.explanation.plan_facts import PlanFacts, plan_facts
from cnnc.explanation.pruned_layers import pruned_layers
from cnnc.ir import Node
from cnnc.lower import Decision, ProgramBuilder
from cnnc.lower.candidates import tiled_rules
from cnnc.lower.cost import predicted_seconds
from cnnc.runtime.cuda.target import is_cuda

if TYPE_CHECKING:
    from cnnc.compiler import CompiledModel


def explain(compiled: CompiledModel, wanted: str = "") -> Explanation:
    """What the compiler did with each node of a model, and what it refused to do, with reasons.

    Args:
        wanted: only nodes whose name, op or origins contain this. Passes, plan and copies are those of the whole model.
    """
    graph, program = compiled.graph, compiled.lowered.program
    nodes = _Nodes(compiled, wanted).explained()
    sizes = open_sizes(graph)
    plan, refused = _plan(compiled, sizes)
    return Explanation(
        name=graph.name,
        level=compiled.options.level,
        target=compiled.options.target,
        sizes=sizes,
        plan=plan,
        plan_refused=refused,
        nodes=nodes,
        passes=compiled.history.reports,
        rewrites=_rewrites(compiled),
        refused_rewrites=tuple(each for each in _refused_rewrites(compiled) if wanted in each.node),
        conversions=tuple(
            conversion
            for conversion in remaining_conversions(graph, compiled.notes)
            if wanted in conversion.node or wanted in conversion.op
        ),
        host_copies=host_copies(program, sizes) if is_cuda(compiled.target) else (),
    )


def _plan(compiled: CompiledModel, sizes: dict[str, int]) -> tuple[PlanFacts | None, str]:
    try:
        return plan_facts(compiled.lowered.program, sizes), ""
    except InputError as error:
        return None, error.what


def _rewrites(compiled: CompiledModel) -> tuple[Rewrite, ...]:
    return tuple(Rewrite(rule, loc) for rule, loc in compiled.notes.fired)


def _refused_rewrites(compiled: CompiledModel) -> tuple[RefusedRewrite, ...]:
    """A rule may try several operands of a node: what it did in the end outweighs what it refused on the way."""
    notes = compiled.notes
    succeeded = {(rule, origin) for rule, loc in notes.fired for origin in loc}
    return tuple(
        RefusedRewrite(refusal.rule, refusal.node, refusal.op, refusal.reason)
        for refusal in notes.refusals.values()
        if (refusal.rule, refusal.node) not in succeeded
    )


def _misses(compiled: CompiledModel) -> tuple[RefusedRewrite, ...]:
    """A rule may have several patterns: what it did, or refused, outweighs that another did not fit."""
    notes = compiled.notes
    known = {(rule, origin) for rule, loc in notes.fired for origin in loc} | notes.refusals.keys()
    return tuple(
        RefusedRewrite(miss.rule, miss.node, miss.op, miss.reason)
        for key, miss in notes.misses.items()
        if key not in known
    )


class _Nodes:
    """The nodes of a compiled graph beside the decisions about them, which stand in the same order."""

    def __init__(self, compiled: CompiledModel, wanted: str) -> None:
        self._compiled = compiled
        lowered = compiled.lowered
        self._builder = ProgramBuilder(compiled.graph, compiled.target, lowered.numerics, lowered.machine)
        self._rules = tiled_rules(compiled.target)
        by_value = {node.output.name: node for node in compiled.graph.nodes}
        self._pairs = [
            (by_value[decision.value], decision)
            for decision in lowered.decisions
            if wanted in decision.node or wanted in decision.op or any(wanted in origin for origin in decision.loc)
        ]
        self._rewrites = _rewrites(compiled)
        self._done = _by_origin(self._rewrites)
        self._owners = _owners(compiled.graph.nodes)
        self._refused = self._by_owner(_refused_rewrites(compiled))
        self._misses = self._by_owner(_misses(compiled))

    def explained(self) -> tuple[NodeExplanation, ...]:
        pruned = pruned_layers(self._compiled, {decision.value for _, decision in self._pairs})
        ops = self._compiled.history.source_ops
        return tuple(
            NodeExplanation(
                value=decision.value,
                node=decision.node,
                op=decision.op,
                type=str(node.output.type),
                origins=tuple(Origin(name, ops.get(name, "")) for name in decision.loc),
                kernel=decision.chosen,
                refused=tuple(RefusedKernel(rule, reason) for rule, reason in decision.refused),
                candidates=self._candidates(node, decision),
                rewrites=self._rewrites_of(decision),
                refused_rewrites=tuple(self._refused.get(decision.value, ())),
                misses=tuple(self._misses.get(decision.value, ())),
                pruned=pruned.get(decision.value),
                steps=decision.steps,
            )
            for node, decision in self._pairs
        )

    def _rewrites_of(self, decision: Decision) -> tuple[Rewrite, ...]:
        """What was done to any of its origins, in order."""
        numbers = {number for name in decision.loc for number in self._done.get(name, ())}
        return tuple(self._rewrites[number] for number in sorted(numbers))

    def _candidates(self, node: Node, decision: Decision) -> tuple[KernelCandidate, ...]:
        timing = decision.timing
        found = decision.candidates if timing is None else timing.candidates
        chosen = 0 if timing is None else timing.chosen
        return tuple(
            KernelCandidate(
                candidate.rule,
                candidate.tiling_text,
                predicted_seconds(node, candidate.cost, self._builder, self._rules[candidate.rule].reads_weights),
                None if timing is None else timing.seconds[index],
                index == chosen,
            )
            for index, candidate in enumerate(found)
        )

    def _by_owner(self, refusals: Iterable[RefusedRewrite]) -> dict[str, list[RefusedRewrite]]:
        found: dict[str, list[RefusedRewrite]] = {}
        for refusal in refusals:
            found.setdefault(self._owner(refusal), []).append(refusal)
        return found

    def _owner(self, refusal: RefusedRewrite) -> str:
        """The node that a refusal is about now: of those with that origin the one of the same op, else the first."""
        owners = self._owners.get(refusal.node, [])
        alike = [node for node in owners if node.op == refusal.op]
        return next((node.output.name for node in (*alike, *owners)), "")


def _by_origin(rewrites: Sequence[Rewrite]) -> dict[str, list[int]]:
    """Numbers of the rewrites that were done to a node of the source model."""
    found: dict[str, list[int]] = {}
    for number, rewrite in enumerate(rewrites):
        for name in rewrite.origins:
            found.setdefault(name, []).append(number)
    return found


def _owners(nodes: Iterable[Node]) -> dict[str, list[Node]]:
    found: dict[str, list[Node]] = {}
    for node in nodes:
        for name in node.loc or (node.name,):
            found.setdefault(name, []).append(node)
    return found
