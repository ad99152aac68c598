"""Lowering rules: how one op becomes steps, and why a rule does not apply.

Rules of an op are tried in order; the first whose ``supports`` returns None is taken. Every refusal is kept:
``cnnc explain`` prints it. The host rule is last and takes any op in plain layout.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cnnc.ir import Node
from cnnc.lower.builder import ProgramBuilder


@dataclass(frozen=True)
class LoweringRule:
    """One way to lower a node.

    Args:
        name: what ``explain`` shows, usually the kernel's name.
        supports: None when the rule takes the node, else one sentence why not.
        emit: adds the steps and places every output.
    """

    name: str
    supports: Callable[[Node, ProgramBuilder], str | None]
    emit: Callable[[Node, ProgramBuilder], None]


def host_supports(node: Node, builder: ProgramBuilder) -> str | None:
    """The host takes every op whose operands lie in plain layout."""
    for value in (*node.inputs, *node.outputs):
        if value is not None and value.type.layout.is_blocked:
            return f"%{value.name} is in blocked layout"
    return None


HOST = LoweringRule("host", host_supports, lambda node, builder: builder.host_step(node))
