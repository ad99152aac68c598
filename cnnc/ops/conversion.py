"""Change of element type: cast, cast_like; and identity."""

from __future__ import annotations

from dataclasses import dataclass

from cnnc.ir.attrs import Attrs
from cnnc.ir.fact import Content, Operands
from cnnc.ops.content import SHAPE_DTYPES, known_dims, make_content
from cnnc.ops.opdef import OpDef, same_type
from cnnc.types import DType, TensorType


@dataclass(frozen=True, slots=True)
class CastAttrs(Attrs):
    """``to`` is the element type of the result; the other two only concern 8-bit floats."""

    to: DType
    saturate: int = 1
    round_mode: str = "up"


@dataclass(frozen=True, slots=True)
class CastLikeAttrs(Attrs):
    """Both only concern 8-bit floats."""

    saturate: int = 1
    round_mode: str = "up"


def _infer_cast(attrs: CastAttrs, operands: Operands) -> tuple[TensorType, ...]:
    x = operands.need(0)
    return (TensorType(x.shape, attrs.to, x.type.layout),)


def _infer_cast_like(attrs: CastLikeAttrs, operands: Operands) -> tuple[TensorType, ...]:
    x = operands.need(0)
    return (TensorType(x.shape, operands.need(1).dtype, x.type.layout),)


def _same_content(operands: Operands, to: DType) -> Content | None:
    x = operands.need(0)
    dims = known_dims(x)
    return None if dims is None or to not in SHAPE_DTYPES else make_content(dims, scalar=x.rank == 0)


OPS = (
    OpDef(
        "cast",
        _infer_cast,
        attrs=CastAttrs,
        elementwise=True,
        fold=lambda attrs, operands: _same_content(operands, attrs.to),
    ),
    OpDef(
        "cast_like",
        _infer_cast_like,
        attrs=CastLikeAttrs,
        inputs=(2, 2),
        fold=lambda attrs, operands: _same_content(operands, operands.need(1).dtype),
    ),
    OpDef(
        "identity",
        same_type,
        elementwise=True,
        fold=lambda attrs, operands: _same_content(operands, operands.need(0).dtype),
    ),
)
