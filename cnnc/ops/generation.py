"""Tensors made from a few numbers: constant_of_shape, range, eye_like, one_hot, trilu."""

from __future__ import annotations

import math
from dataclasses import dataclass

from cnnc.dims import Dim, ceil_div, maximum
from cnnc.errors import ModelError
from cnnc.ir.attrs import Attrs
from cnnc.ir.fact import Content, Fact, Operands
from cnnc.ops.content import known_dims, known_length, make_content
from cnnc.ops.dtypes import INDICES, NUMBERS
from cnnc.ops.opdef import OpDef, require_dtype
from cnnc.types import DType, TensorType


@dataclass(frozen=True, slots=True)
class ConstantOfShapeAttrs(Attrs):
    """ONNX's one-element tensor ``value``, as a number and its element type."""

    value: float | int | bool = 0.0
    dtype: DType = DType.F32


@dataclass(frozen=True, slots=True)
class EyeLikeAttrs(Attrs):
    """Diagonal ``k`` (above the main one where positive); ``dtype`` None is the input's."""

    dtype: DType | None = None
    k: int = 0


@dataclass(frozen=True, slots=True)
class OneHotAttrs(Attrs):
    """Place of the new axis in the result."""

    axis: int = -1


@dataclass(frozen=True, slots=True)
class RangeAttrs(Attrs):
    """``stash_type`` 1: half floats are computed in float32."""

    stash_type: int = 1


@dataclass(frozen=True, slots=True)
class TriluAttrs(Attrs):
    """``upper``: the upper triangle is kept, else the lower."""

    upper: int = 1


def _infer_constant_of_shape(attrs: ConstantOfShapeAttrs, operands: Operands) -> tuple[TensorType, ...]:
    target = operands.need(0)
    require_dtype(target, (DType.I64,), "the shape")
    rank = known_length(target, "the shape")
    sizes: tuple[Dim, ...] | None = target.sizes()
    if sizes is None:
        sizes = tuple(operands.fresh(f"d{axis}") for axis in range(rank))
    return (TensorType(sizes, attrs.dtype),)


def _fold_constant_of_shape(attrs: ConstantOfShapeAttrs, operands: Operands) -> Content | None:
    sizes = operands.need(0).sizes()
    if not attrs.dtype.is_integer or sizes is None or len(sizes) > 1:
        return None
    (length,) = sizes or (1,)
    if not isinstance(length, int):
        return None
    return make_content((int(attrs.value),) * length, scalar=not sizes)


def _infer_eye_like(attrs: EyeLikeAttrs, operands: Operands) -> tuple[TensorType, ...]:
    x = operands.need(0)
    if x.rank != 2:
        raise ModelError(f"eye_like takes a matrix, got {x.type}")
    return (TensorType(x.shape, attrs.dtype or x.dtype),)


def _infer_one_hot(attrs: OneHotAttrs, operands: Operands) -> tuple[TensorType, ...]:
    indices, depth, values = (operands.need(i) for i in range(3))
    require_dtype(indices, NUMBERS, "the indices")
    require_dtype(depth, NUMBERS, "the depth")
    if depth.type.elements != 1:
        raise ModelError(f"the depth must be one number, got {depth.type}")
    if values.rank != 1 or (values.type.is_static and values.shape[0] != 2):
        raise ModelError(f"the values must be (off, on), got {values.type}")
    rank = indices.rank + 1
    if not -rank <= attrs.axis < rank:
        raise ModelError(f"axis {attrs.axis} is outside a result of rank {rank}")
    axis = attrs.axis % rank
    size = _whole_number(depth)
    shape = (*indices.shape[:axis], operands.fresh("d0") if size is None else size, *indices.shape[axis:])
    return (TensorType(shape, values.dtype),)


def _whole_number(fact: Fact) -> Dim | None:
    if fact.array is not None and fact.array.dtype.kind not in "iu":
        return int(fact.array.reshape(-1)[0].item())
    sizes = fact.sizes()
    return None if sizes is None else sizes[0]


def _infer_range(attrs: RangeAttrs, operands: Operands) -> tuple[TensorType, ...]:
    facts = [operands.need(i) for i in range(3)]
    for fact in facts:
        require_dtype(fact, NUMBERS, "start, limit and delta")
        if fact.dtype is not facts[0].dtype or fact.type.elements != 1:
            raise ModelError("start, limit and delta must be one number each, of one element type")
    return (TensorType((_range_length(facts, operands),), facts[0].dtype),)


def _range_length(facts: list[Fact], operands: Operands) -> Dim:
    arrays = [fact.array for fact in facts]
    if facts[0].dtype.is_float:
        if any(array is None for array in arrays):
            return operands.fresh("d0")
        start, limit, delta = (float(array.reshape(-1)[0].item()) for array in arrays if array is not None)
        if delta == 0 or not all(map(math.isfinite, (start, limit, delta))):
            raise ModelError(f"range from {start} to {limit} by {delta} has no end")
        return max(math.ceil((limit - start) / delta), 0)
    sizes = [fact.sizes() for fact in facts]
    first, last, step = (None if size is None else size[0] for size in sizes)
    if step == 0:
        raise ModelError(f"range from {first} to {last} by 0 has no end")
    if first is None or last is None or not isinstance(step, int):
        return operands.fresh("d0")
    span = last - first if step > 0 else first - last
    return maximum(ceil_div(span, abs(step)), 0)


def _fold_range(attrs: RangeAttrs, operands: Operands) -> Content | None:
    columns = [known_dims(operands.need(i)) for i in range(3)]
    (first,), (_,), (step,) = (column or (None,) for column in columns)
    if None in columns or first is None or not isinstance(step, int):
        return None
    length = _infer_range(attrs, operands)[0].shape[0]
    if not isinstance(length, int):
        return None
    return make_content([first + step * i for i in range(length)], scalar=False) if length <= 2**16 else None


def _infer_trilu(attrs: TriluAttrs, operands: Operands) -> tuple[TensorType, ...]:
    x, k = operands.need(0), operands[1]
    if x.rank < 2:
        raise ModelError(f"trilu takes matrices, got {x.type}")
    if k is not None:
        require_dtype(k, INDICES, "the diagonal")
        if k.type.elements != 1:
            raise ModelError(f"the diagonal must be one number, got {k.type}")
    return (TensorType(x.shape, x.dtype),)


OPS = (
    OpDef(
        "constant_of_shape",
        _infer_constant_of_shape,
        attrs=ConstantOfShapeAttrs,
        fold=_fold_constant_of_shape,
        data_dependent=True,
    ),
    OpDef("eye_like", _infer_eye_like, attrs=EyeLikeAttrs),
    OpDef("one_hot", _infer_one_hot, attrs=OneHotAttrs, inputs=(3, 3), data_dependent=True),
    OpDef("range", _infer_range, attrs=RangeAttrs, inputs=(3, 3), fold=_fold_range, data_dependent=True),
    OpDef("trilu", _infer_trilu, attrs=TriluAttrs, inputs=(1, 2)),
)
