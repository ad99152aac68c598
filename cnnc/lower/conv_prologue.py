"""The prologue of a convolution as the kernels' parameters and arguments: scale, shift and activation of its input, or
the gate that multiplies it."""

from __future__ import annotations

from cnnc.dims import Dim
from cnnc.ir import Node
from cnnc.lower.builder import ProgramBuilder
from cnnc.lower.spatial import activation_bits, channel_lanes
from cnnc.ops.conv import GATE, ConvAttrs
from cnnc.runtime.cpu.activation import ACTIVATIONS
from cnnc.runtime.cpu.prologue import GATED, PROLOGUE_BUFFERS, PROLOGUE_SIZES
from cnnc.runtime.program import BufferArg

_OPERANDS = (5, 6)
"""Positions of the input's scale and shift among the operands."""


def prologue_refusal(node: Node) -> str | None:
    """What kernels that transform their input need of it."""
    attrs = node.attrs
    assert isinstance(attrs, ConvAttrs)
    for position in _OPERANDS:
        value = node.optional(position)
        if value is not None and not value.is_constant:
            return f"%{value.name} is not constant"
    if attrs.prologue.kind not in ACTIVATIONS:
        return f"the prologue has no {attrs.prologue.kind}"
    return None


def has_prologue(node: Node) -> bool:
    """Whether the convolution scales its input."""
    return copies_input(node) or node.optional(GATE) is not None


def copies_input(node: Node) -> bool:
    """Whether kernels copy the input to scale it; a gate scales their weights."""
    return node.optional(_OPERANDS[0]) is not None


def prologue_params(node: Node) -> dict[str, int | str]:
    """Compile-time parameters; none without a prologue."""
    assert isinstance(node.attrs, ConvAttrs)
    if node.optional(GATE) is not None:
        return {"prologue": GATED}
    return {"prologue": node.attrs.prologue.kind} if has_prologue(node) else {}


def prologue_buffers(node: Node, builder: ProgramBuilder) -> dict[str, BufferArg | int]:
    """Scales and shifts at the lanes of the input's channels; 0 where there are none."""
    gate = node.optional(GATE)
    if gate is not None:
        return dict(zip(PROLOGUE_BUFFERS, (builder.argument(gate, gaps=True), 0)))
    buffers: dict[str, BufferArg | int] = {}
    for name, position in zip(PROLOGUE_BUFFERS, _OPERANDS):
        value = node.optional(position)
        lanes = None if value is None else channel_lanes(value.array, node.input(0).type)
        buffers[name] = 0 if lanes is None else BufferArg(builder.constant(lanes, f"{node.name}.{name}"))
    return buffers


def prologue_sizes(node: Node, builder: ProgramBuilder) -> dict[str, Dim]:
    """Argument slots of the activation's parameters, and of the floats between the scales of two images."""
    assert isinstance(node.attrs, ConvAttrs)
    gate = node.optional(GATE)
    step: Dim = 0
    if gate is not None:
        channels = gate.type.shape[1]
        assert isinstance(channels, int)
        step = gate.type.layout.physical_channels(channels) + builder.gap(gate)
    return dict(zip(PROLOGUE_SIZES, (*activation_bits(node.attrs.prologue).values(), step), strict=True))
