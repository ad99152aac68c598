"""Elementary functions of one tensor."""

from __future__ import annotations

from collections.abc import Callable

from cnnc.dims import Dim, lower_bound
from cnnc.ir.attrs import Attrs
from cnnc.ir.fact import Operands
from cnnc.ops.content import fold_elementwise, is_never_negative, is_never_positive
from cnnc.ops.dtypes import FLOATS, NUMBERS, SIGNED
from cnnc.ops.opdef import OpDef, require_dtype, same_type
from cnnc.types import DType, TensorType


def same_type_of(allowed: tuple[DType, ...]) -> Callable[..., tuple[TensorType, ...]]:
    """The rule ``same_type`` for some element types only."""

    def infer(attrs: Attrs, operands: Operands) -> tuple[TensorType, ...]:
        require_dtype(operands.need(0), allowed, "the input")
        return same_type(attrs, operands)

    return infer


def _absolute(dim: Dim) -> Dim | None:
    if is_never_negative(dim):
        return dim
    return dim * -1 if is_never_positive(dim) else None


def _sign(dim: Dim) -> Dim | None:
    if isinstance(dim, int):
        return (dim > 0) - (dim < 0)
    bound = lower_bound(dim)
    return 1 if bound is not None and bound > 0 else None


def _foldable(name: str, allowed: tuple[DType, ...], function: Callable[[Dim], Dim | None]) -> OpDef:
    return OpDef(
        name,
        same_type_of(allowed),
        elementwise=True,
        fold=lambda attrs, operands: fold_elementwise(function, operands.present()),
    )


_FLOAT_FUNCTIONS = (
    *("reciprocal", "sqrt", "exp", "log"),
    *("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh"),
)

OPS = (
    _foldable("abs", NUMBERS, _absolute),
    _foldable("neg", SIGNED, lambda dim: dim * -1),
    _foldable("sign", NUMBERS, _sign),
    *(_foldable(name, FLOATS, lambda dim: dim) for name in ("ceil", "floor", "round")),
    OpDef("erf", same_type_of(NUMBERS), elementwise=True),
    *(OpDef(name, same_type_of(FLOATS), elementwise=True) for name in _FLOAT_FUNCTIONS),
)
