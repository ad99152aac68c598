"""Ops that keep every element and change its place, and questions about shapes."""

from __future__ import annotations

from dataclasses import dataclass

from cnnc.dims import Dim, product
from cnnc.errors import ModelError
from cnnc.ir.attrs import Attrs
from cnnc.ir.fact import Content, Fact, Operands
from cnnc.ops.content import known_axes, known_dims, known_length, make_content
from cnnc.ops.dtypes import INDICES
from cnnc.ops.opdef import OpDef, broadcast_shapes, require_dtype
from cnnc.types import DType, TensorType


@dataclass(frozen=True, slots=True)
class ShapeAttrs(Attrs):
    """The axes start..end (end None: all), limits clamped to the rank."""

    start: int = 0
    end: int | None = None


@dataclass(frozen=True, slots=True)
class DimsAttrs(Attrs):
    """An int64 tensor of symbolic content: rank 0 with ``scalar``, else rank 1."""

    dims: tuple[Dim, ...]
    scalar: bool = False

    def __post_init__(self) -> None:
        if self.scalar and len(self.dims) != 1:
            raise ModelError(f"a scalar has one element, not {len(self.dims)}")


@dataclass(frozen=True, slots=True)
class ReshapeAttrs(Attrs):
    """``allowzero``: a 0 in the target shape means 0 elements instead of the input's size."""

    allowzero: int = 0


@dataclass(frozen=True, slots=True)
class FlattenAttrs(Attrs):
    """Axes before ``axis`` become the rows."""

    axis: int = 1


@dataclass(frozen=True, slots=True)
class TransposeAttrs(Attrs):
    """Axis i of the result is axis perm[i] of the input; None reverses all axes."""

    perm: tuple[int, ...] | None = None


def _infer_shape(attrs: ShapeAttrs, operands: Operands) -> tuple[TensorType, ...]:
    return (TensorType((len(operands.need(0).shape[attrs.start : attrs.end]),), DType.I64),)


def _fold_shape(attrs: ShapeAttrs, operands: Operands) -> Content | None:
    return make_content(operands.need(0).shape[attrs.start : attrs.end], scalar=False)


def _infer_size(attrs: Attrs, operands: Operands) -> tuple[TensorType, ...]:
    return (TensorType((), DType.I64),)


def _infer_dims(attrs: DimsAttrs, operands: Operands) -> tuple[TensorType, ...]:
    return (TensorType(() if attrs.scalar else (len(attrs.dims),), DType.I64),)


def reshaped(x: Fact, target: tuple[Dim, ...], allowzero: int) -> tuple[Dim, ...]:
    """The shape that ``reshape`` makes of ``target``: zeros copied, -1 derived.

    Raises:
        ModelError: more than one -1, or element counts that cannot agree.
    """
    text = f"reshape of {x.type} to [{', '.join(map(str, target))}]"
    sizes: list[Dim] = []
    for axis, size in enumerate(target):
        if size == 0 and not allowzero:
            if axis >= x.rank:
                raise ModelError(f"{text}: axis {axis} has no input size to copy")
            size = x.shape[axis]
        if isinstance(size, int) and size < -1:
            raise ModelError(f"{text}: {size} is no size")
        sizes.append(size)
    elements = x.type.elements
    if sizes.count(-1) > 1:
        raise ModelError(f"{text}: more than one -1")
    if -1 not in sizes:
        count = product(sizes)
        if isinstance(count, int) and isinstance(elements, int) and count != elements:
            raise ModelError(f"{text}: {elements} elements against {count}")
        return tuple(sizes)
    others = product(size for size in sizes if size != -1)
    if others == 0 or (isinstance(elements, int) and isinstance(others, int) and elements % others):
        raise ModelError(f"{text}: {elements} elements do not divide by {others}")
    derived = elements // others
    return tuple(derived if size == -1 else size for size in sizes)


def _infer_reshape(attrs: ReshapeAttrs, operands: Operands) -> tuple[TensorType, ...]:
    x, target = operands.need(0), operands.need(1)
    require_dtype(target, (DType.I64,), "the shape")
    rank = known_length(target, "the shape")
    sizes = target.sizes()
    if sizes is None:
        return (TensorType(tuple(operands.fresh(f"d{axis}") for axis in range(rank)), x.dtype),)
    return (TensorType(reshaped(x, sizes, attrs.allowzero), x.dtype),)


def _same_elements(operands: Operands, rank: int) -> Content | None:
    """Content of a result that has the input's elements in order."""
    dims = known_dims(operands.need(0))
    return None if dims is None or rank > 1 else make_content(dims, scalar=rank == 0)


def _fold_reshape(attrs: ReshapeAttrs, operands: Operands) -> Content | None:
    return _same_elements(operands, known_length(operands.need(1), "the shape"))


