"""Lowering rules: how one op becomes steps, and why a rule does not apply.

Rules of an op are tried in order; the first whose ``supports`` returns None is taken, unless another was measured to be
faster. Every refusal is kept: ``cnnc explain`` prints it. The host rule is last and takes any op in plain layout.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from cnnc.ir import Node
from cnnc.lower.builder import ProgramBuilder

Supports = Callable[[Node, ProgramBuilder], str | None]
"""None when a rule takes the node, else one sentence why not."""

T = TypeVar("T")


@dataclass(frozen=True)
class LoweringRule:
    """One way to lower a node.

    Args:
        name: what ``explain`` shows, usually the kernel's name.
        emit: adds the steps and places every output.
    """

    name: str
    supports: Supports
    emit: Callable[[Node, ProgramBuilder], None]


@dataclass(frozen=True)
class TiledRule(Generic[T]):
    """A way to lower a node onto a kernel that takes several tilings.

    Args:
        name: the kernel's name.
        kind: the class of its tilings, a frozen dataclass of ints.
        tilings: up to so many tilings for a node, with their estimated costs; the first is the one to take unmeasured.
        emit: adds the steps, with the given tiling, and places every output.
        allows: whether a tiling that was measured for the layer alone may stand in this program.
    """

    name: str
    kind: type[T]
    supports: Supports
    tilings: Callable[[Node, ProgramBuilder, int], Sequence[tuple[float, T]]]
    emit: Callable[[Node, ProgramBuilder, T], None]
    allows: Callable[[Node, ProgramBuilder, T], bool] = lambda node, builder, tiling: True


Rule = LoweringRule | TiledRule[Any]


def host_supports(node: Node, builder: ProgramBuilder) -> str | None:
    """The host takes every op whose operands lie in plain layout."""
    for value in (*node.inputs, *node.outputs):
        if value is not None and value.type.layout.is_blocked:
            return f"%{value.name} is in blocked layout"
    return None


HOST = LoweringRule("host", host_supports, lambda node, builder: builder.host_step(node))
