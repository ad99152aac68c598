"""What checks look at: the model as it was imported, as it is compiled, and what its layers are predicted to cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from cnnc.compiler import CompiledModel, compile_graph
from cnnc.dims import Dim, evaluate, product, symbols
from cnnc.doctor.samples import TensorStatistics
from cnnc.doctor.sizes import with_sizes
from cnnc.errors import InputError, ModelError
from cnnc.explanation import Explanation, NodeExplanation, explain
from cnnc.explanation.open_sizes import open_sizes
from cnnc.explanation.step_bytes import StepBytes, step_bytes
from cnnc.ir import Graph, Node, Value, clone_graph
from cnnc.lower import Decision, ProgramBuilder, lower
from cnnc.lower.candidates import tiled_rules
from cnnc.lower.cost import predicted_seconds
from cnnc.lower.density import LayerWeight, layer_weight
from cnnc.lower.selection import Selection
from cnnc.options import Options
from cnnc.runtime.cpu.machine import CALL_SECONDS
from cnnc.runtime.program import KernelStep

FLOPS_PER_MAC = 2


@dataclass(frozen=True, slots=True)
class LayerCost:
    """What a node of the program is predicted to take on one core, at typical sizes.

    Attributes:
        seconds: as the cost model says, or as the roofline allows where it has no estimate.
        computing, moving: seconds of the multiply-adds alone, and of the bytes.
        weight_bytes: of constants.
        macs: multiply-accumulates.
    """

    seconds: float
    computing: float
    moving: float
    weight_bytes: int
    macs: int


@dataclass
class Patient:
    """A model under examination.

    Args:
        source: the imported graph; it is not changed.
        options: how it is compiled.
        samples: statistics of its tensors on sample data by value name, or None.
    """

    source: Graph
    options: Options
    samples: Mapping[str, TensorStatistics] | None = None

    @cached_property
    def compiled(self) -> CompiledModel:
        """The program; no kernel of it is compiled to machine code."""
        return compile_graph(clone_graph(self.source), self.options)

    @cached_property
    def explanation(self) -> Explanation:
        """Why the program is what it is."""
        return explain(self.compiled)

    @cached_property
    def sizes(self) -> dict[str, int]:
        """What is taken for open sizes."""
        return open_sizes(self.source)

    @cached_property
    def fixed(self) -> Patient | None:
        """The model with numbers for its open sizes; None where it has none, or these are no sizes for it."""
        if not self.sizes or self.source.stage == "placed":
            return None
        try:
            fixed = Patient(with_sizes(self.source, self.sizes), self.options)
            return fixed if fixed.nodes else None
        except ModelError:
            return None

    @cached_property
    def nodes(self) -> list[tuple[Node, Decision, NodeExplanation]]:
        """The nodes of the program in order."""
        by_value = {node.output.name: node for node in self.compiled.graph.nodes}
        pairs = zip(self.compiled.lowered.decisions, self.explanation.nodes, strict=True)
        return [(by_value[decision.value], decision, told) for decision, told in pairs]

    @cached_property
    def costs(self) -> dict[str, LayerCost]:
        """By first output of the node; without nodes whose sizes only values decide, and without host steps."""
        program = self.compiled.lowered.program
        try:
            moved = step_bytes(program, self.sizes)
        except InputError:
            return {}
        found = {}
        for _, decision, told in self.nodes:
            steps = [step for number in decision.steps if isinstance(step := program.steps[number], KernelStep)]
            known = [moved[number] for number in decision.steps if number in moved]
            if not steps or not known or any(not symbols(step.macs) <= self.sizes.keys() for step in steps):
                continue
            macs = sum(evaluate(step.macs, self.sizes) for step in steps)
            predicted = self._predicted.get(told.value)
            found[decision.value] = self._cost(macs, sum(known, StepBytes()), predicted)
        return found

    @cached_property
    def _predicted(self) -> dict[str, float]:
        """Seconds of nodes whose kernel has tilings. The cost model takes other numbers for open maps than ours: there
        the kernels of this program are asked about the graph with fixed sizes."""
        has_open_maps = any(symbols(dim) for value in self.source.inputs for dim in value.type.shape[1:])
        if self.fixed is None or not has_open_maps:
            return {told.value: told.chosen.predicted_seconds for _, _, told in self.nodes if told.chosen is not None}
        graph, lowered, target = self.fixed.compiled.graph, self.compiled.lowered, self.compiled.target
        rules = tiled_rules(target)
        known = {told.value for _, _, told in self.fixed.nodes}
        pinned = {told.value: told.kernel for _, _, told in self.nodes if told.kernel in rules and told.value in known}
        decisions = lower(graph, target, Selection(machine=lowered.machine, pinned=pinned), lowered.numerics).decisions
        builder = ProgramBuilder(graph, target, lowered.numerics, lowered.machine)
        by_value = {node.output.name: node for node in graph.nodes}
        return {
            item.value: predicted_seconds(
                by_value[item.value], item.candidates[0].cost, builder, rules[item.chosen].reads_weights
            )
            for item in decisions
            if item.candidates and item.value in pinned
        }

    def _cost(self, macs: int, moved: StepBytes, predicted: float | None) -> LayerCost:
        machine = self.compiled.lowered.machine
        activations = moved.read + moved.written
        constants = sum(array.nbytes for array in self.compiled.lowered.constants)
        moving = activations / machine.bandwidth(activations) + moved.weights / machine.bandwidth(constants)
        computing = FLOPS_PER_MAC * macs / machine.flops
        seconds = max(computing, moving) + CALL_SECONDS if predicted is None else predicted
        return LayerCost(seconds, computing, moving, moved.weights, macs)

    @property
    def total_seconds(self) -> float:
        """Predicted for all kernel steps."""
        return sum(cost.seconds for cost in self.costs.values())

    def share(self, seconds: float) -> float:
        """Of the predicted time."""
        return seconds / self.total_seconds if self.total_seconds else 0.0

    def moving_seconds(self, *values: Value) -> float:
        """To read or write these tensors once."""
        size = sum(self.bytes_of(value) for value in values)
        return size / self.compiled.lowered.machine.bandwidth(size)

    def bytes_of(self, value: Value) -> int:
        """At typical sizes; 0 where only values decide."""
        return self.sized(product(value.type.shape) * value.type.dtype.size)

    def sized(self, dim: Dim) -> int:
        """A number for an expression; 0 where only values decide."""
        return evaluate(dim, self.sizes) if symbols(dim) <= self.sizes.keys() else 0

    @cached_property
    def weights(self) -> list[tuple[Node, LayerWeight]]:
        """Layers of the imported graph with a constant weight; each weight once."""
        found: dict[str, tuple[Node, LayerWeight]] = {}
        for node in self.source.nodes:
            weight = layer_weight(node)
            if weight is not None:
                found.setdefault(weight.value.name, (node, weight))
        return list(found.values())

    def told_cost(self, seconds: float) -> str:
        """Predicted seconds as text, with their share of the whole."""
        return f"{duration(seconds)} of {duration(self.total_seconds)} predicted ({self.share(seconds):.1%})"


def duration(seconds: float) -> str:
    """In the unit that suits: 12.3 us, 4.5 ms."""
    if seconds < 1e-3:
        return f"{seconds * 1e6:.1f} us"
    return f"{seconds * 1e3:.2f} ms" if seconds < 1 else f"{seconds:.2f} s"
