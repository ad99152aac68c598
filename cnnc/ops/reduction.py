"""Reductions over axes, running sums and products, and the places of extrema."""

from __future__ import annotations

from dataclasses import dataclass

from cnnc.dims import Dim, product
from cnnc.errors import ModelError
from cnnc.ir.attrs import Attrs
from cnnc.ir.fact import Content, Operands
from cnnc.ops.content import known_axes, known_dims, make_content
from cnnc.ops.dtypes import BOOL, INDICES, NUMBERS
from cnnc.ops.opdef import OpDef, normalize_axis, require_dtype
from cnnc.types import DType, TensorType


@dataclass(frozen=True, slots=True)
class ReduceAttrs(Attrs):
    """The second input lists the axes; absent or empty it means all, or none with ``noop_with_empty_axes``."""

    keepdims: int = 1
    noop_with_empty_axes: int = 0


@dataclass(frozen=True, slots=True)
class ArgAttrs(Attrs):
    """``select_last_index``: the last of equal extrema instead of the first."""

    axis: int = 0
    keepdims: int = 1
    select_last_index: int = 0


@dataclass(frozen=True, slots=True)
class RunningAttrs(Attrs):
    """``exclusive`` leaves the element itself out; ``reverse`` runs from the end."""

    exclusive: int = 0
    reverse: int = 0


def _reduced(shape: tuple[Dim, ...], axes: tuple[int, ...], keepdims: int) -> tuple[Dim, ...]:
    if keepdims:
        return tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    return tuple(size for axis, size in enumerate(shape) if axis not in axes)


def _axes(attrs: ReduceAttrs, operands: Operands) -> tuple[int, ...]:
    rank = operands.need(0).rank
    axes = known_axes(operands, 1, rank) or ()
    return axes if axes or attrs.noop_with_empty_axes else tuple(range(rank))


def _infer_reduce(attrs: ReduceAttrs, operands: Operands) -> tuple[TensorType, ...]:
    x = operands.need(0)
    return (TensorType(_reduced(x.shape, _axes(attrs, operands), attrs.keepdims), x.dtype),)


def _infer_numeric_reduce(attrs: ReduceAttrs, operands: Operands) -> tuple[TensorType, ...]:
    require_dtype(operands.need(0), NUMBERS, "the input")
    return _infer_reduce(attrs, operands)


def _infer_extremum(attrs: ReduceAttrs, operands: Operands) -> tuple[TensorType, ...]:
    require_dtype(operands.need(0), NUMBERS + BOOL, "the input")
    return _infer_reduce(attrs, operands)


def _fold_reduce(name: str, attrs: ReduceAttrs, operands: Operands) -> Content | None:
    dims = known_dims(operands.need(0))
    if dims is None:
        return None
    scalar = operands.need(0).rank == 0
    if scalar or not _axes(attrs, operands):
        return make_content(dims, scalar)
    total = product(dims) if name == "reduce_prod" else sum(dims, start=0)
    return make_content((total,), scalar=not attrs.keepdims)


def _reduce(name: str) -> OpDef:
    if name in ("reduce_max", "reduce_min"):
        return OpDef(name, _infer_extremum, attrs=ReduceAttrs, inputs=(1, 2))
    if name not in ("reduce_sum", "reduce_prod"):
        return OpDef(name, _infer_numeric_reduce, attrs=ReduceAttrs, inputs=(1, 2))
    return OpDef(
        name,
        _infer_numeric_reduce,
        attrs=ReduceAttrs,
        inputs=(1, 2),
        fold=lambda attrs, operands: _fold_reduce(name, attrs, operands),
    )


def _infer_arg(attrs: ArgAttrs, operands: Operands) -> tuple[TensorType, ...]:
    x = operands.need(0)
    require_dtype(x, NUMBERS, "the input")
    axis = normalize_axis(attrs.axis, x.rank)
    if x.rank and x.shape[axis] == 0:
        raise ModelError(f"axis {axis} of {x.type} is empty: nothing to choose from")
    return (TensorType(_reduced(x.shape, (axis,), attrs.keepdims), DType.I64),)


def _infer_running(attrs: RunningAttrs, operands: Operands) -> tuple[TensorType, ...]:
    x, axis = operands.need(0), operands.need(1)
    require_dtype(x, NUMBERS, "the input")
    require_dtype(axis, INDICES, "the axis")
    if axis.type.elements != 1:
        raise ModelError(f"the axis must be one number, got {axis.type}")
    if x.rank == 0:
        raise ModelError("a scalar has no axis to run along")
    if axis.sizes() is not None:
        known_axes(operands, 1, x.rank)
    return (TensorType(x.shape, x.dtype),)


_REDUCTIONS = (
    *("reduce_sum", "reduce_mean", "reduce_prod", "reduce_max", "reduce_min"),
    *("reduce_l1", "reduce_l2", "reduce_sum_square", "reduce_log_sum", "reduce_log_sum_exp"),
)

OPS = (
    *(_reduce(name) for name in _REDUCTIONS),
    *(OpDef(name, _infer_arg, attrs=ArgAttrs) for name in ("arg_max", "arg_min")),
    *(OpDef(name, _infer_running, attrs=RunningAttrs, inputs=(2, 2)) for name in ("cum_sum", "cum_prod")),
)
