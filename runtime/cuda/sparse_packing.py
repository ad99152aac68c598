"""Weights with zeros as lists for GPUs: for every output channel the rows of a panel that it reads, and its weights.

A *panel* holds some pixels of the input in shared memory, a row for every input channel seen through one tap. Its rows
come in *groups*, the lanes of a channel block through a tap; ``GROUPS`` of them are a *chunk*, which a block of threads
copies at a time. Every tile of output channels has its own groups: those that no channel of the tile reads are left
out, so that zeros in blocks of 8 input channels by a tile cost nothing at all.

``share`` neighbouring output channels have one list: a place is in it if any of them reads it. Two entries of a list
are a *record*, a row of 16-byte quads: their places, which are byte offsets of panel rows, and their weights. A list of
odd length ends with an entry of zeros that names the row of zeros behind the panel.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cnnc.frozen_dataclass import dataclass
from cnnc.runtime.cuda.target import LANES, WARP
from cnnc.runtime.kernel import Params

Array = np.ndarray[Any, Any]

GROUPS = 8
"""Groups of a chunk."""
PANEL_ROWS = GROUPS * LANES
PADDING = 4
"""Floats between two rows of the panel: threads that store four channels of a pixel hit other banks."""

RECORD_ENTRIES = 2
GROUP_BYTES = 16
TILE_BYTES = 16
INDEX_BYTES = 16


@dataclass(frozen=True, slots=True)
class SparseTile:
    """What a block of threads computes.

    Attributes:
        share: output channels that have one list: 1, 2 or 4.
        vectors: pixels of a thread, ``WARP`` apart: 1, 2 or 4. All warps have the same pixels.
        warps: of a block of threads, at least 2 * ``vectors``.
        splits: blocks of threads that divide the chunks of a tile.
    """

    share: int
    vectors: int
    warps: int
    splits: int = 1

    @property
    def pixels(self) -> int:
        return WARP * self.vectors

    @property
    def pitch(self) -> int:
        """Floats from a row of the panel to the next."""
        return self.pixels + PADDING

    @property
    def threads(self) -> int:
        return WARP * self.warps

    @property
    def lists(self) -> int:
        """Lists of a warp, which has a block of output channels."""
        return LANES // self.share

    @property
    def channels(self) -> int:
        """Output channels of a block of threads."""
        return self.warps * LANES

    @property
    def record_quads(self) -> int:
        """16-byte quads of a record: places, and the weights if they do not fit beside them."""
        return 1 if self.share == 1 else 1 + self.share // 2

    @property
    def zero_row(self) -> int:
        """Byte offset of the row of zeros."""
        return 4 * PANEL_ROWS * self.pitch

    @property
    def panel_bytes(self) -> int:
        return 4 * (PANEL_ROWS + 1) * self.pitch


def sparse_tile_of(params: Params) -> SparseTile:
    """The tile that a kernel's compile-time parameters name."""
    share, vectors, warps = (int(params[name]) for name in ("share", "vectors", "warps"))
    return SparseTile(share, vectors, warps)


@dataclass(frozen=True, slots=True)
class SparseTables:
    """Packed weights.

    Attributes:
        records: int32 [records + 1, 4 * record_quads]; the last stands for what is read ahead.
        index: int32 [rows, 4], a row for every chunk of a tile and warp: the number of the record where the warp's
            lists begin, and a byte for each list, how many records it has; 0.
        groups: int32 [groups, 4]: channel block, and the tap's offsets in pixels along depth, height and width.
        tiles: int32 [tiles, 4]: first group, number of groups, first row of the index, 0.
    """

    records: Array
    index: Array
    groups: Array
    tiles: Array


