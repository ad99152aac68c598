"""Planted faults: passes with a wrong rewrite, kernels that compute something else, stopwatches that lie."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cnnc.ir import Graph, Node, Notes
from cnnc.lower import Lowered, ProgramBuilder, cpu_rules
from cnnc.lower.rules import Rule
from cnnc.ops import OPS
from cnnc.ops.activation import Activation
from cnnc.ops.linear import GemmAttrs
from cnnc.passes import Pass, pipeline
from cnnc.runtime.kernel import Variant
from cnnc.types import DType, TensorType


@dataclass(frozen=True)
class ScaleConvolutions(Pass):
    """Multiplies the weights of convolutions, one a rewrite: all by 1 but those of the ``wrong``-th, from 1."""

    name: ClassVar[str] = "scale-convolutions"
    numerics: ClassVar[str] = "rounding"
    wrong: int = 0

    def run(self, graph: Graph, notes: Notes) -> bool:
        count = 0
        for node in [node for node in graph.nodes if node.op == "conv"]:
            if notes.is_spent:
                break
            count += 1
            weight = node.input(1).array
            assert weight is not None
            factor = np.float32(1.5 if count == self.wrong else 1.0)
            graph.set_input(node, 1, graph.add_constant(weight * factor, f"scaled_{count}"))
            notes.fire("scale", node.loc)
        graph.remove_unused_constants()
        return count > 0


@dataclass(frozen=True)
class BreakTypes(Pass):
    """Leaves a graph behind that the verifier refuses."""

    name: ClassVar[str] = "break-types"

    def run(self, graph: Graph, notes: Notes) -> bool:
        node = next(node for node in graph.nodes if node.op == "conv")
        node.output.type = dataclasses.replace(node.output.type, shape=(1, 2, 3, 4))
        return True


@dataclass(frozen=True)
class NegateOnce(Pass):
    """Negates the first weight all at once, without a rewrite that is counted."""

    name: ClassVar[str] = "negate-once"

    def run(self, graph: Graph, notes: Notes) -> bool:
        weight = next(node for node in graph.nodes if node.op == "conv").input(1)
        assert weight.array is not None
        graph.set_constant(weight, -weight.array)
        return True


def pipeline_with(extra: Pass, behind: str = "fold-batch-norm", level: int = 2) -> tuple[Pass, ...]:
    """The level's pipeline with a pass more."""
    passes: list[Pass] = []
    for item in pipeline(level):
        passes.append(item)
        if item.name == behind:
            passes.append(extra)
    return tuple(passes)


def rules_that_forget_activations(op: str, origin: str) -> Mapping[str, tuple[Rule, ...]]:
    """The rules of the CPU, of which those of ``op`` leave out the activation of the node from ``origin``."""

    def forgetful(rule: Rule) -> Rule:
        def emit(node: Node, builder: ProgramBuilder, *tiling: object) -> None:
            attrs = node.attrs
            if origin in node.loc:
                node.attrs = dataclasses.replace(attrs, activation=Activation())  # type: ignore[call-arg]
            try:
                rule.emit(node, builder, *tiling)
            finally:
                node.attrs = attrs

        return dataclasses.replace(rule, emit=emit)

    return {**cpu_rules.RULES, op: tuple(map(forgetful, cpu_rules.RULES[op]))}


def dense_layers(count: int) -> Graph:
    """Matrix products with an activation each: few kernels, which compile quickly."""
    graph, rng = Graph(OPS, "dense"), np.random.default_rng(0)
    x = graph.add_input("x", TensorType((2, 16), DType.F32))
    for index in range(count):
        weight = graph.add_constant(rng.standard_normal((16, 16)).astype(np.float32), f"w{index}")
        attrs = GemmAttrs(activation=Activation("relu"))
        x = graph.add_node("gemm", [x, weight], attrs, loc=(f"dense{index}",)).output
    graph.set_outputs([x], ["y"])
    return graph


class ToldTimes:
    """A stopwatch that takes a program's time from a function of its decisions, with noise that all programs share."""

    def __init__(self, seconds: Callable[[Lowered], float]) -> None:
        self.seconds = seconds
        self.measured = 0

    def compile(self, variants: Iterable[Variant]) -> None:
        pass

    def rounds(self, programs: Sequence[Lowered]) -> list[list[float]]:
        raise NotImplementedError("layers alone are not measured")

    def model_rounds(self, programs: Sequence[Lowered]) -> list[list[float]]:
        self.measured += 1
        return [[drift * self.seconds(program) for program in programs] for drift in _drifts()]


def _drifts() -> Iterator[float]:
    return iter((1.0, 1.4, 0.9, 1.1, 1.3, 1.0, 1.2, 0.95, 1.05))
