"""Parts of tensors and tensors put together: concat, split, tile, slice, pad."""

from __future__ import annotations

from dataclasses import dataclass

from cnnc.dims import Dim, Expr, ceil_div, lower_bound, maximum, minimum
from cnnc.errors import ModelError
from cnnc.ir.attrs import Attrs
from cnnc.ir.fact import Content, Operands
from cnnc.ops.content import is_never_negative, known_axes, known_dims, known_length, make_content, same_size
from cnnc.ops.dtypes import INDICES
from cnnc.ops.opdef import OpDef, normalize_axis, require_dtype
from cnnc.types import DType, TensorType


@dataclass(frozen=True, slots=True)
class ConcatAttrs(Attrs):
    """The axis that the inputs are joined along."""

    axis: int


@dataclass(frozen=True, slots=True)
class SplitAttrs(Attrs):
    """``num_outputs`` equal pieces (the last may be smaller) where the input ``split`` gives no sizes."""

    axis: int = 0
    num_outputs: int | None = None


@dataclass(frozen=True, slots=True)
class PadAttrs(Attrs):
    """``mode`` is constant, edge, reflect or wrap."""

    mode: str = "constant"

    def __post_init__(self) -> None:
        if self.mode not in ("constant", "edge", "reflect", "wrap"):
            raise ModelError(f"pad mode must be constant, edge, reflect or wrap, got {self.mode!r}")


def _infer_concat(attrs: ConcatAttrs, operands: Operands) -> tuple[TensorType, ...]:
    facts = operands.present()
    if not facts:
        raise ModelError("it needs at least one input")
    first = facts[0]
    if not first.rank:
        raise ModelError("scalars have no axis to be joined along")
    axis = normalize_axis(attrs.axis, first.rank)
    shape = list(first.shape)
    for fact in facts[1:]:
        if fact.dtype is not first.dtype:
            raise ModelError(f"inputs have different element types: {first.dtype.value}, {fact.dtype.value}")
        if fact.rank != first.rank:
            raise ModelError(f"inputs have different ranks: {first.type} and {fact.type}")
        for i, size in enumerate(fact.shape):
            what = f"concat of {first.type} and {fact.type} along axis {axis}"
            shape[i] = shape[i] + size if i == axis else same_size(shape[i], size, what)
    return (TensorType(tuple(shape), first.dtype),)


def _fold_concat(attrs: ConcatAttrs, operands: Operands) -> Content | None:
    dims: list[Dim] = []
    for fact in operands.present():
        known = known_dims(fact)
        if known is None:
            return None
        dims.extend(known)
    return make_content(dims, scalar=False)


def _infer_split(attrs: SplitAttrs, operands: Operands) -> tuple[TensorType, ...]:
    x, listed = operands.need(0), operands[1]
    if not x.rank:
        raise ModelError("a scalar has no axis to be split along")
    axis = normalize_axis(attrs.axis, x.rank)
    pieces = _equal_pieces(attrs, x.shape[axis]) if listed is None else _listed_pieces(operands, x.shape[axis])
    return tuple(TensorType((*x.shape[:axis], piece, *x.shape[axis + 1 :]), x.dtype) for piece in pieces)


def _equal_pieces(attrs: SplitAttrs, extent: Dim) -> list[Dim]:
    count = attrs.num_outputs
    if count is None or count < 1:
        raise ModelError("split needs either its sizes or num_outputs")
    piece = ceil_div(extent, count)
    return [piece, *(maximum(minimum(piece, extent - piece * i), 0) for i in range(1, count))]


def _listed_pieces(operands: Operands, extent: Dim) -> list[Dim]:
    listed = operands.need(1)
    require_dtype(listed, (DType.I64,), "the sizes")
    count = known_length(listed, "the sizes")
    sizes = listed.sizes()
    if sizes is None:
        return [operands.fresh(f"d{i}") for i in range(count)]
    total = sum(sizes, start=0)
    if isinstance(total, int) and isinstance(extent, int) and total != extent:
        raise ModelError(
            f"split sizes [{', '.join(map(str, sizes))}] do not add up to {extent} of {operands.need(0).type}"
        )
    return list(sizes)


def _infer_tile(attrs: Attrs, operands: Operands) -> tuple[TensorType, ...]:
    x, listed = operands.need(0), operands.need(1)
    require_dtype(listed, (DType.I64,), "the repeats")
    count = known_length(listed, "the repeats")
    if count != x.rank:
        raise ModelError(f"{count} repeats for {x.type}")
    repeats = listed.sizes()
    if repeats is None:
        return (TensorType(tuple(operands.fresh(f"d{axis}") for axis in range(x.rank)), x.dtype),)
    return (TensorType(tuple(size * repeat for size, repeat in zip(x.shape, repeats)), x.dtype),)


@dataclass(frozen=True, slots=True)
class _Range:
    """A slice of one axis in place: count elements from start on, step apart."""

    start: Dim
    count: Dim
    step: int


