"""Small graphs for pass tests, and what every pass owes on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnc.dims import Dim, symbol
from cnnc.ir import Graph, Notes, Value
from cnnc.ops import OPS
from cnnc.passes import PassManager, parse_pipeline
from cnnc.types import DType, TensorType


class Sketch:
    """A graph made call by call; weights come from a seeded generator."""

    def __init__(self, seed: int = 0) -> None:
        self.graph = Graph(OPS, "sketch")
        self._random = np.random.default_rng(seed)

    def input(self, *shape: int | str, name: str = "x", dtype: DType = DType.F32) -> Value:
        sizes: list[Dim] = [symbol(size) if isinstance(size, str) else size for size in shape]
        return self.graph.add_input(name, TensorType(tuple(sizes), dtype))

    def normal(self, *shape: int, name: str = "w", dtype: str = "float32") -> Value:
        return self.graph.add_constant(self._random.standard_normal(shape).astype(dtype), name)

    def positive(self, *shape: int, name: str = "w") -> Value:
        return self.graph.add_constant(self._random.uniform(0.5, 2, shape).astype(np.float32), name)

    def const(self, values: Any, name: str = "c", dtype: str = "float32") -> Value:
        return self.graph.add_constant(np.array(values, dtype), name)

    def ints(self, *values: int, name: str = "i") -> Value:
        return self.const(values, name, "int64")

    def op(self, op: str, *inputs: Value | None, name: str = "", outputs: int = 1, **attrs: Any) -> Value:
        made = self.graph.add_node(
            op, inputs, OPS[op].attrs(**attrs), outputs=outputs, names=[name or op], loc=(name or op,)
        )
        return made.output

    def batch_norm(self, x: Value, name: str = "bn", **attrs: Any) -> Value:
        channels = x.type.shape[1]
        assert isinstance(channels, int)
        parameters = [self.normal(channels, name=f"{name}.{part}") for part in ("gamma", "beta", "mean")]
        variance = self.positive(channels, name=f"{name}.variance")
        return self.op("batch_normalization", x, *parameters, variance, name=name, **attrs)

    def returns(self, *values: Value) -> Sketch:
        self.graph.set_outputs(values, [f"y{index}" for index in range(len(values))])
        return self


@dataclass(frozen=True)
class Outcome:
    """What became of a graph: op names in order, the reasons for refusals, whether anything changed."""

    graph: Graph
    ops: tuple[str, ...]
    reasons: tuple[str, ...]
    changed: bool

    def count(self, op: str) -> int:
        return self.ops.count(op)

    def refused(self, *parts: str) -> bool:
        """Whether nothing changed, and one reason holds all ``parts``."""
        return not self.changed and any(all(part in reason for part in parts) for reason in self.reasons)


def run_pass(sketch: Sketch, pipeline: str) -> Outcome:
    """Run passes and check that the graph verifies, results and outputs stay, and a second run does nothing."""
    graph = sketch.graph
    signature = _signature(graph)
    manager = PassManager(parse_pipeline(pipeline), verify_level=2, check=True)
    notes = Notes()
    reports = manager.run(graph, notes)
    assert _signature(graph) == signature
    assert not any(report.changed for report in manager.run(graph, Notes())), "a second run changes something"
    reasons = tuple(refusal.reason for refusal in notes.refusals.values())
    return Outcome(graph, op_names(graph), reasons, any(report.changed for report in reports))


def op_names(graph: Graph) -> tuple[str, ...]:
    return tuple(node.op for node in graph.nodes)


def _signature(graph: Graph) -> Sequence[tuple[str, str, TensorType]]:
    return [(name, value.name, value.type) for name, value in zip(graph.output_names, graph.outputs)]
