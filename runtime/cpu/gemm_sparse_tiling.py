"""Tilings of the sparse matrix products, and what they cost in vector multiply-adds beside reading the weights."""

from __future__ import annotations

from cnnc.frozen_dataclass import dataclass


@dataclass(frozen=True, slots=True)
class ListsTiling:
    """Outputs that have one list, and tiles of one work item."""

    group: int
    n_tiles: int


@dataclass(frozen=True, slots=True)
class MasksTiling:
    """Rows of A and vectors of N of a register tile; tiles of one work item."""

    rows: int
    blocks: int
    m_tiles: int
    n_tiles: int


@dataclass(frozen=True, slots=True)
class SparseMatrix:
    """What costs depend on.

    Attributes:
        rows: of A.
        depth: words along K.
        columns, lanes: outputs, and those of a vector.
        words: words that are kept.
        kept: (width, count): positions at which any of ``width`` neighbouring columns has a weight, of all columns.
    """

    rows: int
    depth: int
    columns: int
    lanes: int
    words: int
    kept: tuple[tuple[int, int], ...]

    def positions(self, width: int) -> int:
        """The count of ``kept`` for this width."""
        return dict(self.kept)[width]


@dataclass(frozen=True, slots=True)
class Estimate:
    """Vector multiply-adds, and bytes of weights that are read."""

    cost: float
    weight_bytes: int


GROUPS = (1, 4)
BLOCKS = (4, 2, 1)
MOST_ROWS = 4

_POSITION_COST = {1: 0.9, 4: 1.3}
"""Of a position by how many outputs share the list: gathering inputs takes the time, not multiplying them."""
_LIST_COST = 10.0  # of its last positions and of its sum
_TILE_COST = 60.0
_VECTOR_COST = 2.1  # of spreading a vector of weights
_USUAL_PANEL = 4096
_ITEMS = 16


def lists_tilings(matrix: SparseMatrix) -> list[tuple[Estimate, ListsTiling]]:
    """Ways to lay out lists."""
    tiles = -(-matrix.columns // matrix.lanes)
    return [(_lists_estimate(matrix, group, tiles), ListsTiling(group, -(-tiles // _ITEMS))) for group in GROUPS]


def _lists_estimate(matrix: SparseMatrix, group: int, tiles: int) -> Estimate:
    positions = matrix.positions(group)
    lists = tiles * (matrix.lanes // group) * max(1, -(-matrix.depth // _USUAL_PANEL))
    computing = positions * _POSITION_COST[group] + lists * _LIST_COST + tiles * _TILE_COST
    return Estimate(matrix.rows * computing, positions * (2 + 4 * group) + 4 * lists)


def masks_tilings(matrix: SparseMatrix) -> list[tuple[Estimate, MasksTiling]]:
    """Tiles of masks."""
    vectors = -(-matrix.columns // matrix.lanes)
    rows = min(matrix.rows, MOST_ROWS)
    m_tiles = -(-matrix.rows // rows)
    found = []
    for blocks in BLOCKS:
        if blocks > vectors:
            continue
        steps, tiles = matrix.positions(blocks * matrix.lanes), -(-vectors // blocks)
        cost = m_tiles * (steps * (blocks * (_VECTOR_COST + rows) + 0.5) + tiles * _TILE_COST)
        estimate = Estimate(cost, steps * 2 * (1 + blocks) + 4 * matrix.words)
        found.append((estimate, MasksTiling(rows, blocks, m_tiles, -(-tiles // _ITEMS))))
    return found
