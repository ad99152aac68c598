"""Matrices with many zeros, packed for products of few rows: as bit masks with words, or as lists of positions.

The matrix is [K, N], a *word* of 32 bits an element: a float32, or four int8 neighbours along K, kept where any of them
is not zero. N is divided in tiles of vectors. Both forms leave out what is zero, so an infinity or NaN in an input
counts in the outputs that have a weight for it, and in no others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.runtime.cpu.conv_packing import QUAD
from cnnc.runtime.cpu.tile_table import CHAIN

MOST_POSITIONS = 1 << 16
"""Positions along K are stored in 16 bits."""

MASK_LANES = 16
"""Lanes that a mask has."""

QUARTET = 4
"""Lanes of the vectors that lists are summed in."""

LIST_SUMS = {1: 2 * QUARTET, QUARTET: 4}
"""Outputs that share a list -> sums that the products of a list are divided among."""

MOST_PANEL = 4096
"""Words of a panel: 16 KB, half of a usual first-level cache."""


@dataclass(frozen=True, slots=True)
class PackedMasks:
    """Masks: for every position where a tile of ``blocks`` vectors has any weight, a mask a vector.

    positions   3       7       8            uint16, of each tile one after the other
    masks       0x0011  0x8000  0x0106       uint16 [blocks] for every position: bit l stands for lane l
    words       a b     c       d e f        the weights of the bits, lowest first
    starts      int64 [tiles + 1, 2]: the first position and the first word of each tile, and the ends
    """

    starts: NDArray[np.int64]
    positions: NDArray[np.uint16]
    masks: NDArray[np.uint16]
    words: NDArray[Any]


@dataclass(frozen=True, slots=True)
class PackedLists:
    """Lists: for every ``group`` of neighbouring outputs the positions where any of them has a weight.

        counts      3                     2      int32: the positions of each list
        positions   3       7       8     0 5    uint16, counted from the start of the panel
        words       a       b       c     d e    ``group`` words for every position

    Lists are of one *panel* of K, so that the inputs of all outputs of a tile lie in the first-level cache:
    [tile][panel][list]. ``starts``: int64 [tiles + 1], the first position of each tile, and the end.
    """

    starts: NDArray[np.int64]
    counts: NDArray[np.int32]
    positions: NDArray[np.uint16]
    words: NDArray[Any]
    panel: int

    @property
    def panels(self) -> int:
        return int(self.counts.shape[1])


def byte_words(weights: NDArray[Any]) -> NDArray[np.int32]:
    """int8 ``weights`` [K, N] as words of four neighbours along K, [ceil(K / 4), N], zeros behind the last ones."""
    depth, columns = weights.shape
    padded = np.zeros((-(-depth // QUAD) * QUAD, columns), np.int8)
    padded[:depth] = weights
    return np.ascontiguousarray(padded.reshape(-1, QUAD, columns).transpose(0, 2, 1)).view(np.int32)[..., 0]


def pack_masks(words: NDArray[Any], lanes: int, blocks: int) -> PackedMasks:
    """``words`` [K, N], float32 or int32, for tiles of ``blocks`` vectors of ``lanes`` columns."""
    starts, positions, masks, kept = [(0, 0)], [], [], []
    bits = 1 << np.arange(lanes)
    for tile in _tiles(words, lanes * blocks):
        is_kept = tile != 0
        [used] = np.nonzero(is_kept.any(1))
        vectors = is_kept[used].reshape(-1, blocks, lanes)
        positions.append(used.astype(np.uint16))
        masks.append((vectors @ bits).astype(np.uint16))
        kept.append(tile[is_kept])
        starts.append((starts[-1][0] + used.size, starts[-1][1] + kept[-1].size))
    return PackedMasks(
        np.array(starts, np.int64), np.concatenate(positions), np.concatenate(masks), np.concatenate(kept)
    )


def pack_lists(words: NDArray[Any], lanes: int, group: int, panel: int) -> PackedLists:
    """``words`` [K, N], float32 or int32, for tiles of ``lanes`` columns and panels of ``panel`` positions."""
    starts, counts, positions, kept = [0], [], [], []
    panels = max(1, -(-words.shape[0] // panel))
    for tile in _tiles(words, lanes):
        padded = np.zeros((panels * panel, lanes), words.dtype)
        padded[: tile.shape[0]] = tile
        # [panel, list, position, output of the list]
        lists = padded.reshape(panels, panel, lanes // group, group).transpose(0, 2, 1, 3)
        is_kept = (lists != 0).any(-1)
        counts.append(is_kept.sum(-1, dtype=np.int32))
        positions.append(np.nonzero(is_kept)[2].astype(np.uint16))
        kept.append(lists[is_kept].reshape(-1))
        starts.append(starts[-1] + positions[-1].size)
    return PackedLists(
        np.array(starts, np.int64), np.stack(counts), np.concatenate(positions), np.concatenate(kept), panel
    )


def kept_positions(words: NDArray[Any], widths: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """For each width (positions along K) x (so many neighbouring columns) where any word is not zero, counted.

    Every width is a multiple of the one before.
    """
    is_kept: Any = words != 0
    before, found = 1, []
    for width in widths:
        if width > before:
            is_kept = np.logical_or.reduceat(is_kept, np.arange(0, is_kept.shape[1], width // before), axis=1)
            before = width
        found.append((width, int(np.count_nonzero(is_kept))))
    return tuple(found)


def choose_panel(words: NDArray[Any], group: int, sums: int, most: int) -> int:
    """Positions of a panel: the largest power of two up to ``most`` that keeps chains of products short.

    A list is summed in ``sums`` sums at once; none may have more than ``CHAIN`` products, as ``tile`` explains.
    """
    depth, columns = words.shape
    is_kept: Any = np.zeros((depth, -(-columns // group) * group), bool)
    np.not_equal(words, 0, out=is_kept[:, :columns])
    is_kept = is_kept.reshape(depth, -1, group).any(-1)
    panel = most
    while panel > sums * CHAIN:
        longest = np.add.reduceat(is_kept, np.arange(0, depth, panel), axis=0, dtype=np.int32).max(initial=0)
        if longest <= sums * CHAIN:
            break
        panel //= 2
    return panel


def _tiles(words: NDArray[Any], width: int) -> Any:
    """Tiles of ``width`` columns, [K, width], zeros behind the last column."""
    for first in range(0, words.shape[1], width):
        tile = np.ascontiguousarray(words[:, first : first + width])
        if tile.shape[1] < width:
            tile = np.pad(tile, ((0, 0), (0, width - tile.shape[1])))
        yield tile
