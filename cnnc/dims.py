"""Symbolic dimensions: integer expressions over named sizes, kept in a canonical form.

A ``Dim`` is a plain ``int`` or an ``Expr``. Expressions are polynomials with integer coefficients over *atoms*: symbols
(``N``), floor divisions, remainders, minima and maxima. Two expressions that simplify to the same polynomial are equal
and hash alike, which is what proves ``(4*N*H)//4 == N*H`` while shapes are inferred. Every symbol stands for a size and
is at least 0.

    >>> n = symbol("N")
    >>> str((n * 4 + 8) // 4)
    'N + 2'
    >>> evaluate(n * 4 + 1, {"N": 3})
    13
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from keyword import iskeyword

from cnnc.errors import ModelError
from cnnc.frozen_dataclass import dataclass

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*\Z")
_MAX_TERMS = 256


@dataclass(frozen=True, slots=True)
class Atom:
    """An indivisible factor: ``kind`` is symbol, floordiv, mod, min or max; a symbol has a name and no operands."""

    kind: str
    name: str
    operands: tuple[Dim, ...]

    def __str__(self) -> str:
        if self.kind == "symbol":
            return self.name
        if self.kind in ("floordiv", "mod"):
            sign = "//" if self.kind == "floordiv" else "%"
            left, right = (_bracket(operand) for operand in self.operands)
            return f"({left}{sign}{right})"
        return f"{self.kind}({', '.join(str(operand) for operand in self.operands)})"


Monomial = tuple[Atom, ...]
"""A product of atoms, sorted by their text; the empty product is 1."""


def _bracket(dim: Dim) -> str:
    return str(dim) if isinstance(dim, int) or (len(dim.terms) == 1 and dim.is_atom()) else f"({dim})"


class Expr:
    """An integer polynomial over atoms that is not a constant (constants are ints). Immutable."""

    __slots__ = ("_hash", "_text", "terms")

    terms: tuple[tuple[Monomial, int], ...]

    def __init__(self, terms: tuple[tuple[Monomial, int], ...]) -> None:
        self.terms = terms
        self._hash = hash(terms)
        self._text = ""

    def is_atom(self) -> bool:
        """Whether this is one atom with coefficient 1."""
        return len(self.terms) == 1 and self.terms[0][1] == 1 and len(self.terms[0][0]) == 1

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Expr) and self._hash == other._hash and self.terms == other.terms

    def __hash__(self) -> int:
        return self._hash

    def __str__(self) -> str:
        if not self._text:
            parts = []
            for monomial, coefficient in self.terms:
                product = "*".join(str(atom) for atom in monomial)
                if not product:
                    parts.append(str(coefficient))
                elif coefficient == 1:
                    parts.append(product)
                elif coefficient == -1:
                    parts.append(f"-{product}")
                else:
                    parts.append(f"{coefficient}*{product}")
            self._text = " + ".join(parts).replace("+ -", "- ")
        return self._text

    def __repr__(self) -> str:
        return f"Expr({self})"

    def __add__(self, other: Dim) -> Dim:
        return _from_terms([*self.terms, *_terms(other)])

    __radd__ = __add__

    def __neg__(self) -> Dim:
        return self * -1

    def __sub__(self, other: Dim) -> Dim:
        return self + other * -1

    def __rsub__(self, other: Dim) -> Dim:
        return self * -1 + other

    def __mul__(self, other: Dim) -> Dim:
        products = []
        for left, a in self.terms:
            for right, b in _terms(other):
                products.append((tuple(sorted((*left, *right), key=str)), a * b))
        return _from_terms(products)

    __rmul__ = __mul__

    def __floordiv__(self, other: Dim) -> Dim:
        return floor_div(self, other)

    def __rfloordiv__(self, other: Dim) -> Dim:
        return floor_div(other, self)

    def __mod__(self, other: Dim) -> Dim:
        return modulo(self, other)

    def __rmod__(self, other: Dim) -> Dim:
        return modulo(other, self)


Dim = int | Expr


def _terms(dim: Dim) -> tuple[tuple[Monomial, int], ...]:
    if isinstance(dim, Expr):
        return dim.terms
    return (((), int(dim)),) if dim else ()


def _from_terms(terms: Iterable[tuple[Monomial, int]]) -> Dim:
    total: dict[Monomial, int] = {}
    for monomial, coefficient in terms:
        total[monomial] = total.get(monomial, 0) + coefficient
    kept = {monomial: coefficient for monomial, coefficient in total.items() if coefficient}
    if len(kept) > _MAX_TERMS:
        raise ModelError(f"a symbolic dimension has more than {_MAX_TERMS} terms", hint="fix some of the input sizes")
    if not kept:
        return 0
    if len(kept) == 1 and () in kept:
        return kept[()]
    ordered = sorted(kept.items(), key=lambda item: (item[0] == (), [str(atom) for atom in item[0]]))
    return Expr(tuple(ordered))


def _atom(kind: str, *operands: Dim, name: str = "") -> Dim:
    return Expr((((Atom(kind, name, operands),), 1),))


def is_symbol_name(name: str) -> bool:
    """Whether a size may be called so: the text of an expression must read back as what it was.

    A letter or underscore, then letters, digits, underscores and dots; none of Python's words, ``min`` or ``max``.
    """
    if not _NAME.match(name) or name in ("min", "max"):
        return False
    return all(word.isidentifier() and not iskeyword(word) for word in name.split("."))


def symbol(name: str) -> Expr:
    """The size called ``name``.

    Raises:
        ModelError: see ``is_symbol_name``.
    """
    if not is_symbol_name(name):
        raise ModelError(f"{name!r} is not a name for a dimension", hint="use letters, digits, underscores")
    return Expr((((Atom("symbol", name, ()),), 1),))


def floor_div(a: Dim, b: Dim) -> Dim:
    """a // b, rounded down. Terms of ``a`` that ``b`` divides exactly leave the division."""
    if isinstance(a, int) and isinstance(b, int):
        if b == 0:
            raise ModelError("a dimension is divided by zero")
        return a // b
    if b == 1:
        return a
    if b == 0:
        raise ModelError(f"dimension {a} is divided by zero")
    if a == 0 or a == b:
        return 0 if a == 0 else 1
    whole, rest = _divide(a, b)
    if rest == 0:
        return whole
    if isinstance(b, int) and isinstance(rest, int):
        return whole + rest // b if b > 0 and whole != 0 else _atom_floordiv(a, b)
    if isinstance(b, int) and b > 0:
        # (x // c) // b == x // (c * b) for positive c and b
        if isinstance(rest, Expr) and rest.is_atom() and rest.terms[0][0][0].kind == "floordiv":
            inner, divisor = rest.terms[0][0][0].operands
            if isinstance(divisor, int) and divisor > 0:
                return whole + floor_div(inner, divisor * b)
        return whole + _atom_floordiv(rest, b)
    return _atom_floordiv(a, b)


