"""Softmax and its kin along one axis."""

from __future__ import annotations

from dataclasses import dataclass

from cnnc.ir.attrs import Attrs
from cnnc.ir.fact import Operands
from cnnc.ops.dtypes import FLOATS
from cnnc.ops.opdef import OpDef, normalize_axis, require_dtype
from cnnc.types import TensorType


@dataclass(frozen=True, slots=True)
class SoftmaxAttrs(Attrs):
    """The axis that sums to 1."""

    axis: int = -1


def _infer(attrs: SoftmaxAttrs, operands: Operands) -> tuple[TensorType, ...]:
    x = operands.need(0)
    require_dtype(x, FLOATS, "the input")
    normalize_axis(attrs.axis, x.rank)
    return (TensorType(x.shape, x.dtype),)


OPS = tuple(OpDef(name, _infer, attrs=SoftmaxAttrs) for name in ("softmax", "log_softmax", "hardmax"))
