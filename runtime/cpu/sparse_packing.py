"""Weights with zeros as lists: for every output channel the places of a panel that it reads, and its weights there.

A *panel* is the input of some output pixels, one row for every input channel and window tap, the pixels side by side
(``conv_sparse``). Rows come in *groups*: the lanes of one channel block seen through one tap. Groups that no output
channel reads are left out. The groups are cut into *parts*, so that the rows of a part stay in the caches while all
output channels read them, and no channel sums more products in one part than its arithmetic takes in one chain.

A place holds a *word* of 32 bits for every pixel: a float, or four bytes of neighbouring channels, whose weights are a
word of four int8. Of these any may be zero: only words of four zeros are left out.

``share`` neighbouring output channels have one list: a place is in it if any of them reads it, and has a weight for
each. One load of the panel then serves all of them, which pays where they share their places (pruning in blocks).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cnnc.frozen_dataclass import dataclass
from cnnc.runtime.cpu.tile_table import CHAIN

Array = np.ndarray[Any, Any]

GROUP_WORDS = 2
"""Words of int64 in a row of the table of groups: channel block, tap."""

WORD_BYTES = 4


@dataclass(frozen=True, slots=True)
class SparseWeights:
    """Packed weights of a convolution.

    Attributes:
        entries: int32 [entries, 1 + share]: byte offset of a panel row, and the words of weights. Lists follow
            each other by part, then by output channel.
        index: int64 [parts, blocks of output channels, 1 + lanes / share]: where in ``entries`` the block's lists
            begin, in bytes, and how long each is.
        groups: int64 [groups, GROUP_WORDS].
        parts: number of parts.
    """

    entries: Array
    index: Array
    groups: Array
    parts: int


def channel_rows(weights: Array, lanes: int, blocks_in: int, lane_of: Any) -> Array:
    """Weights [OC, IC, *window] as words [OC, channel blocks of the input, taps, words of a block].

    They are zero in lanes without a channel. Float weights stay float32, a word a lane; of int8 weights four lanes are
    an int32. ``lane_of`` is the physical lane of every input channel.
    """
    out_channels, channels = weights.shape[:2]
    taps = int(np.prod(weights.shape[2:], dtype=int))
    rows = np.zeros((out_channels, blocks_in * lanes, taps), weights.dtype)
    rows[:, np.asarray(lane_of)] = weights.reshape(out_channels, channels, -1)
    ordered = np.ascontiguousarray(rows.reshape(out_channels, blocks_in, lanes, taps).transpose(0, 1, 3, 2))
    return ordered.view(np.int32) if weights.dtype == np.int8 else ordered


def pack_sparse(
    rows: Array, lanes: int, oc_blocks: int, row_bytes: int, share: int, part_groups: int, chain: int = CHAIN
) -> SparseWeights:
    """Lists for a panel whose rows are ``row_bytes`` long.

    Args:
        rows: as ``channel_rows`` gives them.
        lanes: output channels of a block.
        oc_blocks: blocks of output channels.
        share: output channels that have one list; it divides the lanes.
        part_groups: groups that a part has at most.
        chain: products of an output channel that a part has at most, if it has more than one group.
    """
    out_channels, _, _, words = rows.shape
    used = np.argwhere(rows.any(axis=(0, 3)))
    padded = np.zeros((oc_blocks * lanes, len(used), words), rows.dtype)
    padded[:out_channels] = rows[:, used[:, 0], used[:, 1]]
    padded = padded.reshape(oc_blocks * lanes // share, share, len(used), words)
    taken = (padded != 0).any(axis=1)
    longest = taken.sum(axis=2)
    entries: list[Array] = []
    index: list[Array] = []
    first = total = 0
    while first < len(used) or not index:
        stop = _part_end(longest, first, part_groups, chain)
        part = taken[:, first:stop].reshape(len(taken), -1)
        lists, places = np.nonzero(part)
        values = padded[:, :, first:stop].reshape(len(taken), share, -1)[lists, :, places]
        entry = np.empty((len(places), 1 + share), np.int32)
        entry[:, 0] = (places + first * words) * row_bytes
        entry[:, 1:] = np.ascontiguousarray(values).view(np.int32)
        counts = part.sum(axis=1).reshape(oc_blocks, -1)
        ends = np.cumsum(counts.sum(axis=1))
        starts = (total + ends - counts.sum(axis=1)) * (entry.shape[1] * WORD_BYTES)
        index.append(np.concatenate([starts[:, None], counts], axis=1))
        entries.append(entry)
        total += len(places)
        first = stop
    groups = np.ascontiguousarray(used, np.int64).reshape(-1, GROUP_WORDS)
    return SparseWeights(np.concatenate(entries), np.stack(index).astype(np.int64), groups, len(index))


@dataclass(frozen=True, slots=True)
class ListBounds:
    """What lists may refer to: output blocks with so many lists each, and the panel.

    Attributes:
        entry_words, parts: as the kernel gets them.
        share, lists: outputs of a list, lists of a block of outputs.
        oc_blocks: blocks of outputs.
        row_bytes, rows: of the panel.
        groups, blocks, taps: groups of panel rows, and what their table may name.
    """

    entry_words: int
    parts: int
    share: int
    lists: int
    oc_blocks: int
    row_bytes: int
    rows: int
    groups: int
    blocks: int
    taps: int

    def refusal(self, tables: Mapping[str, Array]) -> str | None:
        """What of the bytes of ``SparseWeights``, by field, would lead a kernel elsewhere."""
        count = max(0, self.entry_words) // (1 + self.share)
        entry_bytes = (1 + self.share) * WORD_BYTES
        places = tables["entries"][: count * entry_bytes].view(np.int32)[:: 1 + self.share]
        # Aligned loads that end in the panel: so much is to be proven, not that a row begins there.
        alignment = self.row_bytes & -self.row_bytes
        if _is_beyond(places, (self.rows - 1) * self.row_bytes + 1) or np.bitwise_or.reduce(places) % alignment:
            return "a list names a row that the panel does not have"
        rows = max(0, self.parts * self.oc_blocks)
        index = tables["index"][: rows * (1 + self.lists) * 8].view(np.int64).reshape(rows, -1)
        starts, lengths = index[:, 0], index[:, 1:]
        if _is_beyond(starts, count * entry_bytes + 1) or (starts % entry_bytes).any():
            return "a list begins outside of the entries"
        if _is_beyond(lengths, count + 1) or _is_beyond(starts // entry_bytes + lengths.sum(axis=1), count + 1):
            return "a list ends behind the entries"
        named = tables["groups"][: max(0, self.groups) * GROUP_WORDS * 8].view(np.int64).reshape(-1, GROUP_WORDS)
        if _is_beyond(named[:, 0], self.blocks) or _is_beyond(named[:, 1], self.taps):
            return "a group of rows is of no block or tap of the input"
        return None


def _is_beyond(numbers: Array, stop: int) -> bool:
    """Whether any is below 0, or not below ``stop``."""
    return bool(numbers.size) and not (int(numbers.min()) >= 0 and int(numbers.max()) < stop)


def _part_end(longest: Array, first: int, most: int, chain: int) -> int:
    """Behind the last group of the part that begins at ``first``: a group at least, and no list beyond ``chain``."""
    sums = np.cumsum(longest[:, first : first + most], axis=1).max(axis=0, initial=0)
    return first + max(1, int(np.searchsorted(sums, chain, side="right")))