def _atom_floordiv(a: Dim, b: Dim) -> Dim:
    return _atom("floordiv", a, b)


def _divide(a: Dim, b: Dim) -> tuple[Dim, Dim]:
    """(q, r) with a == q*b + r, where q takes every term of ``a`` that ``b`` (an int or one monomial) divides."""
    divisor = _terms(b)
    if len(divisor) != 1:
        # Only a == k*b is looked for: k is the ratio of the leading coefficients.
        ratio, left = divmod(_terms(a)[0][1], divisor[0][1])
        return (ratio, 0) if left == 0 and b * ratio == a else (0, a)
    atoms, scale = divisor[0]
    quotient: list[tuple[Monomial, int]] = []
    rest: list[tuple[Monomial, int]] = []
    for monomial, coefficient in _terms(a):
        remaining = list(monomial)
        fits = True
        for atom in atoms:
            if atom not in remaining:
                fits = False
                break
            remaining.remove(atom)
        if not fits or (atoms and coefficient % scale):
            rest.append((monomial, coefficient))
        else:
            share, left = divmod(coefficient, scale)
            if share:
                quotient.append((tuple(remaining), share))
            if left:
                rest.append((monomial, left))
    return _from_terms(quotient), _from_terms(rest)


def ceil_div(a: Dim, b: Dim) -> Dim:
    """a / b rounded up, for positive b."""
    return floor_div(a + b - 1, b)


def round_up(a: Dim, multiple: int) -> Dim:
    """The smallest multiple of ``multiple`` that is not below a."""
    return ceil_div(a, multiple) * multiple


