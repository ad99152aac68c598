"""Ops whose result is chosen by the values: top_k, unique, non_zero, compress."""

from __future__ import annotations

from dataclasses import dataclass

from cnnc.dims import Dim
from cnnc.errors import ModelError
from cnnc.ir.attrs import Attrs
from cnnc.ir.fact import Operands
from cnnc.ops.dtypes import BOOL, NUMBERS
from cnnc.ops.opdef import OpDef, normalize_axis, require_dtype
from cnnc.types import DType, TensorType


@dataclass(frozen=True, slots=True)
class TopKAttrs(Attrs):
    """The ``largest`` or smallest along the axis; ``sorted`` in order."""

    axis: int = -1
    largest: int = 1
    sorted: int = 1


@dataclass(frozen=True, slots=True)
class UniqueAttrs(Attrs):
    """Distinct elements, or slices along ``axis``; ascending or in order of first appearance."""

    axis: int | None = None
    sorted: int = 1


@dataclass(frozen=True, slots=True)
class CompressAttrs(Attrs):
    """The axis that the condition chooses along; None flattens."""

    axis: int | None = None


def _infer_top_k(attrs: TopKAttrs, operands: Operands) -> tuple[TensorType, ...]:
    x, k = operands.need(0), operands.need(1)
    require_dtype(x, NUMBERS, "the input")
    require_dtype(k, (DType.I64,), "k")
    if k.type.elements != 1:
        raise ModelError(f"k must be one number, got {k.type}")
    if not x.rank:
        raise ModelError("a scalar has no axis to choose along")
    axis = normalize_axis(attrs.axis, x.rank)
    sizes, extent = k.sizes(), x.shape[axis]
    count: Dim = operands.fresh("d0") if sizes is None else sizes[0]
    if isinstance(count, int) and (count < 0 or (isinstance(extent, int) and count > extent)):
        raise ModelError(f"k is {count} on axis {axis} of {x.type}")
    shape = (*x.shape[:axis], count, *x.shape[axis + 1 :])
    return (TensorType(shape, x.dtype), TensorType(shape, DType.I64))


def _infer_unique(attrs: UniqueAttrs, operands: Operands) -> tuple[TensorType, ...]:
    x, count = operands.need(0), operands.fresh("d0")
    if attrs.axis is None:
        shape: tuple[Dim, ...] = (count,)
        length = x.type.elements
    else:
        axis = normalize_axis(attrs.axis, x.rank)
        shape = (*x.shape[:axis], count, *x.shape[axis + 1 :])
        length = x.shape[axis]
    index = TensorType((count,), DType.I64)
    return (TensorType(shape, x.dtype), index, TensorType((length,), DType.I64), index)


def _infer_non_zero(attrs: Attrs, operands: Operands) -> tuple[TensorType, ...]:
    return (TensorType((operands.need(0).rank, operands.fresh("d0")), DType.I64),)


def _infer_compress(attrs: CompressAttrs, operands: Operands) -> tuple[TensorType, ...]:
    x, condition = operands.need(0), operands.need(1)
    require_dtype(condition, BOOL, "the condition")
    if condition.rank != 1:
        raise ModelError(f"the condition must have rank 1, got {condition.type}")
    axis = None if attrs.axis is None else normalize_axis(attrs.axis, x.rank)
    extent, given = x.type.elements if axis is None else x.shape[axis], condition.shape[0]
    if isinstance(extent, int) and isinstance(given, int) and given > extent:
        raise ModelError(f"{given} conditions for {extent} elements of {x.type}")
    count: Dim = operands.fresh("d0") if condition.array is None else int(condition.array.astype(bool).sum())
    shape = (count,) if axis is None else (*x.shape[:axis], count, *x.shape[axis + 1 :])
    return (TensorType(shape, x.dtype),)


OPS = (
    OpDef("top_k", _infer_top_k, attrs=TopKAttrs, inputs=(2, 2), outputs=(1, 2), data_dependent=True),
    OpDef("unique", _infer_unique, attrs=UniqueAttrs, outputs=(1, 4), data_dependent=True),
    OpDef("non_zero", _infer_non_zero, data_dependent=True),
    OpDef("compress", _infer_compress, attrs=CompressAttrs, inputs=(2, 2), data_dependent=True),
)
