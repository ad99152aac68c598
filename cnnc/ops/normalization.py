"""Normalizations, and ``scale_shift``: what a batch normalization becomes where it cannot fold into a convolution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cnnc.errors import ModelError, UnsupportedError
from cnnc.ir.attrs import Attrs
from cnnc.ir.fact import Fact, Operands
from cnnc.ops.activation import IDENTITY, Activation, check_activation
from cnnc.ops.conv import check_broadcasts_to, check_length
from cnnc.ops.opdef import OpDef, normalize_axis, require_dtype, same_type
from cnnc.types import DType, TensorType

_FLOATS = (DType.F16, DType.BF16, DType.F32, DType.F64)


@dataclass(frozen=True, slots=True)
class BatchNormalizationAttrs(Attrs):
    """ONNX BatchNormalization."""

    epsilon: float = 1e-5
    momentum: float = 0.9
    training_mode: int = 0


@dataclass(frozen=True, slots=True)
class ScaleShiftAttrs(Attrs):
    """Activation after the multiply-add."""

    activation: Activation = IDENTITY


@dataclass(frozen=True, slots=True)
class InstanceNormalizationAttrs(Attrs):
    """ONNX InstanceNormalization."""

    epsilon: float = 1e-5


@dataclass(frozen=True, slots=True)
class GroupNormalizationAttrs(Attrs):
    """ONNX GroupNormalization (scale and bias per channel, since opset 21)."""

    num_groups: int
    epsilon: float = 1e-5
    stash_type: int = 1


@dataclass(frozen=True, slots=True)
class LayerNormalizationAttrs(Attrs):
    """ONNX LayerNormalization and RMSNormalization. ``stash_type`` is the ONNX element type of mean and 1/std."""

    axis: int = -1
    epsilon: float = 1e-5
    stash_type: int = 1


@dataclass(frozen=True, slots=True)
class LpNormalizationAttrs(Attrs):
    """ONNX LpNormalization."""

    axis: int = -1
    p: int = 2


@dataclass(frozen=True, slots=True)
class MeanVarianceNormalizationAttrs(Attrs):
    """ONNX MeanVarianceNormalization."""

    axes: tuple[int, ...] = (0, 2, 3)


@dataclass(frozen=True, slots=True)
class LRNAttrs(Attrs):
    """ONNX LRN."""

    size: int
    alpha: float = 1e-4
    beta: float = 0.75
    bias: float = 1.0


_STASH = {1: DType.F32, 16: DType.BF16}
"""ONNX TensorProto element types that ``stash_type`` may name."""


def _channels(operands: Operands, names: Sequence[str], *, spatial: bool = False) -> Fact:
    """The input [N, C, ...], with the per-channel vectors that follow it checked."""
    x = operands.need(0)
    require_dtype(x, _FLOATS, "the input")
    if x.rank < (3 if spatial else 2):
        raise ModelError(
            f"the input needs a batch and a channel axis{' and spatial ones' if spatial else ''}: {x.type}"
        )
    for index, name in enumerate(names, start=1):
        fact = operands.need(index)
        require_dtype(fact, _FLOATS, name)
        check_length(name, fact, x.shape[1])
    return x


def _infer_batch(attrs: BatchNormalizationAttrs, operands: Operands) -> tuple[TensorType, ...]:
    x = _channels(operands, ("scale", "bias", "the mean", "the variance"))
    if not attrs.training_mode:
        if operands.outputs != 1:
            raise ModelError(
                f"batch_normalization has {operands.outputs} outputs, but only training_mode has more than 1"
            )
        return (TensorType(x.shape, x.dtype),)
    running = (TensorType((x.shape[1],), operands.need(index).dtype) for index in (3, 4))
    return (TensorType(x.shape, x.dtype), *running)[: operands.outputs]


def _infer_scale_shift(attrs: ScaleShiftAttrs, operands: Operands) -> tuple[TensorType, ...]:
    x = _channels(operands, ("scale", "shift"))
    check_activation(attrs.activation, operands, slopes=-1)
    return (TensorType(x.shape, x.dtype),)


def _infer_instance(attrs: InstanceNormalizationAttrs, operands: Operands) -> tuple[TensorType, ...]:
    x = _channels(operands, ("scale", "bias"), spatial=True)
    return (TensorType(x.shape, x.dtype),)


def _infer_group(attrs: GroupNormalizationAttrs, operands: Operands) -> tuple[TensorType, ...]:
    x = _channels(operands, ("scale", "bias"))
    channels = x.shape[1]
    if attrs.num_groups < 1 or (isinstance(channels, int) and channels % attrs.num_groups):
        raise ModelError(f"{channels} channels do not divide into {attrs.num_groups} groups")
    _stash_dtype(attrs.stash_type)
    return (TensorType(x.shape, x.dtype),)


def _infer_layer(attrs: LayerNormalizationAttrs, operands: Operands) -> tuple[TensorType, ...]:
    x = _affine(operands, attrs.axis)
    axis = normalize_axis(attrs.axis, x.rank)
    stash = TensorType((*x.shape[:axis], *(1,) * (x.rank - axis)), _stash_dtype(attrs.stash_type))
    return (TensorType(x.shape, x.dtype), stash, stash)[: operands.outputs]


def _infer_rms(attrs: LayerNormalizationAttrs, operands: Operands) -> tuple[TensorType, ...]:
    x = _affine(operands, attrs.axis)
    _stash_dtype(attrs.stash_type)
    return (TensorType(x.shape, x.dtype),)


def _affine(operands: Operands, axis: int) -> Fact:
    """The input, with scale and bias checked to broadcast to its axes from ``axis`` on."""
    x = operands.need(0)
    require_dtype(x, _FLOATS, "the input")
    normalize_axis(axis, x.rank)
    for name, fact in (("scale", operands.need(1)), ("bias", operands[2])):
        check_broadcasts_to(name, fact, x.shape)
    return x


def _stash_dtype(stash_type: int) -> DType:
    found = _STASH.get(stash_type)
    if found is None:
        raise UnsupportedError(f"stash_type {stash_type} is neither 1 (float) nor 16 (bfloat16)")
    return found


def _infer_lp(attrs: LpNormalizationAttrs, operands: Operands) -> tuple[TensorType, ...]:
    require_dtype(operands.need(0), _FLOATS, "the input")
    normalize_axis(attrs.axis, operands.need(0).rank)
    if attrs.p not in (1, 2):
        raise ModelError(f"p is {attrs.p}, lp_normalization takes 1 or 2")
    return same_type(attrs, operands)


def _infer_mean_variance(attrs: MeanVarianceNormalizationAttrs, operands: Operands) -> tuple[TensorType, ...]:
    require_dtype(operands.need(0), _FLOATS, "the input")
    for axis in attrs.axes:
        normalize_axis(axis, operands.need(0).rank)
    return same_type(attrs, operands)


def _infer_lrn(attrs: LRNAttrs, operands: Operands) -> tuple[TensorType, ...]:
    x = _channels(operands, ())
    if attrs.size < 1:
        raise ModelError(f"size is {attrs.size}, lrn needs at least 1 channel")
    return (TensorType(x.shape, x.dtype),)


OPS = (
    OpDef(
        "batch_normalization",
        _infer_batch,
        attrs=BatchNormalizationAttrs,
        inputs=(5, 5),
        outputs=(1, 3),
    ),
    OpDef("scale_shift", _infer_scale_shift, attrs=ScaleShiftAttrs, inputs=(3, 3)),
    OpDef("instance_normalization", _infer_instance, attrs=InstanceNormalizationAttrs, inputs=(3, 3)),
    OpDef("group_normalization", _infer_group, attrs=GroupNormalizationAttrs, inputs=(3, 3)),
    OpDef("layer_normalization", _infer_layer, attrs=LayerNormalizationAttrs, inputs=(2, 3), outputs=(1, 3)),
    OpDef("rms_normalization", _infer_rms, attrs=LayerNormalizationAttrs, inputs=(2, 2)),
    OpDef("lp_normalization", _infer_lp, attrs=LpNormalizationAttrs),
    OpDef("mean_variance_normalization", _infer_mean_variance, attrs=MeanVarianceNormalizationAttrs),
    OpDef("lrn", _infer_lrn, attrs=LRNAttrs),
)
