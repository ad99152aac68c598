"""conv and conv_transpose, with the fused prologue and epilogue that passes give them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cnnc.dims import Dim, product
from cnnc.errors import ModelError
from cnnc.ir.attrs import Attrs
from cnnc.ir.fact import Fact, Operands
from cnnc.ops.activation import IDENTITY, Activation, check_activation
from cnnc.ops.opdef import OpDef
from cnnc.ops.window import Window, resolve_transpose, window_of
from cnnc.types import TensorType

GATE = 7
"""Position of a convolution's gate among its operands."""


@dataclass(frozen=True, slots=True)
class ConvAttrs(Attrs):
    """ONNX Conv, and the activations of epilogue and prologue. Empty tuples mean the ONNX defaults.

    A conv with an input scale and shift (inputs 5 and 6, [C] each) reads prologue(x * scale + shift) in place of x; its
    padding is 0 all the same. One with a gate (input 7, [N, C, 1...]) reads x * gate: squeeze-and-excite. It has one or
    the other.
    """

    auto_pad: str = "NOTSET"
    dilations: tuple[int, ...] = ()
    group: int = 1
    kernel_shape: tuple[int, ...] = ()
    pads: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()
    activation: Activation = IDENTITY
    prologue: Activation = IDENTITY


@dataclass(frozen=True, slots=True)
class ConvTransposeAttrs(Attrs):
    """ONNX ConvTranspose, and the activation of the epilogue. Empty tuples mean the ONNX defaults."""

    auto_pad: str = "NOTSET"
    dilations: tuple[int, ...] = ()
    group: int = 1
    kernel_shape: tuple[int, ...] = ()
    output_padding: tuple[int, ...] = ()
    output_shape: tuple[int, ...] = ()
    pads: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()
    activation: Activation = IDENTITY


def check_conv_operands(x: Fact, w: Fact, group: int, kernel_shape: Sequence[int]) -> None:
    """Check a convolution's input [N, C, ...] against its weights [M, C/group, ...].

    Raises:
        ModelError: ranks, channel counts, groups or kernel sizes that contradict each other.
    """
    check_ranks(x, w, kernel_shape)
    if group < 1:
        raise ModelError(f"group is {group}, it must be at least 1")
    channels, per_group, out_channels = x.shape[1], w.shape[1], w.shape[0]
    if isinstance(channels, int) and isinstance(per_group, int) and channels != per_group * group:
        raise ModelError(
            f"the input has {channels} channels, but weights {w.type} with group {group} take {per_group * group}"
        )
    if isinstance(out_channels, int) and out_channels % group:
        raise ModelError(f"{out_channels} output channels do not divide into {group} groups")


def check_ranks(x: Fact, w: Fact, kernel_shape: Sequence[int]) -> None:
    """Check ranks, and ``kernel_shape`` against the weights' own sizes."""
    if x.rank < 3:
        raise ModelError(f"the input needs a batch, a channel and a spatial axis, got {x.type}")
    if w.rank != x.rank:
        raise ModelError(f"weights {w.type} have rank {w.rank}, but the input has rank {x.rank}")
    if not kernel_shape:
        return
    sizes = w.shape[2:]
    if len(kernel_shape) != len(sizes) or any(
        isinstance(size, int) and size != wanted for size, wanted in zip(sizes, kernel_shape)
    ):
        raise ModelError(f"kernel_shape {list(kernel_shape)} contradicts the weights {w.type}")


def check_same_dtype(operands: Operands) -> None:
    """Check that all operands are floats of one type."""
    types = {fact.dtype for fact in operands.present()}
    if len(types) != 1 or not next(iter(types)).is_float:
        shown = ", ".join(fact.dtype.value for fact in operands.present())
        raise ModelError(f"inputs must be floats of one element type, got {shown}")


def check_length(name: str, fact: Fact | None, length: Dim) -> None:
    """Check a per-channel vector of ``length`` elements, where both are known."""
    if fact is None:
        return
    if fact.rank != 1:
        raise ModelError(f"{name} must have rank 1, got {fact.type}")
    if isinstance(length, int) and isinstance(fact.shape[0], int) and fact.shape[0] != length:
        raise ModelError(f"{name} has {fact.shape[0]} elements for {length} channels")


