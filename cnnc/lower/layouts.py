"""convert_layout: copies between plain and blocked tensors, run by run of channels.

A *run* is a range of channels whose places are regular on both sides: whole blocks when both sides start on one, or
part of a block. Pad lanes of the result are left as they are: no kernel reads them into a result.
"""

from __future__ import annotations

from dataclasses import dataclass

from cnnc.dims import Dim, product
from cnnc.ir import Node
from cnnc.lower.builder import ProgramBuilder
from cnnc.lower.movement import Copy, copy_call
from cnnc.lower.rules import LoweringRule
from cnnc.runtime.program import BufferArg
from cnnc.types import TensorType


@dataclass(frozen=True, slots=True)
class _Run:
    """``blocks`` groups of ``lanes`` channels from channel ``first`` on."""

    first: int
    blocks: int
    lanes: int


def _runs(source: TensorType, target: TensorType, channels: int) -> list[_Run]:
    source_lanes, target_lanes = _lanes(source, channels), _lanes(target, channels)
    block = max(source.layout.block, target.layout.block)
    runs: list[_Run] = []
    channel = 0
    while channel < channels:
        count = 1
        while channel + count < channels and count < block:
            at = channel + count
            if any(
                lanes[at] != lanes[at - 1] + 1 or (type.layout.is_blocked and lanes[at] % block == 0)
                for lanes, type in ((source_lanes, source), (target_lanes, target))
            ):
                break
            count += 1
        last = runs[-1] if runs else None
        follows = (
            last is not None
            and last.lanes == count == block
            and all(lanes[channel] == lanes[last.first] + last.blocks * block for lanes in (source_lanes, target_lanes))
        )
        if last is not None and follows:
            runs[-1] = _Run(last.first, last.blocks + 1, block)
        else:
            runs.append(_Run(channel, 1, count))
        channel += count
    return runs


def _lanes(type: TensorType, channels: int) -> list[int]:
    return type.layout.lanes(channels) if type.layout.is_blocked else list(range(channels))


def _strides(type: TensorType, channels: int, block: int) -> tuple[Dim, Dim, Dim, Dim]:
    """Strides in elements of image, block of channels, channel within it, pixel."""
    pixels = product(type.shape[2:])
    if not type.layout.is_blocked:
        return channels * pixels, pixels * block, pixels, 1
    return type.layout.physical_channels(channels) * pixels, pixels * block, 1, block


def _offset(type: TensorType, channel: int, channels: int, block: int) -> Dim:
    pixels = product(type.shape[2:])
    if not type.layout.is_blocked:
        return pixels * channel
    lane = type.layout.lanes(channels)[channel]
    return pixels * (lane // block * block) + lane % block


def _emit(node: Node, builder: ProgramBuilder) -> None:
    x, source, target = node.input(0), node.input(0).type, node.output.type
    channels = target.shape[1]
    assert isinstance(channels, int)
    block = max(source.layout.block, target.layout.block)
    place = builder.allocate(node.output)
    pixels = product(target.shape[2:])
    calls = []
    for run in _runs(source, target, channels):
        shape = (target.shape[0], run.blocks, run.lanes, pixels)
        copy = Copy(
            x,
            shape,
            _strides(source, channels, block),
            _strides(target, channels, block),
            _offset(source, run.first, channels, block),
            _offset(target, run.first, channels, block),
        )
        calls.append(copy_call(builder, copy, BufferArg(place.buffer), target.dtype.size))
    builder.kernel_step(node, calls)


def _refusal(node: Node, builder: ProgramBuilder) -> str | None:
    blocks = {type.layout.block for type in (node.input(0).type, node.output.type) if type.layout.is_blocked}
    return "it converts between blocks of different sizes" if len(blocks) > 1 else None


RULES = {"convert_layout": (LoweringRule("copy.strided", _refusal, _emit),)}
