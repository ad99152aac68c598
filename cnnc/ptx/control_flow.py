"""Where threads that branched apart meet again: immediate post-dominators of an entry's branches.

A branch that some threads of a warp take and others do not is executed one side after the other; both wait at the
first instruction that every path from the branch to the end passes (Fung et al., Dynamic Warp Formation and Scheduling
for Efficient GPU Control Flow, 2007, section 2: immediate post-dominator reconvergence).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

import networkx as nx

from cnnc.errors import ModelError
from cnnc.ptx.module import Entry, Instruction, Symbol

LEAVES = frozenset(("ret", "exit", "trap"))
"""Opcodes that end a thread."""


def branch_targets(entry: Entry, instruction: Instruction) -> tuple[int, ...]:
    """Indices of the instructions that a branch names.

    Raises:
        ModelError: it names no label or table of the entry.
    """
    names: tuple[str, ...] = ()
    last = instruction.operands[-1] if instruction.operands else None
    if isinstance(last, Symbol):
        names = entry.tables.get(last.name, ()) if instruction.opcode == "brx" else (last.name,)
    if not names or any(name not in entry.labels for name in names):
        raise ModelError(f"{instruction.name} names no label", where=f"PTX line {instruction.line}")
    return tuple(entry.labels[name] for name in names)


@functools.lru_cache(maxsize=256)
def successors(entry: Entry) -> tuple[tuple[int, ...], ...]:
    """For every instruction the indices of those that may follow; the length of the body is the end."""
    end = len(entry.body)
    found = []
    for index, instruction in enumerate(entry.body):
        after: tuple[int, ...] = ()
        if instruction.opcode in ("bra", "brx"):
            after = branch_targets(entry, instruction)
        elif instruction.opcode in LEAVES:
            after = (end,)
        is_last = instruction.guard is None and (instruction.opcode in LEAVES or bool(after))
        found.append(after if is_last else (*after, index + 1))
    return tuple(found)


@functools.lru_cache(maxsize=256)
def meeting_points(entry: Entry) -> Mapping[int, int]:
    """For every branch, by its index, the index of the instruction at which its paths meet again.

    It is the length of the body where they only meet at the end.
    """
    end = len(entry.body)
    backwards = nx.DiGraph()
    backwards.add_nodes_from(range(end + 1))
    for index, after in enumerate(successors(entry)):
        backwards.add_edges_from((following, index) for following in after)
    # Dominators of the reversed graph, from the end. What never ends (an endless loop) has none: it meets at the end.
    immediate = nx.immediate_dominators(backwards, end)
    branches = [index for index, instruction in enumerate(entry.body) if instruction.opcode in ("bra", "brx")]
    return {index: immediate.get(index, end) for index in branches}
