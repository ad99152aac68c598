"""The text of a dimension back into an expression: what ``str`` printed, parsed and never evaluated."""

from __future__ import annotations

import ast

from cnnc.dims import Dim, floor_div, maximum, minimum, modulo, symbol
from cnnc.errors import ModelError

_MAX_TEXT = 4096
_EXTREMA = {"min": minimum, "max": maximum}


def parse(text: str) -> Dim:
    """The expression that ``str`` printed. The text is parsed, never evaluated.

    Raises:
        ModelError: anything but integers, names, ``+ - * // %``, ``min`` and ``max``, or over 4096 characters.
    """
    if len(text) > _MAX_TEXT:
        raise ModelError(f"a dimension's text has {len(text)} characters, more than {_MAX_TEXT}")
    try:
        return _build(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ModelError(f"{text[:80]!r} is not a dimension expression") from error


def _build(node: ast.expr) -> Dim:
    match node:
        case ast.Constant(value=int() as value) if not isinstance(value, bool):
            return value
        case ast.Name(id=name):
            return symbol(name)
        case ast.Attribute(value=inner, attr=attr):
            return symbol(f"{ast.unparse(inner)}.{attr}")
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_build(operand)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _build(left) + _build(right)
        case ast.BinOp(left=left, op=ast.Sub(), right=right):
            return _build(left) - _build(right)
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return _build(left) * _build(right)
        case ast.BinOp(left=left, op=ast.FloorDiv(), right=right):
            return floor_div(_build(left), _build(right))
        case ast.BinOp(left=left, op=ast.Mod(), right=right):
            return modulo(_build(left), _build(right))
        case ast.Call(func=ast.Name(id=("min" | "max") as name), args=[left, right], keywords=[]):
            return _EXTREMA[name](_build(left), _build(right))
    raise ValueError(ast.dump(node)[:80])
