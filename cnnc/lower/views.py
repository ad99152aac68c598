"""Ops that only rename elements of a plain tensor: no step, the output lies where the input lies."""

from __future__ import annotations

from cnnc.dims import Dim
from cnnc.ir import Node
from cnnc.lower.builder import ProgramBuilder
from cnnc.lower.rules import LoweringRule


def _both_plain(node: Node, builder: ProgramBuilder) -> str | None:
    if node.input(0).type.layout.is_blocked or node.output.type.layout.is_blocked:
        return "a blocked tensor cannot be renamed"
    return None


def _alias(node: Node, builder: ProgramBuilder) -> None:
    builder.alias(node.output, node.input(0))


def _same_lanes(node: Node, builder: ProgramBuilder) -> str | None:
    """A convert_layout that moves nothing: one spatial element a channel, and no padding lanes."""
    source, target = node.input(0).type, node.output.type
    if source.layout == target.layout:
        return None
    if any(size != 1 for size in source.shape[2:]):
        return "elements of several places change their order"
    channels = source.shape[1]
    for type in (source, target):
        if type.layout.is_blocked and (
            not isinstance(channels, int) or type.layout.physical_channels(channels) != channels
        ):
            return "padding lanes are added or removed"
    return None


def _contiguous_split(node: Node, builder: ProgramBuilder) -> str | None:
    """A split along the first axis that is longer than 1 leaves each piece dense."""
    refusal = _both_plain(node, builder)
    if refusal is not None:
        return refusal
    type = node.input(0).type
    axis = getattr(node.attrs, "axis", 0) % type.rank
    if any(size != 1 for size in type.shape[:axis]):
        return "the pieces are not dense: an axis before the split one is longer than 1"
    return None


def _emit_split(node: Node, builder: ProgramBuilder) -> None:
    offset: Dim = 0
    for value in node.outputs:
        builder.alias(value, node.input(0), offset)
        offset = offset + value.type.bytes


_RENAME = LoweringRule("view", _both_plain, _alias)

RULES = {
    **dict.fromkeys(("reshape", "flatten", "squeeze", "unsqueeze", "identity"), (_RENAME,)),
    "convert_layout": (LoweringRule("view", _same_lanes, _alias),),
    "split": (LoweringRule("view", _contiguous_split, _emit_split),),
}
