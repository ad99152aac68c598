"""Activation functions as ops of their own."""

from __future__ import annotations

from dataclasses import dataclass

from cnnc.dims import Dim, maximum, minimum
from cnnc.errors import ModelError
from cnnc.ir.attrs import Attrs
from cnnc.ir.fact import Content, Operands
from cnnc.ops.content import fold_elementwise, same_size
from cnnc.ops.dtypes import FLOATS, NUMBERS, SIGNED
from cnnc.ops.elementary import same_type_of
from cnnc.ops.opdef import OpDef, broadcast_shapes, require_dtype, same_type
from cnnc.types import TensorType


@dataclass(frozen=True, slots=True)
class AlphaAttrs(Attrs):
    """``alpha`` of elu, celu, swish, swi_glu and thresholded_relu."""

    alpha: float = 1.0


@dataclass(frozen=True, slots=True)
class LeakyReluAttrs(Attrs):
    """``alpha``: slope of the negative side (0.01 as float32 has it)."""

    alpha: float = 0.009999999776482582


@dataclass(frozen=True, slots=True)
class SeluAttrs(Attrs):
    """gamma * (alpha * exp(x) - alpha) on the negative side."""

    alpha: float = 1.6732631921768188
    gamma: float = 1.0507010221481323


@dataclass(frozen=True, slots=True)
class HardSigmoidAttrs(Attrs):
    """alpha * x + beta, limited to 0..1 (alpha is 0.2 as float32 has it)."""

    alpha: float = 0.20000000298023224
    beta: float = 0.5


@dataclass(frozen=True, slots=True)
class GeluAttrs(Attrs):
    """``approximate`` is none (by erf) or tanh."""

    approximate: str = "none"

    def __post_init__(self) -> None:
        if self.approximate not in ("none", "tanh"):
            raise ModelError(f"approximate must be none or tanh, got {self.approximate!r}")


@dataclass(frozen=True, slots=True)
class ShrinkAttrs(Attrs):
    """Elements within -lambd..lambd become 0, others move by bias towards 0."""

    bias: float = 0.0
    lambd: float = 0.5


def _infer_clip(attrs: Attrs, operands: Operands) -> tuple[TensorType, ...]:
    x = operands.need(0)
    require_dtype(x, NUMBERS, "the input")
    for index, name in ((1, "min"), (2, "max")):
        limit = operands[index]
        if limit is None:
            continue
        if limit.dtype is not x.dtype:
            raise ModelError(f"{name} is {limit.dtype.value}, but the input is {x.dtype.value}")
        if limit.type.elements != 1:
            raise ModelError(f"{name} must be one number, got {limit.type}")
    return same_type(attrs, operands)


def _fold_clip(attrs: Attrs, operands: Operands) -> Content | None:
    """Limits of sizes: padding that a model computes is kept from falling below 0 by a clip."""
    low, high = operands[1], operands[2]

    def limit(x: Dim, *bounds: Dim) -> Dim:
        if low is not None:
            x = maximum(x, bounds[0])
        return x if high is None else minimum(x, bounds[-1])

    return fold_elementwise(limit, operands.present())


def _infer_prelu(attrs: Attrs, operands: Operands) -> tuple[TensorType, ...]:
    x, slope = operands.need(0), operands.need(1)
    require_dtype(x, NUMBERS, "the input")
    if slope.dtype is not x.dtype:
        raise ModelError(f"the slope is {slope.dtype.value}, but the input is {x.dtype.value}")
    if len(broadcast_shapes(x.shape, slope.shape)) != x.rank:
        raise ModelError(f"slope {slope.type} does not broadcast to {x.type}")
    for size, own in zip(slope.shape[::-1], x.shape[::-1]):
        if isinstance(size, int) and isinstance(own, int) and size not in (1, own):
            raise ModelError(f"slope {slope.type} does not broadcast to {x.type}")
    return same_type(attrs, operands)


def _infer_swi_glu(attrs: AlphaAttrs, operands: Operands) -> tuple[TensorType, ...]:
    gate, x = operands.need(0), operands.need(1)
    require_dtype(gate, FLOATS, "the gate")
    if gate.dtype is not x.dtype or gate.rank != x.rank:
        raise ModelError(f"gate {gate.type} and value {x.type} differ")
    shape = tuple(same_size(a, b, f"gate {gate.type} and value {x.type}") for a, b in zip(gate.shape, x.shape))
    return (TensorType(shape, x.dtype),)


_FLOAT_OPS: tuple[tuple[str, type[Attrs]], ...] = (
    ("leaky_relu", LeakyReluAttrs),
    ("thresholded_relu", AlphaAttrs),
    ("elu", AlphaAttrs),
    ("celu", AlphaAttrs),
    ("selu", SeluAttrs),
    ("sigmoid", Attrs),
    ("hard_sigmoid", HardSigmoidAttrs),
    ("hard_swish", Attrs),
    ("swish", AlphaAttrs),
    ("softplus", Attrs),
    ("softsign", Attrs),
    ("mish", Attrs),
    ("gelu", GeluAttrs),
)

OPS = (
    OpDef("relu", same_type_of(SIGNED), elementwise=True),
    OpDef("clip", _infer_clip, inputs=(1, 3), elementwise=True, fold=_fold_clip),
    OpDef("prelu", _infer_prelu, inputs=(2, 2), elementwise=True),
    OpDef("swi_glu", _infer_swi_glu, attrs=AlphaAttrs, inputs=(2, 2), elementwise=True),
    OpDef("shrink", same_type_of(NUMBERS), attrs=ShrinkAttrs, elementwise=True),
    *(OpDef(name, same_type_of(FLOATS), attrs=attrs, elementwise=True) for name, attrs in _FLOAT_OPS),
)
