"""Ops that move channels of blocked tensors: layout conversion, concat, split, slice and shuffle of channels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cnnc.dims import Dim, product
from cnnc.ir import Node, Value
from cnnc.lower.builder import ProgramBuilder
from cnnc.lower.channel_ranges import aligned_pieces, lanes_of, may_be_read_in_range
from cnnc.lower.movement import Copy, copy_call
from cnnc.lower.rules import LoweringRule
from cnnc.ops.blocking import BLOCKED_DTYPES, gathered_channels, sliced_channels
from cnnc.ops.layout import ChannelShuffleAttrs, shuffled_channels
from cnnc.ops.quantized_operands import BYTES
from cnnc.runtime.cpu import layout_blocked_lanes, layout_byte_lanes, layout_conversion
from cnnc.runtime.kernel import Variant
from cnnc.runtime.program import BufferArg, Call
from cnnc.types import DType, TensorType


def _channels(type: TensorType) -> int:
    channels = type.shape[1]
    assert isinstance(channels, int)
    return channels


def lane_channels(type: TensorType) -> NDArray[np.int32]:
    """For each lane of a blocked tensor its channel, -1 for padding (int32)."""
    channels = _channels(type)
    table = np.full(type.layout.physical_channels(channels), -1, np.int32)
    table[type.layout.lanes(channels)] = np.arange(channels, dtype=np.int32)
    return table


# ---- conversion -----------------------------------------------------------------------------------------------------


def _conversion_refusal(node: Node, builder: ProgramBuilder) -> str | None:
    dtype = node.output.type.dtype
    if dtype not in BLOCKED_DTYPES:
        return f"elements are {dtype.value}, neither f32 nor bytes"
    blocks = {type.layout.block for type in (node.input(0).type, node.output.type) if type.layout.is_blocked}
    return "it converts between blocks of different sizes" if len(blocks) > 1 else None


def _emit_conversion(node: Node, builder: ProgramBuilder) -> None:
    source, target = node.input(0).type, node.output.type
    if source.layout.is_blocked and target.layout.is_blocked:
        _emit_gather(node, builder, range(_channels(target)))
        return
    blocked = target if target.layout.is_blocked else source
    channels, lanes = _channels(target), blocked.layout.block
    table: BufferArg | int = 0
    if blocked.layout.pieces:
        table = BufferArg(builder.constant(lane_channels(blocked), "lanes"))
    sizes = layout_conversion.arguments(
        target.shape[0],
        channels,
        product(target.shape[2:]),
        blocked.layout.physical_channels(channels) // lanes,
        lanes,
        has_map=bool(blocked.layout.pieces),
    )
    kernel = "layout.plain_to_blocked" if target.layout.is_blocked else "layout.blocked_to_plain"
    x = builder.argument(node.input(0))
    buffers = {"x": x, "y": builder.result(node.output), "map": table}
    size = {} if target.dtype is DType.F32 else {"size": target.dtype.size}
    builder.kernel_step(node, [builder.call(Variant.of(kernel, lanes=lanes, **size), buffers, sizes)])


# ---- gathers of lanes -----------------------------------------------------------------------------------------------


def gather_call(builder: ProgramBuilder, source: Value, target: Value, channels: Sequence[int]) -> Call:
    """Channel ``c`` of ``target`` becomes channel ``channels[c]`` of ``source``; both blocked."""
    lanes = target.type.layout.block
    source_lanes = np.array(source.type.layout.lanes(_channels(source.type)))
    table = lane_channels(target.type)
    wanted = np.where(table >= 0, source_lanes[np.array(channels)][table], -1).astype(np.int32)
    if target.type.dtype in BYTES:
        return _byte_gather_call(builder, source, target, wanted)
    x = builder.argument(source, gaps=True)
    sizes = layout_blocked_lanes.arguments(
        target.type.shape[0],
        source.type.layout.physical_channels(_channels(source.type)) // lanes,
        target.type.layout.physical_channels(_channels(target.type)) // lanes,
        product(target.type.shape[2:]),
    )
    buffers = {
        "x": x,
        "y": builder.result(target, gaps=True),
        "map": BufferArg(builder.constant(wanted, "lanes")),
    }
    sizes |= {"x_gap": builder.gap(source), "y_gap": builder.gap(target)}
    return builder.call(Variant.of("layout.blocked_lanes", lanes=lanes), buffers, sizes)


def _byte_gather_call(builder: ProgramBuilder, source: Value, target: Value, wanted: NDArray[np.int32]) -> Call:
    lanes = target.type.layout.block
    terms = layout_byte_lanes.lane_terms(wanted.tolist(), lanes)
    buffers = {
        "x": builder.argument(source, gaps=True),
        "y": builder.result(target, gaps=True),
        "starts": BufferArg(builder.constant(terms.starts, "lanes")),
        "sources": BufferArg(builder.constant(terms.sources, "lanes")),
        "indices": BufferArg(builder.constant(terms.indices, "lanes")),
    }
    sizes: dict[str, Dim] = {
        "batch": target.type.shape[0],
        "x_blocks": lanes_of(source) // lanes,
        "y_blocks": lanes_of(target) // lanes,
        "positions": product(target.type.shape[2:]),
        "x_gap": builder.gap(source),
        "y_gap": builder.gap(target),
        "terms": len(terms.sources),
    }
    return builder.call(Variant.of("layout.byte_lanes", lanes=lanes), buffers, sizes)


def _emit_gather(node: Node, builder: ProgramBuilder, channels: Sequence[int]) -> None:
    builder.kernel_step(node, [gather_call(builder, node.input(0), node.output, channels)])


def _blocked(node: Node) -> str | None:
    values = [value for value in (node.input(0), *node.outputs) if not value.type.layout.is_blocked]
    return f"%{values[0].name} is in plain layout" if values else None


def _shuffle_channels(node: Node) -> list[int]:
    assert isinstance(node.attrs, ChannelShuffleAttrs)
    return shuffled_channels(_channels(node.output.type), node.attrs.groups)


def _emit_channel_gather(node: Node, builder: ProgramBuilder) -> None:
    channels = gathered_channels(node)
    assert channels is not None
    _emit_gather(node, builder, channels)


def _emit_split(node: Node, builder: ProgramBuilder) -> None:
    calls = []
    first = 0
    for value in node.outputs:
        count = _channels(value.type)
        calls.append(gather_call(builder, node.input(0), value, range(first, first + count)))
        first += count
    builder.kernel_step(node, calls)


def _emit_slice(node: Node, builder: ProgramBuilder) -> None:
    channels = sliced_channels(node)
    assert channels is not None
    _emit_gather(node, builder, channels)


# ---- concat ---------------------------------------------------------------------------------------------------------


def _concat_refusal(node: Node, builder: ProgramBuilder) -> str | None:
    if not node.output.type.layout.is_blocked:
        return "its result is in plain layout"
    pieces = [piece for value in node.inputs if value is not None for piece in _pieces(value)]
    lanes = sum(-(-piece // node.output.type.layout.block) for piece in pieces) * node.output.type.layout.block
    channels = _channels(node.output.type)
    return None if lanes == node.output.type.layout.physical_channels(channels) else "its pieces do not fit its layout"


def _pieces(value: Value) -> tuple[int, ...]:
    return value.type.layout.pieces or (_channels(value.type),)


def _emit_concat(node: Node, builder: ProgramBuilder) -> None:
    """Every piece starts on a block: one copy of whole blocks for each piece that was not written in its place."""
    target = builder.result(node.output, gaps=True)
    output = node.output.type
    pixels = product(output.shape[2:])
    image = lanes_of(node.output) * pixels + builder.gap(node.output)
    offset: Dim = 0
    calls = []
    for value in node.inputs:
        assert value is not None
        lanes = lanes_of(value) * pixels
        place = builder.place(value)
        size = output.dtype.size
        if (place.buffer, place.offset) != (target.buffer, target.offset + offset * size):
            strides = (lanes + place.gap, 1)
            copy = Copy(
                value, (output.shape[0], lanes), strides, (image, 1), target_offset=offset, steps_over_gaps=True
            )
            calls.append(copy_call(builder, copy, target, size))
        offset = offset + lanes
    if calls:
        builder.kernel_step(node, calls)


# ---- views of channels ----------------------------------------------------------------------------------------------


def _range_refusal(node: Node, builder: ProgramBuilder) -> str | None:
    reason = _blocked(node)
    if reason is not None:
        return reason
    if aligned_pieces(node) is None:
        return "a piece does not start on a block"
    readers = [value for value in node.outputs if not may_be_read_in_range(builder.graph, value)]
    return f"a reader of %{readers[0].name} cannot step over other channels" if readers else None


def _emit_range(node: Node, builder: ProgramBuilder) -> None:
    firsts = aligned_pieces(node)
    assert firsts is not None
    for value, first in zip(node.outputs, firsts):
        builder.place_within(value, node.input(0), first)


_RANGE = LoweringRule("view", _range_refusal, _emit_range)

RULES = {
    "convert_layout": (LoweringRule("layout", _conversion_refusal, _emit_conversion),),
    "channel_shuffle": (
        LoweringRule(
            "layout.blocked_lanes",
            lambda node, builder: _blocked(node),
            lambda node, builder: _emit_gather(node, builder, _shuffle_channels(node)),
        ),
    ),
    "gather": (LoweringRule("layout.blocked_lanes", lambda node, builder: _blocked(node), _emit_channel_gather),),
    "split": (
        _RANGE,
        LoweringRule("layout.blocked_lanes", lambda node, builder: _blocked(node), _emit_split),
    ),
    "slice": (
        _RANGE,
        LoweringRule("layout.blocked_lanes", lambda node, builder: _blocked(node), _emit_slice),
    ),
    "concat": (LoweringRule("copy.strided", _concat_refusal, _emit_concat),),
}
