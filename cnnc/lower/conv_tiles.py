"""Tile and work-item sizes of the direct convolution, chosen from the layer's shape.

A register tile computes rows x columns output pixels of ``blocks`` channel blocks. With 32 vector registers about 28
hold sums. Two blocks read each input value once for two FMAs; one block is for channel counts of one block. Among tiles
of equal size the one that wastes the fewest pixels at the right and bottom border is taken.
"""

from __future__ import annotations

from dataclasses import dataclass

from cnnc.dims import Dim, ceil_div

_TILES: dict[tuple[bool, int], tuple[tuple[int, int], ...]] = {
    (True, 2): ((1, 14), (2, 7), (1, 12), (1, 7)),
    (True, 1): ((1, 28), (2, 14), (4, 7), (1, 14), (1, 7)),
    (False, 2): ((1, 6), (2, 3)),
    (False, 1): ((1, 12), (2, 6)),
}
"""(32 registers or 16, blocks) -> rows and columns."""

_SLAB_BYTES = 256 * 1024
_ITEMS = 24
"""Work items that a layer should have at least: enough for every thread to stay busy to the end."""


@dataclass(frozen=True, slots=True)
class ConvTile:
    """Register tile and the tiles of one work item in each direction."""

    rows: int
    columns: int
    blocks: int
    row_tiles: int
    column_tiles: Dim
    oc_tiles: int


def choose_tile(
    out_rows: Dim, out_columns: Dim, out_blocks: int, bytes_per_row: Dim, halo_rows: int, stride: int, *, registers: int
) -> ConvTile:
    """The tile for an output of ``out_rows`` x ``out_columns`` pixels and ``out_blocks`` channel blocks.

    Args:
        bytes_per_row: bytes of one input row over all channels that an output tile reads.
        halo_rows: input rows of one output row.
        stride: vertical stride.
        registers: vector registers of the target, 32 or 16.
    """
    blocks = 2 if out_blocks % 2 == 0 else 1
    rows, columns = max(_TILES[registers >= 32, blocks], key=lambda tile: _score(tile, out_rows, out_columns))
    row_tiles = 1
    column_tiles = ceil_div(out_columns, columns)
    tiles = out_blocks // blocks
    oc_tiles = tiles
    if isinstance(out_rows, int) and isinstance(bytes_per_row, int):
        groups = -(-out_rows // rows)
        fits = max(1, (_SLAB_BYTES // max(bytes_per_row, 1) - halo_rows) // (stride * rows) + 1)
        row_tiles = max(1, min(fits, groups))
        while row_tiles > 1 and -(-groups // row_tiles) * 4 < _ITEMS:
            row_tiles -= 1
        row_items = -(-groups // row_tiles)
        while oc_tiles > 1 and row_items * -(-tiles // oc_tiles) < _ITEMS and oc_tiles > tiles // 8:
            oc_tiles = -(-oc_tiles // 2)
    return ConvTile(rows, columns, blocks, row_tiles, column_tiles, oc_tiles)


def _score(tile: tuple[int, int], out_rows: Dim, out_columns: Dim) -> float:
    """Share of computed pixels that are real, weighted by how well a tile of that size hides latency."""
    rows, columns = tile
    if not isinstance(out_rows, int) or not isinstance(out_columns, int):
        return rows * columns - rows / 16
    computed = -(-out_rows // rows) * rows * -(-out_columns // columns) * columns
    size = rows * columns
    return out_rows * out_columns / max(computed, 1) * size / (size + 2)
