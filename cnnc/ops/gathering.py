"""Elements taken from or put to places that a tensor names."""

from __future__ import annotations

from dataclasses import dataclass

from cnnc.errors import ModelError, UnsupportedError
from cnnc.ir.attrs import Attrs
from cnnc.ir.fact import Content, Fact, Operands
from cnnc.ops.content import known_dims, make_content, same_size
from cnnc.ops.dtypes import INDICES, NUMBERS
from cnnc.ops.opdef import OpDef, normalize_axis, require_dtype
from cnnc.types import DType, TensorType

_REDUCTIONS = ("none", "add", "mul", "max", "min")


def _check_reduction(reduction: str) -> None:
    if reduction not in _REDUCTIONS:
        raise ModelError(f"reduction must be one of {', '.join(_REDUCTIONS)}, got {reduction!r}")


@dataclass(frozen=True, slots=True)
class GatherAttrs(Attrs):
    """The axis that the indices count along."""

    axis: int = 0


@dataclass(frozen=True, slots=True)
class GatherNDAttrs(Attrs):
    """Leading axes that data and indices share."""

    batch_dims: int = 0


@dataclass(frozen=True, slots=True)
class ScatterElementsAttrs(Attrs):
    """``reduction`` is none (replace), add, mul, max or min."""

    axis: int = 0
    reduction: str = "none"

    def __post_init__(self) -> None:
        _check_reduction(self.reduction)


@dataclass(frozen=True, slots=True)
class ScatterNDAttrs(Attrs):
    """``reduction`` is none (replace), add, mul, max or min."""

    reduction: str = "none"

    def __post_init__(self) -> None:
        _check_reduction(self.reduction)


@dataclass(frozen=True, slots=True)
class ReverseSequenceAttrs(Attrs):
    """One of the two axes is 0, the other 1."""

    batch_axis: int = 1
    time_axis: int = 0


def _axis_of(axis: int, data: Fact) -> int:
    if not data.rank:
        raise ModelError("a scalar has no axis")
    return normalize_axis(axis, data.rank)


def _check_known_indices(indices: Fact, data: Fact, axis: int) -> None:
    """Refuse constant indices that lie outside the axis."""
    extent = data.shape[axis]
    if indices.array is None or not isinstance(extent, int) or not indices.array.size:
        return
    low, high = int(indices.array.min()), int(indices.array.max())
    if low < -extent or high >= extent:
        raise ModelError(f"indices {low}..{high} reach outside axis {axis} of {data.type}")


def _infer_gather(attrs: GatherAttrs, operands: Operands) -> tuple[TensorType, ...]:
    data, indices = operands.need(0), operands.need(1)
    require_dtype(indices, INDICES, "the indices")
    axis = _axis_of(attrs.axis, data)
    _check_known_indices(indices, data, axis)
    return (TensorType((*data.shape[:axis], *indices.shape, *data.shape[axis + 1 :]), data.dtype),)


def _fold_gather(attrs: GatherAttrs, operands: Operands) -> Content | None:
    dims, indices = known_dims(operands.need(0)), operands.need(1)
    places = indices.sizes()
    if dims is None or places is None or indices.rank > 1:
        return None
    if not all(isinstance(place, int) and -len(dims) <= place < len(dims) for place in places):
        return None
    return make_content([dims[place] for place in places if isinstance(place, int)], scalar=indices.rank == 0)


def _check_same_rank(data: Fact, indices: Fact, axis: int) -> None:
    if data.rank != indices.rank:
        raise ModelError(f"data {data.type} and indices {indices.type} differ in rank")
    for i, (size, own) in enumerate(zip(indices.shape, data.shape)):
        if i != axis and isinstance(size, int) and isinstance(own, int) and size > own:
            raise ModelError(f"indices {indices.type} exceed data {data.type} on axis {i}")
    _check_known_indices(indices, data, axis)


def _infer_gather_elements(attrs: GatherAttrs, operands: Operands) -> tuple[TensorType, ...]:
    data, indices = operands.need(0), operands.need(1)
    require_dtype(indices, INDICES, "the indices")
    _check_same_rank(data, indices, _axis_of(attrs.axis, data))
    return (TensorType(indices.shape, data.dtype),)