def pack_sparse(rows: Array, offsets: Array, tile: SparseTile) -> SparseTables:
    """Lists of a convolution's weights.

    Args:
        rows: float32 [OC, channel blocks of the input, taps, LANES], as the CPU's ``channel_rows`` gives them.
        offsets: int [taps, 3], in pixels.
    """
    records, index, groups, tiles = [], [], [], []
    record_count = group_count = row_count = 0
    for first in range(0, len(rows), tile.channels):
        own = rows[first : first + tile.channels]
        used = np.argwhere(own.any(axis=(0, 3)))
        chunks = -(-len(used) // GROUPS)
        kept = np.zeros((tile.channels, chunks * GROUPS, LANES), np.float32)
        kept[: len(own), : len(used)] = own[:, used[:, 0], used[:, 1]]
        shape = (tile.channels // tile.share, tile.share, chunks, PANEL_ROWS)
        packed, index_rows = _pack_tile(kept.reshape(shape), tile)
        table = np.zeros((len(used), 4), np.int32)
        table[:, 0], table[:, 1:] = used[:, 0], offsets[used[:, 1]]
        tiles.append((group_count, len(used), row_count, 0))
        index_rows[:, 0] += record_count
        records.append(packed)
        index.append(index_rows)
        groups.append(table)
        record_count, group_count, row_count = (
            record_count + len(packed),
            group_count + len(used),
            row_count + len(index_rows),
        )
    records.append(np.zeros((1, 4 * tile.record_quads), np.int32))
    return SparseTables(
        np.concatenate(records),
        np.concatenate(index),
        np.concatenate(groups),
        np.array(tiles, np.int32),
    )


def _pack_tile(kept: Array, tile: SparseTile) -> tuple[Array, Array]:
    """Records and index of a tile, records counted from 0; ``kept`` [lists, share, chunks, PANEL_ROWS]."""
    weights = np.ascontiguousarray(kept.transpose(2, 0, 3, 1))
    taken = weights.any(axis=3)
    counts = taken.sum(axis=2)
    record_counts = -(-counts // RECORD_ENTRIES)
    ends = np.cumsum(record_counts).reshape(counts.shape)
    begins = ends - record_counts
    chunk, number, place = np.nonzero(taken)
    starts = np.cumsum(counts.reshape(-1)).reshape(counts.shape) - counts
    position = np.arange(len(place)) - starts[chunk, number]
    record, entry = begins[chunk, number] + position // RECORD_ENTRIES, position % RECORD_ENTRIES
    total = int(record_counts.sum())
    places = np.full((total, RECORD_ENTRIES), tile.zero_row, np.int32)
    places[record, entry] = place * (4 * tile.pitch)
    values = np.zeros((total, RECORD_ENTRIES, tile.share), np.float32)
    values[record, entry] = weights[chunk, number, place]
    words = np.zeros((total, 4 * tile.record_quads), np.int32)
    words[:, :RECORD_ENTRIES] = places
    first = RECORD_ENTRIES if tile.share == 1 else 4
    words[:, first : first + RECORD_ENTRIES * tile.share] = values.reshape(total, RECORD_ENTRIES * tile.share).view(
        np.int32
    )
    index = np.zeros((begins.size // tile.lists, INDEX_BYTES // 4), np.int32)
    index[:, 0] = begins.reshape(-1, tile.lists)[:, 0]
    index.view(np.uint8)[:, 4 : 4 + tile.lists] = record_counts.reshape(-1, tile.lists)
    return words, index


def sparse_refusal(sizes: Mapping[str, int], tile: SparseTile, tables: Mapping[str, Array]) -> str | None:
    """What of the bytes of ``SparseTables``, by field, would lead a kernel out of its panel, its tables or x.

    ``sizes``: x_blocks, y_blocks, and the numbers of records (without the last), index rows and groups.
    """
    words = 4 * tile.record_quads
    records = tables["records"][: 4 * words * (sizes["records"] + 1)].view(np.int32).reshape(-1, words)
    places = records[:, :RECORD_ENTRIES]
    if _leads_out(places, tile.zero_row + 1) or (places % (4 * tile.vectors)).any():
        return "a list names a row that the panel does not have"
    index = tables["index"][: INDEX_BYTES * sizes["rows"]].reshape(-1, INDEX_BYTES)
    begins, counts = index[:, :4].copy().view(np.int32)[:, 0], index[:, 4 : 4 + tile.lists].sum(axis=1, dtype=np.int64)
    if _leads_out(begins, sizes["records"] - counts + 1):
        return "a list begins or ends outside of the records"
    groups = tables["groups"][: GROUP_BYTES * sizes["group_count"]].view(np.int32).reshape(-1, 4)
    if _leads_out(groups[:, 0], sizes["x_blocks"]):
        return "a group of rows is of no block of the input"
    count = -(-sizes["y_blocks"] * LANES // tile.channels)
    tiles = tables["tiles"][: TILE_BYTES * count].view(np.int32).reshape(-1, 4).astype(np.int64)
    first, own, row = tiles[:, 0], tiles[:, 1], tiles[:, 2]
    if _leads_out(own, sizes["group_count"] + 1) or _leads_out(first, sizes["group_count"] - own + 1):
        return "a tile names groups that are not there"
    chunks = -(-own // GROUPS)
    if _leads_out(row, sizes["rows"] - chunks * tile.warps + 1):
        return "a tile names lists that are not there"
    return None


def _leads_out(numbers: Array, stop: int | Array) -> bool:
    """Whether any is below 0, or not below ``stop``."""
    return bool(((numbers < 0) | (numbers >= stop)).any())
