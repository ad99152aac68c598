"""Operations on the bits of integers, and on booleans."""

from __future__ import annotations

from dataclasses import dataclass

from cnnc.errors import ModelError
from cnnc.ir.attrs import Attrs
from cnnc.ir.fact import Operands
from cnnc.ops.arithmetic import broadcast_of
from cnnc.ops.dtypes import BOOL, INTEGERS
from cnnc.ops.opdef import OpDef, require_dtype, same_type
from cnnc.types import DType, TensorType


@dataclass(frozen=True, slots=True)
class BitShiftAttrs(Attrs):
    """``direction`` is LEFT or RIGHT."""

    direction: str

    def __post_init__(self) -> None:
        if self.direction not in ("LEFT", "RIGHT"):
            raise ModelError(f"direction must be LEFT or RIGHT, got {self.direction!r}")


@dataclass(frozen=True, slots=True)
class BitCastAttrs(Attrs):
    """``to`` is the element type of the result, of the same size."""

    to: DType


def _infer_bit_cast(attrs: BitCastAttrs, operands: Operands) -> tuple[TensorType, ...]:
    x = operands.need(0)
    if x.dtype.size != attrs.to.size:
        raise ModelError(f"{x.dtype.value} and {attrs.to.value} differ in size")
    return (TensorType(x.shape, attrs.to),)


def _infer_integer(attrs: Attrs, operands: Operands) -> tuple[TensorType, ...]:
    require_dtype(operands.need(0), INTEGERS, "the input")
    return same_type(attrs, operands)


def _infer_not(attrs: Attrs, operands: Operands) -> tuple[TensorType, ...]:
    require_dtype(operands.need(0), BOOL, "the input")
    return same_type(attrs, operands)


OPS = (
    *(
        OpDef(name, broadcast_of(INTEGERS), inputs=(2, 2), elementwise=True)
        for name in ("bitwise_and", "bitwise_or", "bitwise_xor")
    ),
    OpDef("bitwise_not", _infer_integer, elementwise=True),
    OpDef("bit_shift", broadcast_of(INTEGERS), attrs=BitShiftAttrs, inputs=(2, 2), elementwise=True),
    OpDef("bit_cast", _infer_bit_cast, attrs=BitCastAttrs, elementwise=True),
    *(OpDef(name, broadcast_of(BOOL), inputs=(2, 2), elementwise=True) for name in ("and", "or", "xor")),
    OpDef("not", _infer_not, elementwise=True),
)
