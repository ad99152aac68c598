"""Up to which density of its weight a layer is given a kernel that leaves zeros out.

The rules of lowering are asked about hypothetical weights, so that whatever they weigh counts: no rule has a formula of
its own for it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.ir import Array, Graph, Node
from cnnc.ir.clone import clone_graph
from cnnc.lower.builder import ProgramBuilder
from cnnc.lower.cpu_rules import RULES
from cnnc.lower.density import BLOCK, BLOCK4, CHANNEL, LayerWeight, by_outputs, layer_weight, weight_density
from cnnc.lower.numerics import DEFAULT_NUMERICS, Numerics
from cnnc.lower.rules import offers_for
from cnnc.runtime.cpu.machine import USUAL_MACHINE, Machine
from cnnc.runtime.kernel import Target

STEPS = 64
"""Densities between 0 and 1 that are told apart."""


@dataclass(frozen=True, slots=True)
class BreakEven:
    """When zeros pay, by the cost model.

    Attributes:
        density: the largest share of non-zeros at which another kernel is taken than for a dense weight, in steps of
            1 / ``STEPS``; 0 where none is at any density.
        dense_kernel: the kernel that a dense weight gets.
    """

    density: float
    dense_kernel: str


def break_evens(
    graph: Graph,
    values: Collection[str],
    target: Target,
    numerics: Numerics = DEFAULT_NUMERICS,
    machine: Machine = USUAL_MACHINE,
) -> dict[str, BreakEven]:
    """By first output, for layers of a placed graph that have a constant weight and kernels with tilings.

    Weights of the same pattern as the layer's are assumed, with zeros at random places.

    Args:
        values: names of the first outputs of the nodes that are asked for.
    """
    copy = clone_graph(graph)
    known: dict[tuple[Any, ...], BreakEven | None] = {}
    found: dict[str, BreakEven] = {}
    for node in copy.nodes:
        weight = layer_weight(node) if node.output.name in values else None
        if weight is None:
            continue
        pattern = weight_density(weight.by_outputs, weight.groups, weight.zero).pattern
        operands = tuple(None if value is None else value.type for value in node.inputs)
        key = node.op, node.attrs, operands, node.output.type, pattern
        if key not in known:
            known[key] = _break_even(
                node, weight, pattern, copy, lambda: ProgramBuilder(copy, target, numerics, machine)
            )
        result = known[key]
        if result is not None:
            found[node.output.name] = result
    return found


def _break_even(
    node: Node, weight: LayerWeight, pattern: str, graph: Graph, fresh: Callable[[], ProgramBuilder]
) -> BreakEven | None:
    """None where a rule without tilings is preferred, or none takes the node.

    ``fresh`` gives a builder that knows nothing of the weight yet: builders keep what rules found out about a node.
    """
    stored = weight.value.array
    assert stored is not None
    hypothesis = _Hypothesis(node, weight, pattern)

    def kernel(density: float) -> str:
        graph.set_constant(weight.value, hypothesis.stored(density))
        offers = offers_for(node, RULES.get(node.op, ()), fresh())
        return offers.best.rule.name if offers.tiled else ""

    dense_kernel = kernel(1.0)
    low, high = 0, STEPS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if kernel(middle / STEPS) != dense_kernel else (low, middle)
    graph.set_constant(weight.value, stored)
    return BreakEven(low / STEPS, dense_kernel) if dense_kernel else None


class _Hypothesis:
    """Weights like a given one of any density; the non-zeros of a lower density are among those of a higher one."""

    def __init__(self, node: Node, weight: LayerWeight, pattern: str) -> None:
        stored = weight.value.array
        assert stored is not None
        shape = weight.by_outputs.shape
        zeros = np.asarray(weight.zero, stored.dtype)
        self._zeros = zeros.reshape(-1, *(1,) * (len(shape) - 1)) if zeros.size > 1 else zeros
        kept = weight.by_outputs[weight.by_outputs != self._zeros]
        self._values = np.resize(kept if kept.size else np.ones(1, stored.dtype), shape)
        self._ranks = _ranks(shape, pattern)
        places = by_outputs(node, np.arange(stored.size).reshape(stored.shape), weight.groups)
        assert places is not None
        self._places = places.astype(np.intp)
        self._like = stored

    def stored(self, density: float) -> Array:
        """A weight as it is stored, of about this density."""
        result = np.empty_like(self._like, order="C")
        np.put(result, self._places, np.where(self._ranks < density, self._values, self._zeros))
        return result


def _ranks(shape: tuple[int, ...], pattern: str) -> NDArray[np.float64]:
    """A number from 0 to 1 for each element of a weight [OC, ...]; elements that go together have the same."""
    rng = np.random.default_rng(0)
    if pattern == CHANNEL:
        return np.broadcast_to(rng.random((shape[0], *(1,) * (len(shape) - 1))), shape)
    if pattern == BLOCK4:
        return np.repeat(rng.random((-(-shape[0] // BLOCK), *shape[1:])), BLOCK, axis=0)[: shape[0]]
    return rng.random(shape)
