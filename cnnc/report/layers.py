"""The rows of the page's table: every step of the program with what is known of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from cnnc.compiled_model import CompiledModel
from cnnc.dims import Dim, evaluate, symbols
from cnnc.explanation import KernelCandidate, NodeExplanation, RefusedKernel, explain
from cnnc.explanation.step_bytes import StepBytes
from cnnc.ir import Node
from cnnc.ir.name_groups import group_of
from cnnc.ir.text import type_text
from cnnc.lower.density import layer_density
from cnnc.report.facts import IntegerFact, LayerFact, NumericError, SparsityFact
from cnnc.report.interning import GraphTable, Interned
from cnnc.report.machine import Roof
from cnnc.runtime.kernel import Variant
from cnnc.runtime.plan import Plan, Segment
from cnnc.runtime.program import KernelStep, Step

HOST = "host"
COPY = "copy to an output"


@dataclass(frozen=True, slots=True)
class Observations:
    """What was found out about steps besides compiling them, by the number of the step."""

    seconds: Mapping[int, float] = field(default_factory=dict)
    moved: Mapping[int, StepBytes] = field(default_factory=dict)
    numeric: Mapping[int, NumericError] = field(default_factory=dict)
    integer: Mapping[int, IntegerFact] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Origin:
    """The node that a step computes, and whether it is the step that stands for the node."""

    node: Node
    explained: NodeExplanation
    is_main: bool


def layer_facts(
    compiled: CompiledModel,
    table: GraphTable,
    sizes: Mapping[str, int],
    plan: Plan | None,
    roof: Roof,
    seen: Observations,
) -> tuple[tuple[LayerFact, ...], tuple[RefusedKernel, ...]]:
    """One fact for every step, and the refusals that they refer to.

    Args:
        sizes: of the symbols of input shapes.
        plan: for these sizes; None where there is none.
    """
    rows = _Rows(compiled, table, sizes, plan, roof, seen)
    return tuple(rows.rows()), rows.refused.items


class _Rows:
    def __init__(
        self,
        compiled: CompiledModel,
        table: GraphTable,
        sizes: Mapping[str, int],
        plan: Plan | None,
        roof: Roof,
        seen: Observations,
    ) -> None:
        self._compiled, self._table, self._roof, self._seen = compiled, table, roof, seen
        # Sizes that the model was not made for give numbers that mean nothing.
        self._sizes = {} if plan is None else sizes
        self.refused: Interned[RefusedKernel] = Interned()
        self._planned = _planned_variants(plan)
        self._origins = dict(_origins(compiled))

    def rows(self) -> Iterator[LayerFact]:
        """In the order of the program."""
        for number, step in enumerate(self._compiled.lowered.program.steps):
            yield self._row(number, step, self._origins.get(number))

    def _row(self, number: int, step: Step, origin: _Origin | None) -> LayerFact:
        node = None if origin is None else origin.node
        name = step.label if node is None else node.name
        rivals, refused, sparsity = self._of_node(origin)
        macs = self._sized(step.macs) if isinstance(step, KernelStep) else 0
        moved = self._seen.moved.get(number)
        roof_seconds, bound = self._roof_of(step, macs, moved)
        chosen = COPY if origin is None else origin.explained.kernel
        return LayerFact(
            step=number,
            node=None if node is None else self._table.node(node),
            name=name,
            op=step.op,
            origins=() if node is None else node.loc,
            group=group_of(name),
            output_type=type_text(node.output.type) if node is not None and node.outputs else "",
            kernel=chosen if isinstance(step, KernelStep) else HOST,
            variants=tuple(map(str, self._variants(number, step))),
            seconds=self._seen.seconds.get(number),
            predicted_seconds=next((each.predicted_seconds for each in rivals if each.is_chosen), None),
            macs=macs,
            read_bytes=None if moved is None else moved.read,
            written_bytes=None if moved is None else moved.written,
            weight_bytes=None if moved is None else moved.weights,
            roof_seconds=roof_seconds,
            bound=bound,
            rivals=rivals,
            refused=refused,
            numeric=self._seen.numeric.get(number),
            integer=self._seen.integer.get(number),
            sparsity=sparsity,
        )

    def _of_node(
        self, origin: _Origin | None
    ) -> tuple[tuple[KernelCandidate, ...], tuple[int, ...], SparsityFact | None]:
        """What is known of the node as a whole, on the step that stands for it."""
        if origin is None or not origin.is_main:
            return (), (), None
        explained = origin.explained
        refused = tuple(map(self.refused.index, explained.refused))
        return explained.candidates, refused, _sparsity(origin.node, explained)

    def _roof_of(self, step: Step, macs: int | None, moved: StepBytes | None) -> tuple[float | None, str]:
        """Seconds, and what they are bound by; none for steps without a known size, and for products of integers or of
        reduced precision, whose rate is not the machine's of float32."""
        is_integer = step.op.startswith("q_linear") or step.op.endswith("_integer")
        has_other_rate = is_integer or self._compiled.options.precision != "f32"
        if macs is None or moved is None or (macs and has_other_rate):
            return None, ""
        computing, moving = self._roof.seconds(macs, moved)
        return max(computing, moving), "compute" if computing >= moving else "memory"

    def _variants(self, number: int, step: Step) -> tuple[Variant, ...]:
        if not isinstance(step, KernelStep):
            return ()
        return self._planned.get(number) or tuple(call.variant for call in step.choices[-1].calls)

    def _sized(self, dim: Dim) -> int | None:
        return evaluate(dim, self._sizes) if symbols(dim) <= self._sizes.keys() else None


def _origins(compiled: CompiledModel) -> Iterator[tuple[int, _Origin]]:
    steps = compiled.lowered.program.steps
    nodes = {node.output.name: node for node in compiled.graph.nodes if node.outputs}
    for explained in explain(compiled).nodes:
        own = [number for number in explained.steps if steps[number].op == explained.op]
        main = (own or [*explained.steps, -1])[0]
        for number in explained.steps:
            yield number, _Origin(nodes[explained.value], explained, number == main)


def _planned_variants(plan: Plan | None) -> Mapping[int, tuple[Variant, ...]]:
    found: dict[int, tuple[Variant, ...]] = {}
    for action in () if plan is None else plan.actions:
        if isinstance(action, Segment):
            for instruction in action.instructions:
                found[instruction.step] = (*found.get(instruction.step, ()), instruction.variant)
    return found


def _sparsity(node: Node, explained: NodeExplanation) -> SparsityFact | None:
    if explained.pruned is not None:
        pruned = explained.pruned
        return SparsityFact(pruned.density, pruned.pattern, pruned.break_even, pruned.dense_kernel)
    zeros = layer_density(node)
    return None if zeros is None else SparsityFact(zeros.density, zeros.pattern, None, "")
