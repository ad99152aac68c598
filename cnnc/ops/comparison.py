"""Element-wise comparisons, tests for special floats, and selection by a condition."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cnnc.dims import Dim, lower_bound
from cnnc.errors import ModelError
from cnnc.ir.attrs import Attrs
from cnnc.ir.fact import Content, Operands
from cnnc.ops.arithmetic import broadcast_of
from cnnc.ops.content import fold_elementwise, is_never_negative, is_never_positive, known_dims, make_content
from cnnc.ops.dtypes import ANY, BOOL, FLOATS, NUMBERS
from cnnc.ops.opdef import OpDef, broadcast_shapes, require_dtype
from cnnc.types import DType, TensorType


def _is_positive(dim: Dim) -> bool:
    bound = lower_bound(dim)
    return bound is not None and bound > 0


def _equal(a: Dim, b: Dim) -> Dim | None:
    if a == b:
        return 1
    return 0 if _is_positive(a - b) or _is_positive(b - a) else None


def _greater(a: Dim, b: Dim) -> Dim | None:
    if _is_positive(a - b):
        return 1
    return 0 if is_never_positive(a - b) else None


def _greater_or_equal(a: Dim, b: Dim) -> Dim | None:
    if is_never_negative(a - b):
        return 1
    return 0 if _is_positive(b - a) else None


def _comparison(name: str, allowed: tuple[DType, ...], decide: Callable[[Dim, Dim], Dim | None]) -> OpDef:
    return OpDef(
        name,
        broadcast_of(allowed, DType.BOOL),
        inputs=(2, 2),
        elementwise=True,
        fold=lambda attrs, operands: fold_elementwise(decide, operands.present()),
    )


def _infer_float_test(attrs: Attrs, operands: Operands) -> tuple[TensorType, ...]:
    x = operands.need(0)
    require_dtype(x, FLOATS, "the input")
    return (TensorType(x.shape, DType.BOOL, x.type.layout),)


@dataclass(frozen=True, slots=True)
class IsInfAttrs(Attrs):
    """Which infinities count."""

    detect_negative: int = 1
    detect_positive: int = 1


def _infer_where(attrs: Attrs, operands: Operands) -> tuple[TensorType, ...]:
    condition, x, y = (operands.need(i) for i in range(3))
    require_dtype(condition, BOOL, "the condition")
    if x.dtype is not y.dtype:
        raise ModelError(f"inputs have different element types: {x.dtype.value}, {y.dtype.value}")
    return (TensorType(broadcast_shapes(condition.shape, x.shape, y.shape), x.dtype),)


def _fold_where(attrs: Attrs, operands: Operands) -> Content | None:
    condition, x, y = (operands.need(i) for i in range(3))
    left, right = known_dims(x), known_dims(y)
    if left is None or right is None or condition.array is None or condition.rank > 1:
        return None
    choices = [bool(choice) for choice in condition.array.reshape(-1)]
    lengths = {len(choices), len(left), len(right)} - {1}
    dims = []
    for i in range(max(lengths, default=1)):
        choice, a, b = (column[i if len(column) > 1 else 0] for column in (choices, left, right))
        dims.append(a if choice else b)
    return make_content(dims, scalar=condition.rank == x.rank == y.rank == 0)


OPS = (
    _comparison("equal", ANY, _equal),
    _comparison("greater", NUMBERS, _greater),
    _comparison("greater_or_equal", NUMBERS, _greater_or_equal),
    _comparison("less", NUMBERS, lambda a, b: _greater(b, a)),
    _comparison("less_or_equal", NUMBERS, lambda a, b: _greater_or_equal(b, a)),
    OpDef("is_nan", _infer_float_test, elementwise=True),
    OpDef("is_inf", _infer_float_test, attrs=IsInfAttrs, elementwise=True),
    OpDef("where", _infer_where, inputs=(3, 3), elementwise=True, fold=_fold_where),
)
