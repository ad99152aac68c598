"""Packs convolution weights for the register tile, and lists the input lanes that each output tile reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.runtime.cpu.tile_table import CHAIN
from cnnc.types import DType


@dataclass(frozen=True, slots=True)
class PackedWeights:
    """``weights``: float32, per output tile [segment][KD][KH][KW][input lane][block][lane]; or int8, int16 or bfloat16,
    as the words that [segment][KD][KH][KW][word][block][lane][step] make up, a word being 4 or 2 neighbouring input
    lanes.

    ``segments``: int64 rows of three. First one per output tile: (first segment, segments, offset into ``weights`` in
    words of four bytes); then the segments: (channel block, first lane, lanes), or words for lanes.
    ``segment_count``: the most that one tile has.
    """

    weights: NDArray[Any]
    segments: NDArray[np.int64]
    segment_count: int


def pack_weights(
    w: NDArray[Any],
    lanes: int,
    blocks: int,
    groups: int = 1,
    input_lanes: Sequence[int] | None = None,
    input_block: int | None = None,
    tail_lanes: int = 0,
) -> PackedWeights:
    """Pack ``w`` [OC, IC/groups, KD, KH, KW] (or fewer spatial axes) for tiles of ``blocks`` x ``lanes`` channels.

    ``input_lanes`` gives the physical lane of each of the IC input channels; by default channel c lies in lane c.
    ``input_block`` is the lanes of a channel block of the input: ``lanes`` by default, 1 for a plain NCHW input. An
    output tile that spans several groups reads the lanes of all of them with zero weights where a channel is not in
    the group, so an infinity in one group can turn a neighbouring group's sum into NaN. With ``tail_lanes`` the last
    tile is packed for so many lanes, which hold all its channels.
    """
    return _pack(np.asarray(w, np.float32), lanes, blocks, groups, input_lanes, input_block or lanes, tail_lanes, 1)


def pack_byte_weights(
    w: NDArray[Any],
    lanes: int,
    blocks: int,
    groups: int = 1,
    input_lanes: Sequence[int] | None = None,
    tail_lanes: int = 0,
) -> PackedWeights:
    """As ``pack_weights``, for tiles that read a blocked input by quads; lanes of a quad without a channel weigh 0."""
    return _pack(np.asarray(w, np.int8), lanes, blocks, groups, input_lanes, lanes, tail_lanes, QUAD)


def pack_bfloat_weights(
    w: NDArray[Any],
    lanes: int,
    blocks: int,
    groups: int = 1,
    input_lanes: Sequence[int] | None = None,
    tail_lanes: int = 0,
) -> PackedWeights:
    """As ``pack_weights``, rounded to bfloat16, for tiles that read a blocked input by pairs.

    The channels of a group fill pairs of lanes: see ``fills_pairs``.
    """
    halves = np.asarray(w, np.float32).astype(DType.BF16.numpy).view(np.uint16)
    return _pack(halves, lanes, blocks, groups, input_lanes, lanes, tail_lanes, PAIR)


def fills_pairs(input_lanes: Sequence[int], groups: int = 1) -> bool:
    """Whether no pair of neighbouring lanes holds a single channel, or channels of two groups.

    The other lane would be multiplied by zero, but may hold an infinity or NaN.
    """
    if len(input_lanes) // groups % PAIR:
        return False
    firsts, seconds = np.asarray(input_lanes).reshape(-1, PAIR).T
    return bool(np.all(firsts % PAIR == 0) and np.all(seconds == firsts + 1))


PAIR = 2
"""Input channels of a step of bfloat16 or int16."""


def pack_pair_weights(
    w: NDArray[Any], lanes: int, blocks: int, groups: int = 1, input_lanes: Sequence[int] | None = None
) -> PackedWeights:
    """As ``pack_weights``, as int16 for tiles that read a blocked input by pairs; lanes without a channel weigh 0."""
    return _pack(np.asarray(w, np.int16), lanes, blocks, groups, input_lanes, lanes, 0, PAIR)


QUAD = 4
"""Input channels of a step of bytes."""


def _pack(
    w: NDArray[Any],
    lanes: int,
    blocks: int,
    groups: int,
    input_lanes: Sequence[int] | None,
    input_block: int,
    tail_lanes: int,
    step: int,
) -> PackedWeights:
    """``step``: neighbouring input lanes that lie together in a word."""
    w = w.reshape(*w.shape[:2], *(1,) * (5 - w.ndim), *w.shape[2:])
    oc, ic_group = w.shape[:2]
    oc_group = oc // groups
    # [input channel of a group, tap, OC]: the weights of an output tile are adjacent.
    by_output = np.ascontiguousarray(w.reshape(oc, ic_group, -1).transpose(1, 2, 0))
    taps = by_output.shape[1]
    lane_of = np.arange(ic_group * groups) if input_lanes is None else np.asarray(input_lanes)
    width = blocks * lanes
    tiles = -(-oc // width)
    lists: dict[tuple[int, ...], tuple[int, list[tuple[int, int, int]]]] = {}
    heads: list[tuple[int, int, int]] = []
    rows: list[tuple[int, int, int]] = []
    packed: list[NDArray[Any]] = []
    offset = 0
    for tile in range(tiles):
        first, last = tile * width, min((tile + 1) * width, oc)
        tile_groups = range(first // oc_group, (last - 1) // oc_group + 1)
        key = tuple(tile_groups) if groups > 1 else (0,)
        channels = np.concatenate([np.arange(g * ic_group, (g + 1) * ic_group) for g in tile_groups])
        words, word_of = np.unique(lane_of[channels] // step, return_inverse=True)
        if key not in lists:
            found = _runs(words, input_block // step, input_block == 1)
            lists[key] = (len(rows), found)
            rows.extend(found)
        start, runs = lists[key]
        heads.append((start, len(runs), offset))
        # [input lane, tap, output lane], zero where there is no channel, or one that is not in the output's group
        room = tail_lanes if tail_lanes and tile == tiles - 1 else width
        dense = np.zeros((len(words) * step, taps, room), w.dtype)
        places = word_of * step + lane_of[channels] % step
        for group in tile_groups:
            begin, end = max(first, group * oc_group), min(last, (group + 1) * oc_group)
            members = np.flatnonzero(channels // ic_group == group)
            dense[places[members], :, begin - first : end - first] = by_output[
                channels[members] - group * ic_group, :, begin:end
            ]
        if step > 1:
            dense = dense.reshape(-1, step, taps, room).transpose(0, 2, 3, 1).reshape(len(words), taps, room * step)
        packed += _by_segment(dense, [count for _, _, count in runs])
        offset += dense.size // step
    segments = np.array([*heads, *rows], np.int64)
    weights = np.concatenate(packed)
    return PackedWeights(
        weights if step == 1 else weights.view(np.int32), segments, max(count for _, count, _ in heads)
    )


def _by_segment(dense: NDArray[Any], counts: Sequence[int]) -> Iterator[NDArray[Any]]:
    """``dense`` [input word, tap, output lane] as [segment][tap][input word][output lane], in flat parts.

    ``counts`` are the words of each segment. Segments of as many channels, mostly whole blocks, make one part.
    """
    _, taps, width = dense.shape
    begin = 0
    for count, alike in groupby(counts):
        segments = len(list(alike))
        part = dense[begin : begin + segments * count].reshape(segments, count, taps, width)
        yield part.transpose(0, 2, 1, 3).reshape(-1)
        begin += segments * count


def pack_two_groups(
    w: NDArray[Any], lanes: int, groups: int, input_lanes: Sequence[int], input_block: int
) -> PackedWeights:
    """As ``pack_weights`` for tiles of one block whose outputs are of one or two groups, without zeros in between.

    Every lane has the weights of its own group's channels. Segments are pairs of rows: (channel block, first lane,
    channels) of the first group, and (channel block, first lane, output lanes of the first group) of the second; a tile
    of one group has it twice. ``segment_count`` counts rows.
    """
    w = np.asarray(w, np.float32)
    w = w.reshape(*w.shape[:2], *(1,) * (5 - w.ndim), *w.shape[2:])
    out_channels, inputs = w.shape[:2]
    outputs = out_channels // groups
    tiles = -(-out_channels // lanes)
    padded = np.zeros((tiles * lanes, *w.shape[1:]), np.float32)
    padded[:out_channels] = w
    heads: list[tuple[int, int, int]] = []
    rows: list[tuple[int, int, int]] = []
    packed: list[NDArray[np.float32]] = []
    offset = 0
    for tile in range(tiles):
        first, last = tile * lanes, min((tile + 1) * lanes, out_channels) - 1
        group, second = first // outputs, last // outputs
        assert second <= group + 1, "a tile is of two groups at most"
        boundary = second * outputs - first if second > group else lanes
        places = [
            (*divmod(int(input_lanes[group * inputs + channel]), input_block),
             *divmod(int(input_lanes[second * inputs + channel]), input_block))
            for channel in range(inputs)
        ]  # fmt: skip
        begins = [
            channel
            for channel, (block, lane, other_block, other_lane) in enumerate(places)
            if channel == 0 or places[channel - 1] != (block, lane - 1, other_block, other_lane - 1)
        ]
        heads.append((len(rows), len(begins), offset))
        for begin, stop in zip(begins, [*begins[1:], inputs]):
            block, lane, other_block, other_lane = places[begin]
            rows += [(block, lane, stop - begin), (other_block, other_lane, boundary)]
            # [lane, channel, KD, KH, KW] -> [KD, KH, KW, channel, lane]
            part = padded[first : first + lanes, begin:stop]
            packed.append(np.moveaxis(part, (0, 1), (-1, -2)).reshape(-1))
            offset += part.size
    segments = np.array([*heads, *rows], np.int64)
    return PackedWeights(np.concatenate(packed), segments, max(2 * count for _, count, _ in heads))


def pack_channels(values: NDArray[Any] | None, channels: int, lanes: int) -> NDArray[np.float32]:
    """One float per channel (bias, slopes), padded with zeros to whole blocks; None means zeros."""
    packed = np.zeros(-(-channels // lanes) * lanes, np.float32)
    if values is not None:
        packed[:channels] = np.asarray(values, np.float32).reshape(-1)
    return packed


def _runs(word_of: NDArray[Any], words: int, is_plain: bool) -> list[tuple[int, int, int]]:
    """Ascending words (input lanes, quads or pairs) as (channel block, first word in the block, consecutive words).

    A block has ``words``. Blocks of a plain input, of one lane, are joined, to as many as a tile sums in one chain.
    """
    runs: list[tuple[int, int, int]] = []
    for word in map(int, word_of):
        block, inner = divmod(word, words)
        if is_plain and runs and runs[-1][0] + runs[-1][2] == block and runs[-1][2] < CHAIN:
            runs[-1] = (runs[-1][0], 0, runs[-1][2] + 1)
        elif runs and runs[-1][0] == block and runs[-1][1] + runs[-1][2] == inner:
            runs[-1] = (block, runs[-1][1], runs[-1][2] + 1)
        else:
            runs.append((block, inner, 1))
    return runs
