"""Element-wise arithmetic with broadcasting: add, sub, mul, div, mod, pow, and max, min, sum, mean of any number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce

from cnnc.dims import Dim, maximum, minimum, modulo
from cnnc.errors import ModelError
from cnnc.ir.attrs import Attrs
from cnnc.ir.fact import Content, Operands
from cnnc.ops.content import fold_elementwise, is_never_negative
from cnnc.ops.dtypes import FLOATS, NUMBERS
from cnnc.ops.opdef import OpDef, broadcast_shapes, require_dtype
from cnnc.types import DType, TensorType


def infer_broadcast(attrs: Attrs, operands: Operands) -> tuple[TensorType, ...]:
    """One output of the broadcast shape; all inputs share one dtype."""
    facts = operands.present()
    if not facts:
        raise ModelError("it needs at least one input")
    if len({fact.dtype for fact in facts}) != 1:
        raise ModelError(f"inputs have different element types: {', '.join(fact.dtype.value for fact in facts)}")
    return (TensorType(broadcast_shapes(*(fact.shape for fact in facts)), facts[0].dtype),)


def broadcast_of(allowed: tuple[DType, ...], result: DType | None = None) -> Callable[..., tuple[TensorType, ...]]:
    """The rule of ``infer_broadcast`` for some element types only; ``result`` is another dtype of the output."""

    def infer(attrs: Attrs, operands: Operands) -> tuple[TensorType, ...]:
        (merged,) = infer_broadcast(attrs, operands)
        require_dtype(operands.need(0), allowed, "the element type")
        return (merged if result is None else TensorType(merged.shape, result),)

    return infer


def _truncated_quotient(a: Dim, b: Dim) -> Dim | None:
    # ONNX integer division truncates; floor agrees where neither operand can be negative.
    if b == 0 or not is_never_negative(a) or not is_never_negative(b):
        return None
    return a // b


def _exact_quotient(a: Dim, b: Dim) -> Dim | None:
    return None if b == 0 or modulo(a, b) != 0 else a // b


_FOLD: dict[str, Callable[[Dim, Dim], Dim | None]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": _truncated_quotient,
    "max": maximum,
    "min": minimum,
}


def _binary(name: str) -> OpDef:
    def fold(attrs: Attrs, operands: Operands) -> Content | None:
        is_true_division = name == "div" and operands.need(0).dtype.is_float
        return fold_elementwise(_exact_quotient if is_true_division else _FOLD[name], operands.present())

    return OpDef(name, broadcast_of(NUMBERS), inputs=(2, 2), elementwise=True, fold=fold)


def _variadic(name: str, allowed: tuple[DType, ...]) -> OpDef:
    def fold(attrs: Attrs, operands: Operands) -> Content | None:
        if name not in _FOLD:
            return None
        return fold_elementwise(lambda *dims: reduce(_FOLD[name], dims), operands.present())

    return OpDef(name, broadcast_of(allowed), inputs=(1, None), elementwise=True, fold=fold)


@dataclass(frozen=True, slots=True)
class ModAttrs(Attrs):
    """``fmod=1``: the sign of the first input instead of the second's."""

    fmod: int = 0


def _fold_mod(attrs: ModAttrs, operands: Operands) -> Content | None:
    def remainder(a: Dim, b: Dim) -> Dim | None:
        if b == 0 or (attrs.fmod and not (is_never_negative(a) and is_never_negative(b))):
            return None
        return modulo(a, b)

    return fold_elementwise(remainder, operands.present())


def _infer_pow(attrs: Attrs, operands: Operands) -> tuple[TensorType, ...]:
    base, exponent = operands.need(0), operands.need(1)
    require_dtype(base, NUMBERS, "the base")
    require_dtype(exponent, NUMBERS, "the exponent")
    return (TensorType(broadcast_shapes(base.shape, exponent.shape), base.dtype),)


OPS = (
    *(_binary(name) for name in ("add", "sub", "mul", "div")),
    OpDef("mod", broadcast_of(NUMBERS), attrs=ModAttrs, inputs=(2, 2), elementwise=True, fold=_fold_mod),
    OpDef("pow", _infer_pow, inputs=(2, 2), elementwise=True),
    *(_variadic(name, NUMBERS) for name in ("max", "min")),
    *(_variadic(name, FLOATS) for name in ("sum", "mean")),
)