def _infer_flatten(attrs: FlattenAttrs, operands: Operands) -> tuple[TensorType, ...]:
    x = operands.need(0)
    if not -x.rank <= attrs.axis <= x.rank:
        raise ModelError(f"axis {attrs.axis} is outside 0..{x.rank} of {x.type}")
    split = attrs.axis + x.rank if attrs.axis < 0 else attrs.axis
    return (TensorType((product(x.shape[:split]), product(x.shape[split:])), x.dtype),)


def _infer_squeeze(attrs: Attrs, operands: Operands) -> tuple[TensorType, ...]:
    x = operands.need(0)
    axes = known_axes(operands, 1, x.rank)
    if axes is None:
        axes = tuple(axis for axis, size in enumerate(x.shape) if size == 1)
    for axis in axes:
        size = x.shape[axis]
        if isinstance(size, int) and size != 1:
            raise ModelError(f"axis {axis} of {x.type} has size {size}, not 1")
    return (TensorType(tuple(size for axis, size in enumerate(x.shape) if axis not in axes), x.dtype),)


def _infer_unsqueeze(attrs: Attrs, operands: Operands) -> tuple[TensorType, ...]:
    x, listed = operands.need(0), operands.need(1)
    require_dtype(listed, INDICES, "the axes")
    count = listed.type.elements if listed.rank == 0 else known_length(listed, "the axes")
    assert isinstance(count, int)
    axes = known_axes(operands, 1, x.rank + count) or ()
    rest = iter(x.shape)
    return (TensorType(tuple(1 if axis in axes else next(rest) for axis in range(x.rank + count)), x.dtype),)


def _permutation(attrs: TransposeAttrs, rank: int) -> tuple[int, ...]:
    return tuple(range(rank))[::-1] if attrs.perm is None else attrs.perm


def _infer_transpose(attrs: TransposeAttrs, operands: Operands) -> tuple[TensorType, ...]:
    x = operands.need(0)
    perm = _permutation(attrs, x.rank)
    if sorted(perm) != list(range(x.rank)):
        raise ModelError(f"perm {list(perm)} is no permutation of the axes of {x.type}")
    return (TensorType(tuple(x.shape[axis] for axis in perm), x.dtype),)


def _infer_expand(attrs: Attrs, operands: Operands) -> tuple[TensorType, ...]:
    x, target = operands.need(0), operands.need(1)
    require_dtype(target, (DType.I64,), "the shape")
    rank = known_length(target, "the shape")
    sizes = target.sizes()
    if sizes is None:
        shape = tuple(operands.fresh(f"d{axis}") for axis in range(max(rank, x.rank)))
        return (TensorType(shape, x.dtype),)
    return (TensorType(broadcast_shapes(x.shape, sizes), x.dtype),)


def _fold_expand(attrs: Attrs, operands: Operands) -> Content | None:
    dims, sizes = known_dims(operands.need(0)), operands.need(1).sizes()
    if dims is None or sizes is None or len(sizes) > 1:
        return None
    (length,) = sizes or (1,)
    if not isinstance(length, int) or (len(dims) != 1 and length not in (1, len(dims))):
        return None
    repeated = dims * length if len(dims) == 1 else dims
    return make_content(repeated, scalar=operands.need(0).rank == 0 and not sizes)


OPS = (
    OpDef("shape", _infer_shape, attrs=ShapeAttrs, fold=_fold_shape),
    OpDef(
        "size",
        _infer_size,
        fold=lambda attrs, operands: make_content((operands.need(0).type.elements,), scalar=True),
    ),
    OpDef(
        "dims",
        _infer_dims,
        attrs=DimsAttrs,
        inputs=(0, 0),
        fold=lambda attrs, operands: Content(attrs.dims, attrs.scalar),
    ),
    OpDef("reshape", _infer_reshape, attrs=ReshapeAttrs, inputs=(2, 2), fold=_fold_reshape, data_dependent=True),
    OpDef("flatten", _infer_flatten, attrs=FlattenAttrs),
    OpDef(
        "squeeze",
        _infer_squeeze,
        inputs=(1, 2),
        fold=lambda attrs, operands: _same_elements(operands, _infer_squeeze(attrs, operands)[0].rank),
    ),
    OpDef(
        "unsqueeze",
        _infer_unsqueeze,
        inputs=(2, 2),
        fold=lambda attrs, operands: _same_elements(operands, _infer_unsqueeze(attrs, operands)[0].rank),
    ),
    OpDef(
        "transpose",
        _infer_transpose,
        attrs=TransposeAttrs,
        fold=lambda attrs, operands: _same_elements(operands, operands.need(0).rank),
    ),
    OpDef("expand", _infer_expand, inputs=(2, 2), fold=_fold_expand, data_dependent=True),
)
