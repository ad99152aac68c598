"""A driver for rewrites that look at one node and its operands, to a fixed point.

Fusions describe what they match by a pattern (``cnnc.ir.rewrite``); simplifications of single nodes are plain functions
by op: each fills the patch and returns True, or returns False where it has nothing to do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from cnnc.ir import Graph, Node, Notes, Patch, Value, known_array

LocalRule = Callable[[Node, Patch], bool]


def rewrite_locally(graph: Graph, notes: Notes, name: str, rules: Mapping[str, Sequence[LocalRule]]) -> bool:
    """Apply the rules of each node's op until none applies; returns whether anything changed.

    A rule must make the graph smaller or its own condition false; the number of rounds is bounded by the graph's size
    as a backstop.
    """
    changed = False
    for _ in range(len(graph) + 16):
        before = len(notes.fired)
        for node in graph.nodes:
            _rewrite_node(graph, notes, name, rules.get(node.op, ()), node)
        if len(notes.fired) == before:
            break
        changed = True
    return changed


def _rewrite_node(graph: Graph, notes: Notes, name: str, rules: Sequence[LocalRule], node: Node) -> None:
    for rule in rules:
        if notes.is_spent:
            return
        patch = Patch(graph, node)
        if rule(node, patch):
            patch.apply()
            notes.fire(name, tuple(dict.fromkeys((*node.loc, *patch.origins))))
            return


def known_ints(value: Value | None) -> tuple[int, ...] | None:
    """Elements of an integer operand whose content is known as numbers, else None."""
    array = None if value is None else known_array(value)
    if array is None or array.dtype.kind not in "iu" or array.size > 1024:
        return None
    return tuple(int(item) for item in array.reshape(-1).tolist())


def same_type(a: Value, b: Value) -> bool:
    """Whether one value may stand for the other: same shape and element type."""
    return (a.type.shape, a.type.dtype) == (b.type.shape, b.type.dtype)