def modulo(a: Dim, b: Dim) -> Dim:
    """a % b with the sign of b, as in Python."""
    if isinstance(a, int) and isinstance(b, int):
        if b == 0:
            raise ModelError("a dimension is divided by zero")
        return a % b
    if b == 1 or a == b:
        return 0
    _, rest = _divide(a, b)
    if isinstance(rest, int) and isinstance(b, int):
        return rest % b
    return 0 if rest == 0 else _atom("mod", rest, b)


def maximum(a: Dim, b: Dim) -> Dim:
    """The larger one; decided at once where the difference is a constant."""
    return _extremum("max", a, b)


def minimum(a: Dim, b: Dim) -> Dim:
    """The smaller one; decided at once where the difference is a constant."""
    return _extremum("min", a, b)


def _extremum(kind: str, a: Dim, b: Dim) -> Dim:
    bound = lower_bound(a - b)
    if bound is not None and bound >= 0:
        return a if kind == "max" else b
    bound = lower_bound(b - a)
    if bound is not None and bound >= 0:
        return b if kind == "max" else a
    first, second = sorted((a, b), key=str)
    return _atom(kind, first, second)


def lower_bound(dim: Dim) -> int | None:
    """A constant that ``dim`` is never below when every symbol is at least 0, or None when none is known."""
    if isinstance(dim, int):
        return dim
    total = 0
    for monomial, coefficient in dim.terms:
        if not monomial:
            total += coefficient
        elif coefficient < 0 or not all(_never_negative(atom) for atom in monomial):
            return None
    return total


def _never_negative(atom: Atom) -> bool:
    if atom.kind == "symbol":
        return True
    bounds = [lower_bound(operand) for operand in atom.operands]
    if atom.kind == "max":
        return any(bound is not None and bound >= 0 for bound in bounds)
    return all(bound is not None and bound >= 0 for bound in bounds)


def product(dims: Iterable[Dim]) -> Dim:
    """The product of all; 1 for none."""
    total: Dim = 1
    for dim in dims:
        total = total * dim
    return total


def symbols(dim: Dim) -> frozenset[str]:
    """Names of all symbols in ``dim``."""
    if isinstance(dim, int):
        return frozenset()
    names: set[str] = set()
    for monomial, _ in dim.terms:
        for atom in monomial:
            if atom.kind == "symbol":
                names.add(atom.name)
            for operand in atom.operands:
                names |= symbols(operand)
    return frozenset(names)


_APPLY: dict[str, Callable[[int, int], int]] = {
    "floordiv": operator.floordiv,
    "mod": operator.mod,
    "min": min,
    "max": max,
}


def evaluate(dim: Dim, values: Mapping[str, int]) -> int:
    """The number that ``dim`` is for the given sizes.

    Raises:
        KeyError: a symbol has no value.
        ModelError: a division by zero.
    """
    if isinstance(dim, int):
        return dim
    total = 0
    for monomial, coefficient in dim.terms:
        term = coefficient
        for atom in monomial:
            if atom.kind == "symbol":
                term *= values[atom.name]
                continue
            left, right = (evaluate(operand, values) for operand in atom.operands)
            if right == 0 and atom.kind in ("floordiv", "mod"):
                raise ModelError(f"dimension {dim} is divided by zero")
            term *= _APPLY[atom.kind](left, right)
        total += term
    return total


def substitute(dim: Dim, values: Mapping[str, Dim]) -> Dim:
    """``dim`` with some symbols replaced, simplified anew."""
    if isinstance(dim, int):
        return dim
    total: Dim = 0
    for monomial, coefficient in dim.terms:
        term: Dim = coefficient
        for atom in monomial:
            term = term * _substitute_atom(atom, values)
        total = total + term
    return total


def _substitute_atom(atom: Atom, values: Mapping[str, Dim]) -> Dim:
    if atom.kind == "symbol":
        return values.get(atom.name, symbol(atom.name))
    left, right = (substitute(operand, values) for operand in atom.operands)
    return _BUILD[atom.kind](left, right)


_BUILD: dict[str, Callable[[Dim, Dim], Dim]] = {
    "floordiv": floor_div,
    "mod": modulo,
    "min": minimum,
    "max": maximum,
}