def _depth(data: Fact, indices: Fact, batch: int) -> int:
    """Number of data axes that one row of indices names."""
    if not indices.rank or not data.rank:
        raise ModelError(f"data {data.type} and indices {indices.type} both need an axis")
    depth = indices.shape[-1]
    if not isinstance(depth, int):
        raise UnsupportedError(
            f"the last axis of indices {indices.type} is not known, so the rank of a slice is not either"
        )
    if not 1 <= depth <= data.rank - batch:
        raise ModelError(f"indices {indices.type} name {depth} axes of {data.type} after {batch} batch axes")
    return depth


def _infer_gather_nd(attrs: GatherNDAttrs, operands: Operands) -> tuple[TensorType, ...]:
    data, indices = operands.need(0), operands.need(1)
    require_dtype(indices, (DType.I64,), "the indices")
    batch = attrs.batch_dims
    if not 0 <= batch < max(min(data.rank, indices.rank), 1):
        raise ModelError(f"batch_dims {batch} is too many for data {data.type} and indices {indices.type}")
    depth = _depth(data, indices, batch)
    for a, b in zip(data.shape[:batch], indices.shape[:batch]):
        same_size(a, b, f"batch axes of data {data.type} and indices {indices.type}")
    return (TensorType((*indices.shape[:-1], *data.shape[batch + depth :]), data.dtype),)


def _infer_scatter_elements(attrs: ScatterElementsAttrs, operands: Operands) -> tuple[TensorType, ...]:
    data, indices, updates = (operands.need(i) for i in range(3))
    require_dtype(indices, INDICES, "the indices")
    _check_same_rank(data, indices, _axis_of(attrs.axis, data))
    _check_updates(attrs.reduction, data, updates)
    if updates.rank != indices.rank:
        raise ModelError(f"updates {updates.type} and indices {indices.type} differ in rank")
    for a, b in zip(indices.shape, updates.shape):
        same_size(a, b, f"updates {updates.type} for indices {indices.type}")
    return (TensorType(data.shape, data.dtype),)


def _infer_scatter_nd(attrs: ScatterNDAttrs, operands: Operands) -> tuple[TensorType, ...]:
    data, indices, updates = (operands.need(i) for i in range(3))
    require_dtype(indices, (DType.I64,), "the indices")
    depth = _depth(data, indices, 0)
    _check_updates(attrs.reduction, data, updates)
    wanted = (*indices.shape[:-1], *data.shape[depth:])
    text = f"updates {updates.type} for indices {indices.type} into {data.type}"
    if updates.rank != len(wanted):
        raise ModelError(f"{text}: rank {len(wanted)} is needed")
    for a, b in zip(wanted, updates.shape):
        same_size(a, b, text)
    return (TensorType(data.shape, data.dtype),)


def _check_updates(reduction: str, data: Fact, updates: Fact) -> None:
    if updates.dtype is not data.dtype:
        raise ModelError(f"updates are {updates.dtype.value}, but data is {data.dtype.value}")
    if reduction != "none":
        require_dtype(data, NUMBERS, f"data of reduction {reduction}")


def _infer_reverse_sequence(attrs: ReverseSequenceAttrs, operands: Operands) -> tuple[TensorType, ...]:
    x, lengths = operands.need(0), operands.need(1)
    require_dtype(lengths, (DType.I64,), "the lengths")
    if x.rank < 2 or lengths.rank != 1:
        raise ModelError(f"it takes rank 2 or more and one length a batch element, got {x.type} and {lengths.type}")
    if {attrs.batch_axis, attrs.time_axis} != {0, 1}:
        raise ModelError(f"batch_axis {attrs.batch_axis} and time_axis {attrs.time_axis} must be 0 and 1")
    same_size(x.shape[attrs.batch_axis], lengths.shape[0], f"lengths {lengths.type} for {x.type}")
    return (TensorType(x.shape, x.dtype),)


OPS = (
    OpDef("gather", _infer_gather, attrs=GatherAttrs, inputs=(2, 2), fold=_fold_gather),
    OpDef("gather_elements", _infer_gather_elements, attrs=GatherAttrs, inputs=(2, 2)),
    OpDef("gather_nd", _infer_gather_nd, attrs=GatherNDAttrs, inputs=(2, 2)),
    OpDef("scatter_elements", _infer_scatter_elements, attrs=ScatterElementsAttrs, inputs=(3, 3)),
    OpDef("scatter_nd", _infer_scatter_nd, attrs=ScatterNDAttrs, inputs=(3, 3)),
    OpDef("reverse_sequence", _infer_reverse_sequence, attrs=ReverseSequenceAttrs, inputs=(2, 2)),
)
