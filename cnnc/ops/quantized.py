"""Ops on quantized tensors: ONNX's ConvInteger, QLinearConv and QLinearMatMul, and com.microsoft's QLinear family.

``q_linear_add`` and the rest of the com.microsoft ops take inputs and attributes as onnxruntime documents them;
``q_linear_gemm`` is its QGemm. The IR's own are ``requantize``, dequantize_linear and quantize_linear in one, and
``lookup``, whatever function of one byte stands between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cnnc.dims import Dim, product
from cnnc.errors import ModelError
from cnnc.ir.attrs import Attrs
from cnnc.ir.fact import Fact, Operands
from cnnc.ops.conv import check_broadcasts_to, check_conv_operands, check_length
from cnnc.ops.opdef import OpDef, broadcast_shapes, normalize_axis, require_dtype
from cnnc.ops.quantization import FLOATS, check_pair, check_scale
from cnnc.ops.window import window_of
from cnnc.types import DType, TensorType

_BYTES = (DType.I8, DType.U8)
_ELEMENTS = (DType.I8, DType.U8, DType.I16, DType.U16)


@dataclass(frozen=True, slots=True)
class QuantizedConvAttrs(Attrs):
    """ONNX QLinearConv and ConvInteger. Empty tuples mean the ONNX defaults."""

    auto_pad: str = "NOTSET"
    dilations: tuple[int, ...] = ()
    group: int = 1
    kernel_shape: tuple[int, ...] = ()
    pads: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class QLinearGemmAttrs(Attrs):
    """com.microsoft.QGemm."""

    alpha: float = 1.0
    transA: int = 0  # noqa: N815
    transB: int = 0  # noqa: N815


@dataclass(frozen=True, slots=True)
class QLinearConcatAttrs(Attrs):
    """com.microsoft.QLinearConcat."""

    axis: int


@dataclass(frozen=True, slots=True)
class QLinearLeakyReluAttrs(Attrs):
    """com.microsoft.QLinearLeakyRelu."""

    alpha: float = 0.01


@dataclass(frozen=True, slots=True)
class QLinearGlobalAveragePoolAttrs(Attrs):
    """com.microsoft.QLinearGlobalAveragePool."""

    channels_last: int = 0


@dataclass(frozen=True, slots=True)
class QLinearAveragePoolAttrs(Attrs):
    """com.microsoft.QLinearAveragePool. Empty tuples mean the ONNX defaults."""

    kernel_shape: tuple[int, ...]
    auto_pad: str = "NOTSET"
    ceil_mode: int = 0
    channels_last: int = 0
    count_include_pad: int = 0
    dilations: tuple[int, ...] = ()
    pads: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()


def _conv_shape(attrs: QuantizedConvAttrs, x: Fact, w: Fact) -> tuple[Dim, ...]:
    check_conv_operands(x, w, attrs.group, attrs.kernel_shape)
    return (x.shape[0], w.shape[0], *window_of(attrs, x.shape[2:], w.shape[2:]).output)


def _infer_conv_integer(attrs: QuantizedConvAttrs, operands: Operands) -> tuple[TensorType, ...]:
    x, w = operands.need(0), operands.need(1)
    for name, fact, zero_point in (("x", x, operands[2]), ("w", w, operands[3])):
        require_dtype(fact, _BYTES, name)
        _check_zero_type(name, fact, zero_point)
    if operands[2] is not None:
        _check_single("zero point", "x", operands.need(2))
    if operands[3] is not None:
        check_scale("the zero point of w", operands.need(3), w, axis=0)
    return (TensorType(_conv_shape(attrs, x, w), DType.I32),)


def _infer_q_linear_conv(attrs: QuantizedConvAttrs, operands: Operands) -> tuple[TensorType, ...]:
    x, w, zero_point = operands.need(0), operands.need(3), operands.need(7)
    _tensor("x", operands, 0, axis=None)
    _tensor("w", operands, 3, axis=0)
    _scale("y", operands, 6)
    require_dtype(zero_point, _ELEMENTS, "the zero point of y")
    bias = operands[8]
    check_length("the bias", bias, w.shape[0])
    if bias is not None:
        require_dtype(bias, (DType.I32,), "the bias")
    return (TensorType(_conv_shape(attrs, x, w), zero_point.dtype),)


def _tensor(name: str, operands: Operands, index: int, axis: int | None) -> Fact:
    """A quantized tensor with the scale and zero point that follow it; ``axis`` None: one scale in all."""
    x, scale, zero_point = operands.need(index), operands.need(index + 1), operands[index + 2]
    require_dtype(x, _ELEMENTS, name)
    if axis is None:
        _scale(name, operands, index + 1)
    else:
        check_pair(name, x, scale, zero_point, axis)
    _check_zero_type(name, x, zero_point)
    return x


def _scale(name: str, operands: Operands, index: int) -> None:
    """A scale of one element, and the zero point after it."""
    require_dtype(operands.need(index), FLOATS, f"the scale of {name}")
    for what, fact in (("scale", operands.need(index)), ("zero point", operands[index + 1])):
        if fact is not None:
            _check_single(what, name, fact)


def _check_single(what: str, name: str, fact: Fact) -> None:
    if fact.shape not in ((), (1,)):
        raise ModelError(f"the {what} of {name} must have one element, got {fact.type}")


def _check_zero_type(name: str, x: Fact, zero_point: Fact | None) -> None:
    if zero_point is not None and zero_point.dtype is not x.dtype:
        raise ModelError(f"the zero point of {name} has {zero_point.dtype.value}, but {name} {x.dtype.value}")


def _check_matrix_scale(name: str, matrix: Fact, operands: Operands, index: int, axis: int) -> None:
    """A scale and a zero point of one element, a vector along ``axis``, or as many axes as the matrix, 1 but for it."""
    scale, zero_point = operands.need(index), operands.need(index + 1)
    require_dtype(scale, FLOATS, f"the scale of {name}")
    _check_zero_type(name, matrix, zero_point)
    for what, fact in (("scale", scale), ("zero point", zero_point)):
        if all(size == 1 for size in fact.shape):
            continue
        sizes = fact.shape[axis] if fact.rank == matrix.rank > 1 else fact.shape[-1]
        wanted = matrix.shape[axis] if matrix.rank > 1 else 1
        if fact.rank not in (1, matrix.rank) or (
            isinstance(sizes, int) and isinstance(wanted, int) and sizes not in (1, wanted)
        ):
            raise ModelError(f"the {what} {fact.type} does not go with axis {axis} of {name} {matrix.type}")


def _infer_mat_mul(attrs: Attrs, operands: Operands) -> tuple[TensorType, ...]:
    a, b, zero_point = operands.need(0), operands.need(3), operands.need(7)
    for name, fact in (("a", a), ("b", b)):
        require_dtype(fact, _BYTES, name)
        if fact.rank < 1:
            raise ModelError(f"{name} must be a vector or a matrix, got {fact.type}")
    _check_matrix_scale("a", a, operands, 1, axis=-2)
    _check_matrix_scale("b", b, operands, 4, axis=-1)
    _scale("y", operands, 6)
    require_dtype(zero_point, _BYTES, "the zero point of y")
    left = a.shape if a.rank > 1 else (1, *a.shape)
    right = b.shape if b.rank > 1 else (*b.shape, 1)
    if isinstance(left[-1], int) and isinstance(right[-2], int) and left[-1] != right[-2]:
        raise ModelError(f"a {a.type} has {left[-1]} columns, but b {b.type} {right[-2]} rows")
    batch = broadcast_shapes(left[:-2], right[:-2])
    shape = (*batch, *(left[-2:-1] if a.rank > 1 else ()), *(right[-1:] if b.rank > 1 else ()))
    return (TensorType(shape, zero_point.dtype),)


def _infer_gemm(attrs: QLinearGemmAttrs, operands: Operands) -> tuple[TensorType, ...]:
    a, b, c, zero_point = operands.need(0), operands.need(3), operands[6], operands.need(8)
    for name, fact in (("a", a), ("b", b)):
        require_dtype(fact, _BYTES, name)
        if fact.rank != 2:
            raise ModelError(f"{name} must be a matrix, got {fact.type}")
    require_dtype(zero_point, _BYTES, "the zero point of y")
    _tensor("a", operands, 0, axis=None)
    _tensor("b", operands, 3, axis=0 if attrs.transB else 1)
    _scale("y", operands, 7)
    rows, inner = a.shape[::-1] if attrs.transA else a.shape
    depth, columns = b.shape[::-1] if attrs.transB else b.shape
    if isinstance(inner, int) and isinstance(depth, int) and inner != depth:
        raise ModelError(f"a {a.type} has {inner} columns, but b {b.type} {depth} rows")
    if c is not None:
        require_dtype(c, (DType.I32,), "c")
        check_broadcasts_to("c", c, (rows, columns))
    return (TensorType((rows, columns), zero_point.dtype),)


def _infer_requantize(attrs: Attrs, operands: Operands) -> tuple[TensorType, ...]:
    x = _tensor("x", operands, 0, None)
    _scale("y", operands, 3)
    zero_point = operands[4]
    if zero_point is not None:
        require_dtype(zero_point, _ELEMENTS, "the zero point of y")
    return (TensorType(x.shape, x.dtype if zero_point is None else zero_point.dtype),)


def _infer_binary(attrs: Attrs, operands: Operands) -> tuple[TensorType, ...]:
    a, b = _tensor("a", operands, 0, None), _tensor("b", operands, 3, None)
    _scale("c", operands, 6)
    if a.dtype is not b.dtype:
        raise ModelError(f"a has {a.dtype.value}, but b {b.dtype.value}")
    return (TensorType(broadcast_shapes(a.shape, b.shape), a.dtype),)


def _infer_unary(attrs: Attrs, operands: Operands) -> tuple[TensorType, ...]:
    x = _tensor("x", operands, 0, None)
    _scale("y", operands, 3)
    return (TensorType(x.shape, x.dtype),)


def _infer_lookup(attrs: Attrs, operands: Operands) -> tuple[TensorType, ...]:
    x, table = operands.need(0), operands.need(1)
    for name, fact in (("x", x), ("the table", table)):
        require_dtype(fact, _BYTES, name)
    if table.shape != (256,):
        raise ModelError(f"the table must have 256 elements, got {table.type}")
    return (TensorType(x.shape, table.dtype),)


def _infer_concat(attrs: QLinearConcatAttrs, operands: Operands) -> tuple[TensorType, ...]:
    _scale("y", operands, 0)
    zero_point = operands.need(1)
    if len(operands) < 5 or len(operands) % 3 != 2:
        raise ModelError(f"q_linear_concat takes y's scale and zero point and triples, got {len(operands)} inputs")
    pieces = [_tensor(f"piece {index // 3}", operands, index, None) for index in range(2, len(operands), 3)]
    axis = normalize_axis(attrs.axis, pieces[0].rank)
    shape = list(pieces[0].shape)
    for piece in pieces[1:]:
        if piece.rank != len(shape) or any(
            isinstance(size, int) and isinstance(other, int) and size != other and i != axis
            for i, (size, other) in enumerate(zip(piece.shape, shape))
        ):
            raise ModelError(f"{piece.type} and {pieces[0].type} do not concatenate along axis {axis}")
        shape[axis] = shape[axis] + piece.shape[axis]
    return (TensorType(tuple(shape), zero_point.dtype),)


def _infer_global_pool(attrs: QLinearGlobalAveragePoolAttrs, operands: Operands) -> tuple[TensorType, ...]:
    x = _infer_unary(attrs, operands)[0]
    if x.rank < 3:
        raise ModelError(f"the input needs a batch, a channel and a spatial axis, got {x}")
    ones: tuple[Dim, ...] = (1,) * (x.rank - 2)
    shape = (x.shape[0], *ones, x.shape[-1]) if attrs.channels_last else (*x.shape[:2], *ones)
    return (TensorType(shape, x.dtype),)


def _infer_pool(attrs: QLinearAveragePoolAttrs, operands: Operands) -> tuple[TensorType, ...]:
    x = _infer_unary(attrs, operands)[0]
    if x.rank < 3:
        raise ModelError(f"the input needs a batch, a channel and a spatial axis, got {x}")
    spatial = x.shape[1:-1] if attrs.channels_last else x.shape[2:]
    output = window_of(attrs, spatial, attrs.kernel_shape).output
    shape = (x.shape[0], *output, x.shape[-1]) if attrs.channels_last else (*x.shape[:2], *output)
    return (TensorType(shape, x.dtype),)


def _conv_macs(attrs: Attrs, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]) -> Dim:
    w = inputs[3 if len(inputs) > 4 else 1]
    assert w is not None
    return outputs[0].elements * product(w.shape[1:])


def _mat_mul_macs(attrs: Attrs, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]) -> Dim:
    assert inputs[0] is not None
    return outputs[0].elements * inputs[0].shape[-1]


def _gemm_macs(attrs: QLinearGemmAttrs, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]) -> Dim:
    assert inputs[0] is not None
    return outputs[0].elements * inputs[0].shape[0 if attrs.transA else 1]


OPS = (
    OpDef("conv_integer", _infer_conv_integer, attrs=QuantizedConvAttrs, inputs=(2, 4), macs=_conv_macs),
    OpDef("q_linear_conv", _infer_q_linear_conv, attrs=QuantizedConvAttrs, inputs=(8, 9), macs=_conv_macs),
    OpDef("q_linear_matmul", _infer_mat_mul, inputs=(8, 8), macs=_mat_mul_macs),
    OpDef("q_linear_gemm", _infer_gemm, attrs=QLinearGemmAttrs, inputs=(9, 9), macs=_gemm_macs),
    OpDef("lookup", _infer_lookup, inputs=(2, 2)),
    OpDef("requantize", _infer_requantize, inputs=(4, 5)),
    OpDef("q_linear_add", _infer_binary, inputs=(7, 8)),
    OpDef("q_linear_mul", _infer_binary, inputs=(7, 8)),
    OpDef("q_linear_concat", _infer_concat, attrs=QLinearConcatAttrs, inputs=(5, None)),
    OpDef("q_linear_leaky_relu", _infer_unary, attrs=QLinearLeakyReluAttrs, inputs=(4, 5)),
    OpDef("q_linear_sigmoid", _infer_unary, inputs=(4, 5)),
    OpDef("q_linear_global_average_pool", _infer_global_pool, attrs=QLinearGlobalAveragePoolAttrs, inputs=(4, 5)),
    OpDef("q_linear_average_pool", _infer_pool, attrs=QLinearAveragePoolAttrs, inputs=(4, 5)),
)
