"""max_pool, average_pool, lp_pool, their global forms, and max_unpool."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cnnc.dims import Dim, product
from cnnc.errors import ModelError
from cnnc.ir.attrs import Attrs
from cnnc.ir.fact import Fact, Operands
from cnnc.ops.opdef import OpDef, require_dtype
from cnnc.ops.window import Window, window_of
from cnnc.runtime.host.window import axis_values, pad_values
from cnnc.types import DType, TensorType

_FLOATS = (DType.F16, DType.BF16, DType.F32, DType.F64)


@dataclass(frozen=True, slots=True)
class MaxPoolAttrs(Attrs):
    """ONNX MaxPool. Empty tuples mean the ONNX defaults."""

    kernel_shape: tuple[int, ...]
    auto_pad: str = "NOTSET"
    ceil_mode: int = 0
    dilations: tuple[int, ...] = ()
    pads: tuple[int, ...] = ()
    storage_order: int = 0
    strides: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class AveragePoolAttrs(Attrs):
    """ONNX AveragePool. Empty tuples mean the ONNX defaults."""

    kernel_shape: tuple[int, ...]
    auto_pad: str = "NOTSET"
    ceil_mode: int = 0
    count_include_pad: int = 0
    dilations: tuple[int, ...] = ()
    pads: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class LpPoolAttrs(Attrs):
    """ONNX LpPool. Empty tuples mean the ONNX defaults."""

    kernel_shape: tuple[int, ...]
    auto_pad: str = "NOTSET"
    ceil_mode: int = 0
    dilations: tuple[int, ...] = ()
    p: int = 2
    pads: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class GlobalLpPoolAttrs(Attrs):
    """ONNX GlobalLpPool."""

    p: int = 2


@dataclass(frozen=True, slots=True)
class MaxUnpoolAttrs(Attrs):
    """ONNX MaxUnpool. Empty tuples mean the ONNX defaults."""

    kernel_shape: tuple[int, ...]
    pads: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()


_MAX_TAPS = 1 << 20
"""Most elements of a pool's window; a larger one would be a global pool."""

PoolAttrs = MaxPoolAttrs | AveragePoolAttrs | LpPoolAttrs


def pool_window(attrs: PoolAttrs, x: Sequence[Dim]) -> Window:
    """The resolved window of a pool over x [N, C, spatial...]."""
    return window_of(attrs, x[2:], attrs.kernel_shape)


def _image(operands: Operands) -> Fact:
    x = operands.need(0)
    if x.rank < 3:
        raise ModelError(f"the input needs a batch, a channel and a spatial axis, got {x.type}")
    return x


def _check_order(attrs: Attrs) -> None:
    if isinstance(attrs, (LpPoolAttrs, GlobalLpPoolAttrs)) and attrs.p < 1:
        raise ModelError(f"p is {attrs.p}, a norm needs at least 1")


def _infer_pool(attrs: PoolAttrs, operands: Operands) -> tuple[TensorType, ...]:
    x = _image(operands)
    integers = (DType.I8, DType.U8) if isinstance(attrs, MaxPoolAttrs) else ()
    require_dtype(x, (*_FLOATS, *integers), "the input of a pool")
    _check_order(attrs)
    taps = product(attrs.kernel_shape)
    if isinstance(taps, int) and taps > _MAX_TAPS:
        raise ModelError(f"a window of {taps} elements is more than the {_MAX_TAPS} that a pool may have")
    window = pool_window(attrs, x.shape)
    for axis, (begin, end) in enumerate(zip(window.begins, window.ends)):
        span = window.span(axis)
        if any(isinstance(pad, int) and isinstance(span, int) and pad >= span for pad in (begin, end)):
            raise ModelError(
                f"padding {begin} and {end} of spatial axis {axis} is not smaller than the window of {span}: "
                "a window would lie in the padding altogether"
            )
    shape = (*x.shape[:2], *window.output)
    types = (TensorType(shape, x.dtype), TensorType(shape, DType.I64))
    return types[: operands.outputs]


def _infer_global(attrs: Attrs, operands: Operands) -> tuple[TensorType, ...]:
    x = _image(operands)
    _check_order(attrs)
    require_dtype(x, _FLOATS, "the input of a global pool")
    return (TensorType((*x.shape[:2], *(1,) * (x.rank - 2)), x.dtype),)


def _infer_unpool(attrs: MaxUnpoolAttrs, operands: Operands) -> tuple[TensorType, ...]:
    x, indices, wanted = _image(operands), operands.need(1), operands[2]
    require_dtype(indices, (DType.I64,), "the indices")
    if indices.rank != x.rank or any(
        isinstance(a, int) and isinstance(b, int) and a != b for a, b in zip(indices.shape, x.shape)
    ):
        raise ModelError(f"indices {indices.type} do not match the input {x.type}")
    rank = x.rank - 2
    if len(attrs.kernel_shape) != rank:
        raise ModelError(f"kernel_shape has {len(attrs.kernel_shape)} values for {rank} spatial axes")
    strides, (begins, ends) = axis_values("strides", attrs.strides, rank), pad_values(attrs.pads, rank)
    inferred = (
        *x.shape[:2],
        *((x.shape[i + 2] - 1) * strides[i] + attrs.kernel_shape[i] - begins[i] - ends[i] for i in range(rank)),
    )
    if any(isinstance(size, int) and size < 1 for size in inferred[2:]):
        raise ModelError(f"the output for {x.type} would have the sizes {', '.join(map(str, inferred))}")
    if wanted is None:
        return (TensorType(inferred, x.dtype),)
    sizes = wanted.sizes()
    if sizes is None:
        return (TensorType(tuple(operands.fresh(f"d{i}") for i in range(x.rank)), x.dtype),)
    if len(sizes) != x.rank or any(
        isinstance(a, int) and isinstance(b, int) and a < b for a, b in zip(sizes, inferred)
    ):
        raise ModelError(f"output_shape {list(sizes)} cannot hold the unpooled {list(inferred)}")
    return (TensorType(sizes, x.dtype),)


OPS = (
    OpDef("max_pool", _infer_pool, attrs=MaxPoolAttrs, outputs=(1, 2)),
    OpDef("average_pool", _infer_pool, attrs=AveragePoolAttrs),
    OpDef("lp_pool", _infer_pool, attrs=LpPoolAttrs),
    OpDef("global_average_pool", _infer_global),
    OpDef("global_max_pool", _infer_global),
    OpDef("global_lp_pool", _infer_global, attrs=GlobalLpPoolAttrs),
    OpDef("max_unpool", _infer_unpool, attrs=MaxUnpoolAttrs, inputs=(2, 3), data_dependent=True),
)