def _slice_axis(start: Dim, end: Dim, step: Dim, extent: Dim) -> _Range | None:
    """The clamped slice; None where the sign of a symbolic limit or of the step is not known."""
    if not isinstance(step, int):
        return None
    if step == 0:
        raise ModelError("slice has a step of 0")
    low, high = (0, extent) if step > 0 else (-1, extent - 1)
    first, last = _limit(start, extent, 0, high), _limit(end, extent, low, high)
    if first is None or last is None:
        return None
    span = last - first if step > 0 else first - last
    return _Range(first, maximum(ceil_div(span, abs(step)), 0), step)


def _limit(limit: Dim, extent: Dim, low: int, high: Dim) -> Dim | None:
    """``limit`` counted from the front and clamped to low..high."""
    # Exporters write "to the end" as a huge number; a symbolic size is taken to be smaller.
    if isinstance(extent, Expr) and isinstance(limit, int) and abs(limit) >= 2**31 - 1:
        return high if limit > 0 else minimum(low, high)
    if is_never_negative(limit):
        # The only way below ``low`` would be an empty axis sliced backwards, whose ``high`` is -1.
        return minimum(limit, high)
    bound = lower_bound(limit * -1)
    if bound is None or bound < 1:
        return None
    return minimum(maximum(limit + extent, low), high)


def _slices(operands: Operands) -> dict[int, _Range | None]:
    """The slice of each listed axis."""
    x, starts, ends, steps = operands.need(0), operands.need(1), operands.need(2), operands[4]
    for fact in operands.present()[1:]:
        require_dtype(fact, INDICES, "starts, ends, axes and steps")
    count = known_length(starts, "starts")
    axes = known_axes(operands, 3, x.rank)
    axes = tuple(range(count)) if axes is None else axes
    lengths = {count, known_length(ends, "ends"), len(axes), count if steps is None else known_length(steps, "steps")}
    if len(lengths) > 1 or count > x.rank:
        raise ModelError(f"slice of {x.type}: starts, ends, axes and steps differ in length or exceed the rank")
    first, last = starts.sizes(), ends.sizes()
    strides = (1,) * count if steps is None else steps.sizes()
    if first is None or last is None or strides is None:
        return dict.fromkeys(axes)
    return {axis: _slice_axis(first[i], last[i], strides[i], x.shape[axis]) for i, axis in enumerate(axes)}


def _infer_slice(attrs: Attrs, operands: Operands) -> tuple[TensorType, ...]:
    x = operands.need(0)
    shape = list(x.shape)
    for axis, part in _slices(operands).items():
        shape[axis] = operands.fresh(f"d{axis}") if part is None else part.count
    return (TensorType(tuple(shape), x.dtype),)


def _fold_slice(attrs: Attrs, operands: Operands) -> Content | None:
    dims = known_dims(operands.need(0))
    if dims is None:
        return None
    part = _slices(operands).get(0, _Range(0, len(dims), 1))
    if part is None or not isinstance(part.start, int) or not isinstance(part.count, int):
        return None
    return make_content([dims[part.start + i * part.step] for i in range(part.count)], scalar=False)


def _infer_pad(attrs: PadAttrs, operands: Operands) -> tuple[TensorType, ...]:
    x, pads, value = operands.need(0), operands.need(1), operands[2]
    require_dtype(pads, (DType.I64,), "the pads")
    if value is not None and (value.dtype is not x.dtype or value.type.elements != 1):
        raise ModelError(f"the pad value must be one {x.dtype.value}, got {value.type}")
    axes = known_axes(operands, 3, x.rank)
    axes = tuple(range(x.rank)) if axes is None else axes
    if known_length(pads, "the pads") != 2 * len(axes):
        raise ModelError(f"pads {pads.type} do not fit {len(axes)} axes of {x.type}: two counts an axis")
    counts = pads.sizes()
    shape = list(x.shape)
    for i, axis in enumerate(axes):
        shape[axis] = operands.fresh(f"d{axis}") if counts is None else shape[axis] + counts[i] + counts[len(axes) + i]
        size = shape[axis]
        if isinstance(size, int) and size < 0:
            raise ModelError(f"pad cuts more than the elements of axis {axis} of {x.type} off")
    return (TensorType(tuple(shape), x.dtype),)


OPS = (
    OpDef("concat", _infer_concat, attrs=ConcatAttrs, inputs=(1, None), fold=_fold_concat),
    OpDef("split", _infer_split, attrs=SplitAttrs, inputs=(1, 2), outputs=(1, None), data_dependent=True),
    OpDef("tile", _infer_tile, inputs=(2, 2), data_dependent=True),
    OpDef("slice", _infer_slice, inputs=(3, 5), fold=_fold_slice, data_dependent=True),
    OpDef("pad", _infer_pad, attrs=PadAttrs, inputs=(2, 4), data_dependent=True),
)
