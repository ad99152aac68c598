"""Which blocked values lie inside a larger tensor: concat and split of channels without copies.

The pieces of a channel concat start on block borders, so a piece can be written straight to its place in the result:
its images then lie further apart than its own channels need (a *gap* follows each image). Concats are visited last
first, so that the largest one becomes the tensor that others lie in. A concat whose pieces already lie one behind the
other in such a tensor (a dense block joins the same features again and again) is itself a range of it.

A value may lie in a range if the kernel that writes it and every kernel that reads it can step over gaps.
"""

from __future__ import annotations

from dataclasses import dataclass

from cnnc.ir import Graph, Node, Value
from cnnc.ops.blocking import channel_runs
from cnnc.ops.byte_table import TABLE_OPS
from cnnc.ops.elementwise_chain import CHAIN_OPS

_STEPS_OVER_GAPS = (
    CHAIN_OPS
    | TABLE_OPS
    | {
        "conv",
        "conv_transpose",
        "max_pool",
        "average_pool",
        "channel_shuffle",
        "concat",
        "dequantize_linear",
        "elementwise_chain",
        "gather",
        "q_linear_add",
        "q_linear_average_pool",
        "q_linear_conv",
        "q_linear_global_average_pool",
        "q_linear_mul",
        "quantize_linear",
        "resize",
        "scale_shift",
        "slice",
        "split",
    }
)
"""Ops whose kernels read and write ranges of channels."""


@dataclass(frozen=True, slots=True)
class ChannelRange:
    """Lanes ``first_lane ...`` of ``root``, for as many lanes as the value has."""

    root: Value
    first_lane: int


def channels_of(value: Value) -> int:
    """Channel count of a blocked value."""
    channels = value.type.shape[1]
    assert isinstance(channels, int)
    return channels


def lanes_of(value: Value) -> int:
    """Lanes of a blocked value, padding included."""
    return value.type.layout.physical_channels(channels_of(value))


def plan_channel_ranges(graph: Graph) -> dict[Value, ChannelRange]:
    """Values that lie inside the result of a concat."""
    ranges: dict[Value, ChannelRange] = {}
    for node in reversed(list(graph.nodes)):
        if node.op == "concat" and node.output.type.layout.is_blocked:
            _plan_concat(graph, node, ranges)
    return ranges


def _plan_concat(graph: Graph, node: Node, ranges: dict[Value, ChannelRange]) -> None:
    pieces = [value for value in node.inputs if value is not None]
    own = ranges.get(node.output)
    if own is None and _may_be_range(graph, node.output):
        joined = _joined(pieces, ranges)
        if joined is not None:
            ranges[node.output] = joined
            return
    root, lane = (own.root, own.first_lane) if own is not None else (node.output, 0)
    for value in pieces:
        once = sum(other is value for other in pieces) == 1
        if once and value not in ranges and _may_be_range(graph, value) and value.producer is not None:
            ranges[value] = ChannelRange(root, lane)
        lane += lanes_of(value)


def _joined(pieces: list[Value], ranges: dict[Value, ChannelRange]) -> ChannelRange | None:
    """The range that the pieces make up if they lie in order and without holes in one tensor."""
    first = ranges.get(pieces[0])
    if first is None:
        return None
    lane = first.first_lane
    for value in pieces:
        found = ranges.get(value)
        if found is None or found.root is not first.root or found.first_lane != lane:
            return None
        lane += lanes_of(value)
    return first


def _may_be_range(graph: Graph, value: Value) -> bool:
    producer = value.producer
    if producer is None or graph.is_output(value) or producer.op not in _STEPS_OVER_GAPS:
        return False
    if producer.op in ("slice", "split") and aligned_pieces(producer) is not None:
        return False  # it may lie in the tensor that it is cut from
    return value.type.layout.is_blocked and may_be_read_in_range(graph, value)


def may_be_read_in_range(graph: Graph, value: Value) -> bool:
    """Whether every reader of ``value`` can step over gaps, and none is the caller."""
    return not graph.is_output(value) and all(user.op in _STEPS_OVER_GAPS for user in value.users)


def aligned_pieces(node: Node) -> list[int] | None:
    """First lane of each output of a channel split or slice in the input, if all of them are whole blocks there."""
    runs = channel_runs(node)
    if runs is None:
        return None
    lanes = node.input(0).type.layout.lanes(channels_of(node.input(0)))
    block = node.input(0).type.layout.block
    firsts = []
    for first, count in runs:
        if lanes[first] % block or lanes[first : first + count] != list(range(lanes[first], lanes[first] + count)):
            return None
        firsts.append(lanes[first])
    return firsts
