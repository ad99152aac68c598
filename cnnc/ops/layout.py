"""Ops that move channels and spatial blocks around, and ``convert_layout``, which only changes the memory layout."""

from __future__ import annotations

from dataclasses import dataclass

from cnnc.dims import Dim, product
from cnnc.errors import ModelError, UnsupportedError
from cnnc.ir.attrs import Attrs
from cnnc.ir.fact import Operands
from cnnc.ops.opdef import OpDef, normalize_axis, require_dtype
from cnnc.runtime.host.window import resolve_window
from cnnc.types import PLAIN, DType, Layout, TensorType


@dataclass(frozen=True, slots=True)
class ConvertLayoutAttrs(Attrs):
    """The layout of the result."""

    layout: Layout = PLAIN


@dataclass(frozen=True, slots=True)
class ChannelShuffleAttrs(Attrs):
    """Number of groups that the channels are dealt from."""

    groups: int


def shuffled_channels(channels: int, groups: int) -> list[int]:
    """For each channel of a shuffle's result the channel of its operand that it is."""
    each = channels // groups
    return [place % groups * each + place // groups for place in range(channels)]


@dataclass(frozen=True, slots=True)
class BlockAttrs(Attrs):
    """ONNX DepthToSpace and SpaceToDepth."""

    blocksize: int
    mode: str = "DCR"


@dataclass(frozen=True, slots=True)
class CenterCropPadAttrs(Attrs):
    """ONNX CenterCropPad. Empty axes mean all."""

    axes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Col2ImAttrs(Attrs):
    """ONNX Col2Im. Empty tuples mean the ONNX defaults."""

    dilations: tuple[int, ...] = ()
    pads: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class DropoutAttrs(Attrs):
    """ONNX Dropout. The seed has no meaning at inference."""

    seed: int | None = None


def _infer_convert_layout(attrs: ConvertLayoutAttrs, operands: Operands) -> tuple[TensorType, ...]:
    return (operands.need(0).type.with_layout(attrs.layout),)


def _infer_shuffle(attrs: ChannelShuffleAttrs, operands: Operands) -> tuple[TensorType, ...]:
    x = operands.need(0)
    if x.rank < 2:
        raise ModelError(f"the input needs a batch and a channel axis, got {x.type}")
    channels = x.shape[1]
    if attrs.groups < 1 or (isinstance(channels, int) and channels % attrs.groups):
        raise ModelError(f"{channels} channels do not divide into {attrs.groups} groups")
    return (TensorType(x.shape, x.dtype),)


def _check_block(attrs: BlockAttrs, operands: Operands) -> tuple[tuple[Dim, ...], DType]:
    x = operands.need(0)
    if x.rank != 4:
        raise ModelError(f"the input must be [N, C, H, W], got {x.type}")
    if attrs.blocksize < 1:
        raise ModelError(f"blocksize is {attrs.blocksize}, it must be at least 1")
    if attrs.mode not in ("DCR", "CRD"):
        raise ModelError(f"mode {attrs.mode!r} is neither DCR nor CRD")
    return x.shape, x.dtype


def _infer_depth_to_space(attrs: BlockAttrs, operands: Operands) -> tuple[TensorType, ...]:
    (n, channels, height, width), dtype = _check_block(attrs, operands)
    block = attrs.blocksize
    if isinstance(channels, int) and channels % block**2:
        raise ModelError(f"{channels} channels are not a multiple of blocksize^2 = {block**2}")
    return (TensorType((n, channels // block**2, height * block, width * block), dtype),)


def _infer_space_to_depth(attrs: BlockAttrs, operands: Operands) -> tuple[TensorType, ...]:
    (n, channels, height, width), dtype = _check_block(attrs, operands)
    block = attrs.blocksize
    for size in (height, width):
        if isinstance(size, int) and size % block:
            raise ModelError(f"spatial size {size} is not a multiple of blocksize {block}")
    return (TensorType((n, channels * block**2, height // block, width // block), dtype),)


def _infer_crop_pad(attrs: CenterCropPadAttrs, operands: Operands) -> tuple[TensorType, ...]:
    x, wanted = operands.need(0), operands.need(1)
    require_dtype(wanted, (DType.I32, DType.I64), "the shape")
    axes = [normalize_axis(axis, x.rank) for axis in attrs.axes] or list(range(x.rank))
    sizes = wanted.sizes()
    if sizes is None:
        sizes = tuple(operands.fresh(f"d{axis}") for axis in axes)
    if len(sizes) != len(axes):
        raise ModelError(f"the shape has {len(sizes)} values for {len(axes)} axes")
    shape = list(x.shape)
    for axis, size in zip(axes, sizes):
        shape[axis] = size
    return (TensorType(tuple(shape), x.dtype),)


def _infer_col2im(attrs: Col2ImAttrs, operands: Operands) -> tuple[TensorType, ...]:
    x, image, block = operands.need(0), operands.need(1), operands.need(2)
    if x.rank != 3:
        raise ModelError(f"the input must be [N, C*taps, positions], got {x.type}")
    kernel, sizes, rank = block.sizes(), image.sizes(), image.shape[0] if image.rank == 1 else None
    if not isinstance(rank, int):
        raise ModelError(f"image_shape must be a vector of known length, got {image.type}")
    if sizes is None:
        sizes = tuple(operands.fresh(f"d{axis + 2}") for axis in range(rank))
    if kernel is None:
        return (TensorType((x.shape[0], operands.fresh("d1"), *sizes), x.dtype),)
    window = resolve_window(sizes, kernel, attrs.strides, attrs.dilations, attrs.pads)
    rows, positions, taps = x.shape[1], x.shape[2], product(kernel)
    if isinstance(rows, int) and isinstance(taps, int) and rows % taps:
        raise ModelError(f"{rows} rows are not a multiple of the {taps} taps of a block")
    count = product(window.output)
    if isinstance(positions, int) and isinstance(count, int) and positions != count:
        raise ModelError(f"the input has {positions} positions, but an image of {sizes} has {count}")
    return (TensorType((x.shape[0], rows // taps, *sizes), x.dtype),)


def _infer_dropout(attrs: DropoutAttrs, operands: Operands) -> tuple[TensorType, ...]:
    x, ratio, training = operands.need(0), operands[1], operands[2]
    keeps_all = ratio is not None and ratio.array is not None and not ratio.array.any()
    if training is not None and training.array is not None and training.array.any() and not keeps_all:
        raise UnsupportedError("dropout in training mode is random", hint="export the model for inference")
    return (TensorType(x.shape, x.dtype), TensorType(x.shape, DType.BOOL))[: operands.outputs]


OPS = (
    OpDef("convert_layout", _infer_convert_layout, attrs=ConvertLayoutAttrs),
    OpDef("channel_shuffle", _infer_shuffle, attrs=ChannelShuffleAttrs),
    OpDef("depth_to_space", _infer_depth_to_space, attrs=BlockAttrs),
    OpDef("space_to_depth", _infer_space_to_depth, attrs=BlockAttrs),
    OpDef("center_crop_pad", _infer_crop_pad, attrs=CenterCropPadAttrs, inputs=(2, 2), data_dependent=True),
    OpDef("col2im", _infer_col2im, attrs=Col2ImAttrs, inputs=(3, 3), data_dependent=True),
    OpDef("dropout", _infer_dropout, attrs=DropoutAttrs, inputs=(1, 3), outputs=(1, 2)),
)
