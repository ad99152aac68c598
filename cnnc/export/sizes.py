"""Symbolic sizes as int64 vectors: each symbol is read off the shape of a tensor that has it as an axis."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import TYPE_CHECKING

from cnnc.dims import Atom, Dim, Expr, lower_bound
from cnnc.export.operation import Operand
from cnnc.types import DType, TensorType

if TYPE_CHECKING:
    from cnnc.export.writer import NodeWriter

_ONE = TensorType((1,), DType.I64)


class Sizes:
    """Where symbols can be read, and the sizes that were written already. A size is an int64 vector of one element."""

    def __init__(self) -> None:
        self._sources: dict[str, tuple[Operand, int]] = {}
        self._written: dict[Expr | Atom, Operand] = {}

    def learn(self, operand: Operand) -> None:
        """Note the symbols that are axes of a value, which from here on can be read."""
        for axis, dim in enumerate(operand.type.shape):
            if isinstance(dim, Expr) and dim.is_atom() and dim.terms[0][0][0].kind == "symbol":
                self._sources.setdefault(dim.terms[0][0][0].name, (operand, axis))

    def vector(self, node: NodeWriter, dims: Sequence[Dim]) -> Operand:
        """The sizes as one vector; runs of numbers become one constant.

        Raises:
            UnsupportedError: a symbol is no axis of any value so far.
        """
        parts: list[Operand] = []
        numbers: list[int] = []
        for dim in dims:
            if isinstance(dim, int):
                numbers.append(dim)
                continue
            if numbers:
                parts.append(node.int64(numbers, "sizes"))
                numbers = []
            parts.append(self.size(node, dim))
        if numbers:
            parts.append(node.int64(numbers, "sizes"))
        if len(parts) == 1:
            # A copy: the size itself may be read by others, and bears its own name.
            return node.step("Identity", parts, _ONE)
        return node.step("Concat", parts, TensorType((len(dims),), DType.I64), axis=0)

    def size(self, node: NodeWriter, dim: Dim) -> Operand:
        """One size: a sum of products of symbols, quotients, remainders and extrema."""
        if isinstance(dim, int):
            return node.int64([dim], "size")
        if dim not in self._written:
            terms = [self._product(node, monomial, coefficient) for monomial, coefficient in dim.terms]
            self._written[dim] = reduce(lambda a, b: node.step("Add", [a, b], _ONE), terms)
        return self._written[dim]

    def _product(self, node: NodeWriter, atoms: Sequence[Atom], coefficient: int) -> Operand:
        factors = []
        for atom in atoms:
            if atom not in self._written:
                self._written[atom] = self._atom(node, atom)
            factors.append(self._written[atom])
        if coefficient != 1 or not factors:
            factors.append(self.size(node, coefficient))
        return reduce(lambda a, b: node.step("Mul", [a, b], _ONE), factors)

    def _atom(self, node: NodeWriter, atom: Atom) -> Operand:
        if atom.kind == "symbol":
            return self._symbol(node, atom.name)
        a, b = (self.size(node, operand) for operand in atom.operands)
        if atom.kind == "floordiv":
            if not all(_is_known_to_reach(operand, least) for operand, least in zip(atom.operands, (0, 1))):
                # Div of integers rounds towards zero; without the remainder there is nothing to round.
                a = node.step("Sub", [a, node.step("Mod", [a, b], _ONE)], _ONE)
            return node.step("Div", [a, b], _ONE)
        return node.step({"mod": "Mod", "min": "Min", "max": "Max"}[atom.kind], [a, b], _ONE)

    def _symbol(self, node: NodeWriter, name: str) -> Operand:
        if name not in self._sources:
            node.refuse(
                f"the size {name} is no axis of an input or of a value before it, so ONNX cannot read it",
                "give the input sizes with shapes=",
            )
        source, axis = self._sources[name]
        return node.step("Shape", [source], _ONE, start=axis or None, end=axis + 1)


def _is_known_to_reach(dim: Dim, least: int) -> bool:
    bound = lower_bound(dim)
    return bound is not None and bound >= least
