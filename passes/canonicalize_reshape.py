"""canonicalize-reshape: flatten, squeeze, unsqueeze and reshape become one form of reshape.

Before:

    %f: f32[N, 48] = flatten(%x)
    %u: f32[N, 48, 1] = unsqueeze(%f, %axes)

After:

    const %u.shape: i64[3] = [-1, 48, 1]
    %u: f32[N, 48, 1] = reshape(%x, %u.shape)

The target is the first of these from which type inference gives the output's shape again:

1. a constant with every size, where all are numbers;
2. a constant with -1 for the only symbolic size;
3. a constant with 0 for sizes that stay in their place, and -1 for one other;
4. a ``dims`` node, where every symbol is a size of a graph input.

Also: a reshape of a reshape reads the first one's operand (the first stays where others read it), and a transpose that
moves only axes of size 1 past others is a reshape.

Numerics: exact.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cnnc.dims import Dim
from cnnc.errors import UserError
from cnnc.ir import Graph, Node, Notes, Patch, Value
from cnnc.ops.reshaping import DimsAttrs, ReshapeAttrs
from cnnc.passes.base import Pass
from cnnc.passes.eliminate_no_ops import permutation
from cnnc.passes.fold_shapes import are_given, input_symbols
from cnnc.passes.local_rewrite import known_ints, rewrite_locally


@dataclass(frozen=True)
class CanonicalizeReshape(Pass):
    """Rewrite to a fixed point."""

    name: ClassVar[str] = "canonicalize-reshape"

    def run(self, graph: Graph, notes: Notes) -> bool:
        given = input_symbols(graph)

        def canonical(node: Node, patch: Patch) -> bool:
            if node.op == "transpose" and not _keeps_order(node):
                return False
            return _canonicalize(node, patch, given)

        ops = ("reshape", "flatten", "squeeze", "unsqueeze", "transpose")
        return rewrite_locally(graph, notes, self.name, dict.fromkeys(ops, (canonical,)))


def _keeps_order(node: Node) -> bool:
    return moves_only_ones(node.input(0).type.shape, permutation(node))


def moves_only_ones(shape: tuple[Dim, ...], perm: tuple[int, ...]) -> bool:
    """Whether a transpose only moves axes of size 1 past others, so that a reshape does the same."""
    moved = [axis for axis in perm if shape[axis] != 1]
    return moved == sorted(moved)


@dataclass(frozen=True, slots=True)
class _Target:
    """A shape operand: ``dims`` with numbers only become a constant."""

    dims: tuple[Dim, ...]
    allowzero: int = 0


def _canonicalize(node: Node, patch: Patch, given: frozenset[str]) -> bool:
    source, loc = node.input(0), node.loc
    inner = source.producer
    while inner is not None and inner.op in ("reshape", "flatten", "squeeze", "unsqueeze"):
        source, loc = inner.input(0), (*inner.loc, *loc)
        inner = source.producer
    wanted = node.output.type.shape
    for target in _targets(source.type.shape, wanted, given):
        if source is node.input(0) and _is_already(node, target):
            return False
        made = _reshape(patch, source, target, wanted, loc, node.output.name)
        if made is not None:
            patch.replace(node.output, made)
            return True
    return False


def _targets(shape: tuple[Dim, ...], wanted: tuple[Dim, ...], given: frozenset[str]) -> Iterator[_Target]:
    symbolic = [axis for axis, size in enumerate(wanted) if not isinstance(size, int)]
    has_zero = 0 in wanted
    if not symbolic:
        yield _Target(wanted, allowzero=int(has_zero))
    elif len(symbolic) == 1 and not has_zero:
        yield _Target(tuple(-1 if axis in symbolic else size for axis, size in enumerate(wanted)))
    if symbolic and not has_zero:
        kept = [axis for axis in symbolic if axis < len(shape) and shape[axis] == wanted[axis]]
        others = [axis for axis in symbolic if axis not in kept]
        if len(others) <= 1:
            yield _Target(
                tuple(0 if axis in kept else -1 if axis in others else size for axis, size in enumerate(wanted))
            )
    if symbolic and are_given(wanted, given):
        yield _Target(wanted, allowzero=int(has_zero))


def _is_already(node: Node, target: _Target) -> bool:
    if node.op != "reshape" or node.attrs != ReshapeAttrs(target.allowzero):
        return False
    operand = node.input(1)
    if operand.producer is not None and operand.producer.op == "dims":
        return isinstance(operand.producer.attrs, DimsAttrs) and operand.producer.attrs.dims == target.dims
    return operand.is_constant and known_ints(operand) == target.dims


def reshape_to(patch: Patch, source: Value, wanted: tuple[Dim, ...], loc: tuple[str, ...], name: str) -> Value | None:
    """``source`` reshaped by a constant to the shape ``wanted``, or None where no constant says it."""
    for target in _targets(source.type.shape, wanted, frozenset()):
        made = _reshape(patch, source, target, wanted, loc, name)
        if made is not None:
            return made
    return None


def _reshape(
    patch: Patch, source: Value, target: _Target, wanted: tuple[Dim, ...], loc: tuple[str, ...], name: str
) -> Value | None:
    numbers = [dim for dim in target.dims if isinstance(dim, int)]
    if len(numbers) == len(target.dims):
        shape = patch.constant(np.array(numbers, np.int64), f"{name}.shape")
    else:
        shape = patch.node("dims", (), DimsAttrs(target.dims), loc=loc, name=f"{name}.shape")
    try:
        made = patch.node("reshape", [source, shape], ReshapeAttrs(target.allowzero), loc=loc, name=name)
    except UserError:
        # Not every target says the wanted shape: a -1 beside sizes whose product does not divide, for instance.
        return None
    return made if made.type.shape == wanted else None
