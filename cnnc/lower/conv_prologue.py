"""The prologue of a convolution: scale, shift and activation of its input, as the kernels' parameters and arguments."""

from __future__ import annotations

from cnnc.dims import Dim
from cnnc.ir import Node
from cnnc.lower.builder import ProgramBuilder
from cnnc.lower.spatial import activation_bits, channel_lanes
from cnnc.ops.conv import ConvAttrs
from cnnc.runtime.cpu.activation import ACTIVATIONS
from cnnc.runtime.cpu.prologue import PROLOGUE_BUFFERS, PROLOGUE_SIZES
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
    return node.optional(_OPERANDS[0]) is not None


def prologue_params(node: Node) -> dict[str, int | str]:
    """Compile-time parameters; none without a prologue."""
    assert isinstance(node.attrs, ConvAttrs)
    return {"prologue": node.attrs.prologue.kind} if has_prologue(node) else {}


def prologue_buffers(node: Node, builder: ProgramBuilder) -> dict[str, BufferArg | int]:
    """Scales and shifts at the lanes of the input's channels; 0 where there are none."""
    buffers: dict[str, BufferArg | int] = {}
    for name, position in zip(PROLOGUE_BUFFERS, _OPERANDS):
        value = node.optional(position)
        lanes = None if value is None else channel_lanes(value.array, node.input(0).type)
        buffers[name] = 0 if lanes is None else BufferArg(builder.constant(lanes, f"{node.name}.{name}"))
    return buffers


def prologue_sizes(node: Node) -> dict[str, Dim]:
    """Argument slots of the activation's parameters."""
    assert isinstance(node.attrs, ConvAttrs)
    return dict(zip(PROLOGUE_SIZES, activation_bits(node.attrs.prologue).values()))
