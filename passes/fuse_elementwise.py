"""fuse-elementwise: connected element-wise ops become one ``elementwise_chain``.

Before:

    %a: f32[N, 8, 4, 4] = add(%x, %y)
    %b: f32[N, 8, 4, 4] = sigmoid(%a)
    %c: f32[N, 8, 4, 4] = mul(%a, %b)

After:

    %c: f32[N, 8, 4, 4] = elementwise_chain(%x, %y) {steps=(add(0, 1), sigmoid(2), mul(2, 3))}

Conditions:

1. every step is an op of ``CHAIN_OPS`` on float32 or bool, with one output, of the shape of the chain's output: a step
   of a smaller shape would be computed again for every broadcast copy;
2. what lies between the steps is read inside the chain only and is no graph output;
3. at most ``max_inputs`` operands that are not constants of one element, and ``max_steps`` steps.

Numerics: exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cnnc.ir import Graph, Node, Notes, Patch, Value
from cnnc.ops.elementwise_chain import CHAIN_OPS, ChainStep, ElementwiseChainAttrs, step_attributes
from cnnc.passes.base import Pass
from cnnc.types import DType


@dataclass(frozen=True)
class FuseElementwise(Pass):
    """Grow each chain from its last op upwards."""

    name: ClassVar[str] = "fuse-elementwise"
    requires: ClassVar[str] = "normalised"
    max_inputs: int = 6
    max_steps: int = 24

    def run(self, graph: Graph, notes: Notes) -> bool:
        changed = False
        for root in reversed(list(graph.nodes)):
            if notes.is_spent:
                break
            if not root.is_alive or not _may_join(root):
                continue
            chain = self._grow(graph, root, notes)
            if len(chain) > 1:
                _replace(graph, chain, notes)
                changed = True
        return changed

    def _grow(self, graph: Graph, root: Node, notes: Notes) -> list[Node]:
        """Nodes of the chain that ends in ``root``, in topological order."""
        chain = [root]
        inside = {root}
        frontier = [value for value in root.inputs if value is not None]
        while frontier:
            value = frontier.pop()
            node = value.producer
            if node is None or node in inside or not _may_join(node):
                continue
            if node.output.type.shape != root.output.type.shape:
                continue
            if graph.is_output(value) or any(user not in inside for user in value.users):
                if not graph.is_output(value) and any(user not in inside and _may_join(user) for user in value.users):
                    notes.refuse(self.name, node, f"%{value.name} is also read outside the chain")
                continue
            trial = {*inside, node}
            if len(trial) > self.max_steps or len(_operands(trial)) > self.max_inputs:
                notes.refuse(self.name, node, f"a chain has at most {self.max_inputs} inputs, {self.max_steps} steps")
                continue
            inside = trial
            chain.append(node)
            frontier = [operand for member in inside for operand in member.inputs if operand is not None]
        return sorted(chain, key=_Position(graph).of)


class _Position:
    def __init__(self, graph: Graph) -> None:
        self._positions = {node: index for index, node in enumerate(graph.nodes)}

    def of(self, node: Node) -> int:
        return self._positions[node]


def _may_join(node: Node) -> bool:
    if node.op not in CHAIN_OPS or len(node.outputs) != 1:
        return False
    values = [value for value in (*node.inputs, node.output) if value is not None]
    return all(value.type.dtype in (DType.F32, DType.BOOL) for value in values)


def _operands(nodes: set[Node]) -> set[Value]:
    """Inputs of a group from outside, but for constants of one element: those become immediates."""
    made = {value for node in nodes for value in node.outputs}
    read = {value for node in nodes for value in node.inputs if value is not None}
    return {value for value in read - made if not (value.array is not None and value.array.size == 1)}


def _replace(graph: Graph, chain: list[Node], notes: Notes) -> None:
    made = {value for node in chain for value in node.outputs}
    inputs = list(
        dict.fromkeys(value for node in chain for value in node.inputs if value is not None and value not in made)
    )
    index = {value: position for position, value in enumerate(inputs)}
    steps = []
    for node in chain:
        operands = tuple(-1 if value is None else index[value] for value in node.inputs)
        steps.append(ChainStep(node.op, operands, step_attributes(node.attrs)))
        index[node.output] = len(index)
    loc = tuple(dict.fromkeys(place for node in chain for place in node.loc))
    patch = Patch(graph, chain[-1])
    new = patch.node("elementwise_chain", inputs, ElementwiseChainAttrs(tuple(steps)), loc=loc)
    patch.replace(chain[-1].output, new)
    patch.apply()
    notes.fire(FuseElementwise.name, loc)