def check_broadcasts_to(name: str, fact: Fact | None, shape: tuple[Dim, ...]) -> None:
    """Check that an operand broadcasts to ``shape`` without widening it, where sizes are known."""
    if fact is None:
        return
    pairs = zip(reversed(fact.shape), reversed(shape))
    if fact.rank > len(shape) or any(
        isinstance(size, int) and size != 1 and isinstance(wanted, int) and size != wanted for size, wanted in pairs
    ):
        raise ModelError(f"{name} {fact.type} does not broadcast to {TensorType(shape, fact.dtype)}")


def conv_window(attrs: ConvAttrs, x: Sequence[Dim], w: Sequence[Dim]) -> Window:
    """The resolved window of a convolution of x [N, C, spatial...] with w [M, C/group, kernel...]."""
    return window_of(attrs, x[2:], w[2:])


def transpose_window(attrs: ConvTransposeAttrs, x: Sequence[Dim], w: Sequence[Dim]) -> Window:
    """The resolved window of a transposed convolution of x [N, C, spatial...] with w [C, M/group, kernel...]."""
    return resolve_transpose(
        x[2:],
        w[2:],
        attrs.strides,
        attrs.dilations,
        attrs.pads,
        attrs.auto_pad,
        attrs.output_padding,
        attrs.output_shape,
    )


def _infer_conv(attrs: ConvAttrs, operands: Operands) -> tuple[TensorType, ...]:
    x, w = operands.need(0), operands.need(1)
    check_same_dtype(operands)
    check_conv_operands(x, w, attrs.group, attrs.kernel_shape)
    check_length("the bias", operands[2], w.shape[0])
    check_activation(attrs.activation, operands, slopes=4)
    shape = (x.shape[0], w.shape[0], *conv_window(attrs, x.shape, w.shape).output)
    check_broadcasts_to("the residual", operands[3], shape)
    _check_prologue(attrs.prologue, operands)
    _check_gate(operands)
    return (TensorType(shape, x.dtype),)


def _check_prologue(prologue: Activation, operands: Operands) -> None:
    scale, shift = operands[5], operands[6]
    if (scale is None) != (shift is None) or (scale is None and not prologue.is_identity):
        raise ModelError("a prologue needs an input scale and an input shift")
    if prologue.kind == "prelu":
        raise ModelError("prelu is no prologue: it has slopes")
    channels = operands.need(0).shape[1]
    check_length("the input scale", scale, channels)
    check_length("the input shift", shift, channels)


def _check_gate(operands: Operands) -> None:
    gate, x = operands[GATE], operands.need(0)
    if gate is None:
        return
    if operands[5] is not None:
        raise ModelError("a conv has a prologue or a gate, not both")
    wanted = (*x.shape[:2], *[1] * (x.rank - 2))
    known = [isinstance(size, int) and isinstance(other, int) for size, other in zip(gate.shape, wanted)]
    if gate.rank != x.rank or any(here and a != b for here, a, b in zip(known, gate.shape, wanted)):
        raise ModelError(f"the gate {gate.type} has not one element for each image and channel of {x.type}")


def _infer_conv_transpose(attrs: ConvTransposeAttrs, operands: Operands) -> tuple[TensorType, ...]:
    x, w = operands.need(0), operands.need(1)
    check_same_dtype(operands)
    check_ranks(x, w, attrs.kernel_shape)
    check_activation(attrs.activation, operands, slopes=-1)
    channels = x.shape[1]
    if attrs.group < 1 or (isinstance(channels, int) and channels % attrs.group):
        raise ModelError(f"{channels} input channels do not divide into {attrs.group} groups")
    if isinstance(channels, int) and isinstance(w.shape[0], int) and channels != w.shape[0]:
        raise ModelError(f"the input has {channels} channels, but weights {w.type} take {w.shape[0]}")
    out_channels = w.shape[1] * attrs.group
    check_length("the bias", operands[2], out_channels)
    return (TensorType((x.shape[0], out_channels, *transpose_window(attrs, x.shape, w.shape).output), x.dtype),)


def conv_macs(attrs: object, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]) -> Dim:
    """Every output element costs one multiply-accumulate for each weight of its channel (w is input 1)."""
    w = inputs[1]
    assert w is not None
    return outputs[0].elements * product(w.shape[1:])


def _transpose_macs(attrs: object, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]) -> Dim:
    x, w = inputs[0], inputs[1]
    assert x is not None and w is not None
    return x.elements * product(w.shape[1:])


OPS = (
    OpDef("conv", _infer_conv, attrs=ConvAttrs, inputs=(2, 8), macs=conv_macs),
    OpDef("conv_transpose", _infer_conv_transpose, attrs=ConvTransposeAttrs, inputs=(2, 3), macs=_transpose_macs),
)
