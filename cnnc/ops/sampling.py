"""grid_sample, affine_grid and deform_conv: reads at fractional places."""

from __future__ import annotations

from dataclasses import dataclass

from cnnc.dims import Dim, product
from cnnc.errors import ModelError
from cnnc.ir.attrs import Attrs
from cnnc.ir.fact import Fact, Operands
from cnnc.ops.conv import check_conv_operands, check_length, check_same_dtype, conv_macs
from cnnc.ops.opdef import OpDef, require_dtype
from cnnc.ops.window import resolve_window
from cnnc.types import DType, TensorType

_FLOATS = (DType.F16, DType.BF16, DType.F32, DType.F64)


@dataclass(frozen=True, slots=True)
class GridSampleAttrs(Attrs):
    """ONNX GridSample (mode names since opset 20)."""

    align_corners: int = 0
    mode: str = "linear"
    padding_mode: str = "zeros"

    def __post_init__(self) -> None:
        if self.mode not in ("nearest", "linear", "cubic"):
            raise ModelError(f"mode {self.mode!r} is not nearest, linear or cubic")
        if self.padding_mode not in ("zeros", "border", "reflection"):
            raise ModelError(f"padding_mode {self.padding_mode!r} is not zeros, border or reflection")


@dataclass(frozen=True, slots=True)
class AffineGridAttrs(Attrs):
    """ONNX AffineGrid."""

    align_corners: int = 0


@dataclass(frozen=True, slots=True)
class DeformConvAttrs(Attrs):
    """ONNX DeformConv. Empty tuples mean the ONNX defaults."""

    dilations: tuple[int, ...] = ()
    group: int = 1
    kernel_shape: tuple[int, ...] = ()
    offset_group: int = 1
    pads: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()


def _infer_grid_sample(attrs: GridSampleAttrs, operands: Operands) -> tuple[TensorType, ...]:
    x, grid = operands.need(0), operands.need(1)
    require_dtype(x, _FLOATS, "the input")
    require_dtype(grid, _FLOATS, "the grid")
    rank = x.rank - 2
    if rank < 1 or grid.rank != x.rank or (isinstance(grid.shape[-1], int) and grid.shape[-1] != rank):
        raise ModelError(f"the grid {grid.type} must be [N, output..., {max(rank, 1)}] for the input {x.type}")
    if isinstance(x.shape[0], int) and isinstance(grid.shape[0], int) and x.shape[0] != grid.shape[0]:
        raise ModelError(f"the input has {x.shape[0]} images, but the grid {grid.shape[0]}")
    return (TensorType((*x.shape[:2], *grid.shape[1:-1]), x.dtype),)


def _infer_affine_grid(attrs: AffineGridAttrs, operands: Operands) -> tuple[TensorType, ...]:
    theta, size = operands.need(0), operands.need(1)
    require_dtype(theta, _FLOATS, "theta")
    require_dtype(size, (DType.I64,), "the size")
    length = size.shape[0] if size.rank == 1 else None
    if length not in (4, 5):
        raise ModelError(f"the size must be (N, C, H, W) or (N, C, D, H, W), got {size.type}")
    rank = 2 if length == 4 else 3
    if theta.rank != 3 or any(
        isinstance(found, int) and found != wanted for found, wanted in zip(theta.shape[1:], (rank, rank + 1))
    ):
        raise ModelError(f"theta must be [N, {rank}, {rank + 1}] for a size of {length} values, got {theta.type}")
    sizes = size.sizes()
    spatial = tuple(operands.fresh(f"d{i + 1}") for i in range(rank)) if sizes is None else sizes[2:]
    return (TensorType((theta.shape[0], *spatial, rank), theta.dtype),)


def _infer_deform_conv(attrs: DeformConvAttrs, operands: Operands) -> tuple[TensorType, ...]:
    x, w, offset, mask = operands.need(0), operands.need(1), operands.need(2), operands[4]
    check_same_dtype(operands)
    check_conv_operands(x, w, attrs.group, attrs.kernel_shape)
    check_length("the bias", operands[3], w.shape[0])
    channels = x.shape[1]
    if attrs.offset_group < 1 or (isinstance(channels, int) and channels % attrs.offset_group):
        raise ModelError(f"{channels} channels do not divide into {attrs.offset_group} offset groups")
    output = resolve_window(x.shape[2:], w.shape[2:], attrs.strides, attrs.dilations, attrs.pads).output
    taps = product(w.shape[2:]) * attrs.offset_group
    _check_moves("the offset", offset, (x.shape[0], taps * len(output), *output))
    _check_moves("the mask", mask, (x.shape[0], taps, *output))
    return (TensorType((x.shape[0], w.shape[0], *output), x.dtype),)


def _check_moves(name: str, fact: Fact | None, shape: tuple[Dim, ...]) -> None:
    if fact is None:
        return
    if fact.rank != len(shape) or any(
        isinstance(size, int) and isinstance(wanted, int) and size != wanted for size, wanted in zip(fact.shape, shape)
    ):
        raise ModelError(f"{name} {fact.type} must be {TensorType(shape, fact.dtype)}")


OPS = (
    OpDef("grid_sample", _infer_grid_sample, attrs=GridSampleAttrs, inputs=(2, 2)),
    OpDef("affine_grid", _infer_affine_grid, attrs=AffineGridAttrs, inputs=(2, 2), data_dependent=True),
    OpDef("deform_conv", _infer_deform_conv, attrs=DeformConvAttrs, inputs=(3, 5), macs=conv_macs),
)
