"""merge-byte-functions: ops that work byte by byte on one tensor become one lookup.

Before:

    %a: u8[N, 8, 7, 7] = q_linear_sigmoid(%x, %x_scale, %x_zero, %a_scale, %a_zero)
    %y: u8[N, 8, 7, 7] = q_linear_mul(%x, %x_scale, %x_zero, %a, %a_scale, %a_zero, %y_scale, %y_zero)

After:

    %y: u8[N, 8, 7, 7] = lookup(%x, %table)

where the table has what the ops give for each of 256 bytes.

Conditions:

1. every node is one of ``cnnc.ops.byte_table``: requantize, clip, lookup, quantized sigmoid, sum, product, ..., with
   constant scales; what it reads are bytes of the shape of its result, and constants of one element;
2. what lies between the nodes is read by them alone and is no graph output;
3. together they read one tensor, and there are at least two of them.

Numerics: exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from cnnc.ir import Array, Graph, Node, Notes, Patch, Value
from cnnc.ops.byte_table import apply_to_bytes, byte_operands, every_byte
from cnnc.passes.base import Pass


@dataclass(frozen=True)
class MergeByteFunctions(Pass):
    """Grow each function from its last node upwards."""

    name: ClassVar[str] = "merge-byte-functions"

    def run(self, graph: Graph, notes: Notes) -> bool:
        changed = False
        positions = {node: index for index, node in enumerate(graph.nodes)}
        for root in reversed(positions):
            if notes.is_spent:
                break
            chain = _grow(graph, root, positions) if root.is_alive and _works_by_bytes(root) else []
            if len(chain) > 1:
                _replace(graph, chain, notes)
                changed = True
        return changed


def _works_by_bytes(node: Node) -> bool:
    return isinstance(byte_operands(node), tuple)


def _grow(graph: Graph, root: Node, positions: Mapping[Node, int]) -> list[Node]:
    """The most nodes, in topological order, that end in ``root`` and read one tensor together."""
    chain, best = [root], list[Node]()
    while True:
        sources = _sources(chain)
        if len(sources) == 1:
            best = list(chain)
        above = [value.producer for value in sources if value.producer is not None and _is_inside(graph, value, chain)]
        if not above:
            return best[::-1]
        # The last one first: what it shares with the others lies above all of them.
        chain.append(max(above, key=lambda node: positions[node]))


def _sources(chain: list[Node]) -> list[Value]:
    """The computed operands from outside the chain."""
    read: dict[Value, None] = {}
    for node in chain:
        data = byte_operands(node)
        read |= dict.fromkeys(node.input(position) for position in (data if isinstance(data, tuple) else ()))
    return [value for value in read if value.producer not in chain]


def _is_inside(graph: Graph, value: Value, chain: list[Node]) -> bool:
    """Whether the value's producer may join."""
    joins = value.producer is not None and _works_by_bytes(value.producer)
    return joins and not graph.is_output(value) and all(user in chain for user in value.users)


def _replace(graph: Graph, chain: list[Node], notes: Notes) -> None:
    [source] = _sources(chain)
    known: dict[Value, Array] = {source: every_byte(source.type.dtype)}
    for node in chain:
        known[node.output] = apply_to_bytes(node, known)
    result = chain[-1].output
    loc = tuple(dict.fromkeys(place for node in chain for place in node.loc))
    patch = Patch(graph, chain[-1])
    table = patch.constant(known[result], f"{result.name}.table")
    patch.replace(result, patch.node("lookup", [source, table], loc=loc))
    patch.apply()
    notes.fire(MergeByteFunctions.name, loc)
