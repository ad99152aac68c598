"""push-transposes: transposes move towards the outputs, where they meet their inverse and cancel.

Before, as converters from TensorFlow write it:

    %a: f32[N, 28, 28, 8] = transpose(%conv1) {perm=(0, 2, 3, 1)}
    %b: f32[N, 28, 28, 8] = add(%a, %shift)                             shift f32[8]
    %c: f32[N, 28, 28, 8] = relu(%b)
    %d: f32[N, 8, 28, 28] = transpose(%c) {perm=(0, 3, 1, 2)}

After:

    %b: f32[N, 8, 28, 28] = add(%conv1, %shift_1)                       shift_1 f32[8, 1, 1]
    %d: f32[N, 8, 28, 28] = relu(%b)

A transpose moves past a node when

1. the node is element-wise and its other operands are transposed alike, constants, or of a shape in which the axes
   above 1 keep their order (a channel gate [N, 1, 1, C]), so that a reshape does what their transpose would;
2. or it is softmax, concat, a reduction, arg_max, arg_min, slice, pad, split: axes are renamed;
3. what it transposes is read by that node alone, so that their number does not grow.

Where values have several readers, all transposes are moved as far as they go on a copy of the graph, which is kept
where fewer transposes are left. So the number of transposes never grows.

Numerics: rounding (a reduction may add in another order).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cnnc.ir import Graph, Node, Notes, Patch, Value
from cnnc.ir.clone import clone_graph
from cnnc.ops.reshaping import TransposeAttrs
from cnnc.passes.base import Pass
from cnnc.passes.eliminate_no_ops import merge_transposes, permutation
from cnnc.passes.local_rewrite import rewrite_locally
from cnnc.passes.move_transpose import MOVES, Moved


@dataclass(frozen=True)
class PushTransposes(Pass):
    """Move them one by one, then all at once where that pays."""

    name: ClassVar[str] = "push-transposes"
    numerics: ClassVar[str] = "rounding"

    def run(self, graph: Graph, notes: Notes) -> bool:
        changed = self._push(graph, notes, shared=False)
        while not notes.is_spent:
            trial = clone_graph(graph)
            budget = None if notes.budget is None else notes.budget - len(notes.fired)
            trial_notes = Notes(budget=budget)
            if not self._push(trial, trial_notes, shared=True) or _count(trial) >= _count(graph):
                break
            graph.become(trial)
            notes.fired.extend(trial_notes.fired)
            changed = True
        return changed

    def _push(self, graph: Graph, notes: Notes, *, shared: bool) -> bool:
        """Move transposes to a fixed point; ``shared`` moves those with other readers as well."""

        def move(node: Node, patch: Patch) -> bool:
            if not shared and not _owns_its_transposes(graph, node):
                return False
            return _move(node, patch)

        rules = {**dict.fromkeys(MOVES, (move,)), "transpose": (merge_transposes,)}
        return rewrite_locally(graph, notes, self.name, rules)


def _count(graph: Graph) -> int:
    return sum(node.op == "transpose" for node in graph.nodes)


def _transpose_of(value: Value | None) -> Node | None:
    producer = None if value is None else value.producer
    return producer if producer is not None and producer.op == "transpose" else None


def _owns_its_transposes(graph: Graph, node: Node) -> bool:
    transposed = [value for value in node.inputs if value is not None and _transpose_of(value) is not None]
    private = all(value.users == (node,) and not graph.is_output(value) for value in transposed)
    return private and len(node.outputs) <= len(set(transposed))


def _move(node: Node, patch: Patch) -> bool:
    above = next((found for found in map(_transpose_of, node.inputs) if found is not None), None)
    if above is None:
        return False
    perm = permutation(above)
    sources: list[Value | None] = []
    loc = node.loc
    for value in node.inputs:
        transpose = _transpose_of(value)
        is_alike = transpose is not None and permutation(transpose) == perm
        sources.append(transpose.input(0) if transpose is not None and is_alike else None)
    moved: Moved | None = MOVES[node.op](node, sources, perm, patch)
    if moved is None:
        return False
    made = patch.node_outputs(node.op, moved.inputs, moved.attrs, loc=loc, outputs=len(node.outputs))
    results = list(made)
    if moved.perm != tuple(range(len(moved.perm))):
        results = [patch.node("transpose", [value], TransposeAttrs(moved.perm), loc=above.loc) for value in made]
    if any(old.type.shape != new.type.shape for old, new in zip(node.outputs, results, strict=True)):
        return False
    for old, new in zip(node.outputs, results, strict=True):
        patch.replace(old, new)
    return True
