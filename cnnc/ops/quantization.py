"""quantize_linear, dequantize_linear and dynamic_quantize_linear: one scale in all, one a channel, or one a block."""

from __future__ import annotations

from dataclasses import dataclass

from cnnc.dims import ceil_div
from cnnc.errors import ModelError, UnsupportedError
from cnnc.ir.attrs import Attrs
from cnnc.ir.fact import Fact, Operands
from cnnc.ops.opdef import OpDef, normalize_axis, require_dtype
from cnnc.types import DType, TensorType

FLOATS = (DType.F16, DType.BF16, DType.F32, DType.F64)
_QUANTIZED = (DType.I8, DType.U8, DType.I16, DType.U16)


@dataclass(frozen=True, slots=True)
class QuantizeLinearAttrs(Attrs):
    """ONNX QuantizeLinear. ``saturate`` only concerns float8, which has no DType."""

    axis: int = 1
    block_size: int = 0
    output_dtype: DType | None = None
    precision: DType | None = None
    saturate: int = 1


@dataclass(frozen=True, slots=True)
class DequantizeLinearAttrs(Attrs):
    """ONNX DequantizeLinear."""

    axis: int = 1
    block_size: int = 0
    output_dtype: DType | None = None


def check_scale(name: str, scale: Fact, x: Fact, axis: int, block_size: int = 0) -> None:
    """Check that a scale or zero point has one element, or one for each index of ``axis`` of ``x``.

    With ``block_size`` B it has one element for B neighbours along ``axis``: [..., ceil(D/B), ...] for x [..., D, ...].

    Raises:
        ModelError: another shape, or a negative block size.
    """
    if block_size < 0:
        raise ModelError(f"block_size is {block_size}, expected 0 (no blocks) or more")
    if block_size:
        return _check_blocks(name, scale, x, axis, block_size)
    if scale.rank == 0 or scale.shape == (1,):
        return None
    if scale.rank != 1:
        raise ModelError(f"{name} must be a scalar or a vector, got {scale.type}")
    size = x.shape[normalize_axis(axis, x.rank)]
    if isinstance(size, int) and isinstance(scale.shape[0], int) and size != scale.shape[0]:
        raise ModelError(f"{name} has {scale.shape[0]} elements for the {size} of axis {axis} of {x.type}")
    return None


def _check_blocks(name: str, scale: Fact, x: Fact, axis: int, block_size: int) -> None:
    if scale.rank != x.rank:
        raise ModelError(f"{name} of blocks must have the {x.rank} axes of the tensor, got {scale.type}")
    shape = list(x.shape)
    blocked = normalize_axis(axis, x.rank)
    shape[blocked] = ceil_div(shape[blocked], block_size)
    for size, wanted in zip(scale.shape, shape):
        if isinstance(size, int) and isinstance(wanted, int) and size != wanted:
            expected = TensorType(tuple(shape), scale.dtype)
            blocks = f"blocks of {block_size} along axis {axis} of {x.type}"
            raise ModelError(f"{name} must be {expected} for {blocks}, got {scale.type}")


def check_pair(what: str, x: Fact, scale: Fact, zero_point: Fact | None, axis: int, block_size: int = 0) -> None:
    """Check scale and zero point of a tensor: shapes that go with ``x``, and element types."""
    require_dtype(scale, FLOATS, f"the scale of {what}")
    check_scale(f"the scale of {what}", scale, x, axis, block_size)
    if zero_point is not None:
        check_scale(f"the zero point of {what}", zero_point, x, axis, block_size)


def _infer_quantize(attrs: QuantizeLinearAttrs, operands: Operands) -> tuple[TensorType, ...]:
    x, scale, zero_point = operands.need(0), operands.need(1), operands[2]
    require_dtype(x, (*FLOATS, DType.I32), "the input")
    check_pair("y", x, scale, zero_point, attrs.axis, attrs.block_size)
    dtype = attrs.output_dtype or DType.U8
    if zero_point is not None:
        if attrs.output_dtype is not None and attrs.output_dtype is not zero_point.dtype:
            raise ModelError(f"output_dtype is {dtype.value}, but the zero point has {zero_point.dtype.value}")
        dtype = zero_point.dtype
    if dtype not in _QUANTIZED:
        raise UnsupportedError(
            f"quantize_linear to {dtype.value} is not supported", hint="use int8, uint8, int16 or uint16"
        )
    return (TensorType(x.shape, dtype),)


def _infer_dequantize(attrs: DequantizeLinearAttrs, operands: Operands) -> tuple[TensorType, ...]:
    x, scale, zero_point = operands.need(0), operands.need(1), operands[2]
    require_dtype(x, (*_QUANTIZED, DType.I32), "the input")
    check_pair("x", x, scale, zero_point, attrs.axis, attrs.block_size)
    if zero_point is not None and zero_point.dtype is not x.dtype:
        raise ModelError(f"the zero point has {zero_point.dtype.value}, but the input {x.dtype.value}")
    dtype = attrs.output_dtype or scale.dtype
    if not dtype.is_float:
        raise ModelError(f"output_dtype {dtype.value} is not a float")
    return (TensorType(x.shape, dtype),)


def _infer_dynamic(attrs: Attrs, operands: Operands) -> tuple[TensorType, ...]:
    x = operands.need(0)
    require_dtype(x, (DType.F32, DType.F64), "the input")
    return (TensorType(x.shape, DType.U8), TensorType((), x.dtype), TensorType((), DType.U8))[: operands.outputs]


OPS = (
    OpDef("quantize_linear", _infer_quantize, attrs=QuantizeLinearAttrs, inputs=(2, 3)),
    OpDef("dequantize_linear", _infer_dequantize, attrs=DequantizeLinearAttrs, inputs=(2, 3)),
    OpDef("dynamic_quantize_linear", _infer_dynamic, outputs=(1, 3)),
)
