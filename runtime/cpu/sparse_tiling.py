"""Tilings of ``conv.f32.blocked.sparse`` and what they cost, in vector multiply-adds."""

from __future__ import annotations

from collections.abc import Iterator

from cnnc.frozen_dataclass import dataclass


@dataclass(frozen=True, slots=True)
class SparseTiling:
    """``vectors`` of pixels in a tile, ``share`` output channels with one list, blocks of output channels of an item,
    and groups of panel rows that a part has at most."""

    vectors: int
    share: int
    oc_blocks: int
    part_groups: int


@dataclass(frozen=True, slots=True)
class SparseLayer:
    """What a tiling's cost depends on.

    Attributes:
        batch, pixels: images, and output pixels of one.
        groups: groups of panel rows that any weight is for.
        oc_blocks, lanes: blocks of output channels, channels of a block.
        entries: (share, entries of all lists) for every way to share lists.
    """

    batch: int
    pixels: int
    groups: int
    oc_blocks: int
    lanes: int
    entries: tuple[tuple[int, int], ...]


_PART_BYTES = 1 << 16
"""Of the panel's rows that all output channels read before others: they lie in the first two caches."""

_ROW_COST = 5.5
"""Of a vector of a panel row: its loads and its part of a transposition."""

_RESULT_COST = 10.0
"""Of a vector of results, transposed, behind the epilogue."""

_LIST_COST = 6.0
_LIST_VECTOR_COST = 2.0
"""Of a list, and for each vector of its sums."""

_ENTRY_COST = 1.2
_PRODUCT_COST = {1: 1.35, 2: 1.2, 4: 1.05}
"""Of an entry, and of each of its multiply-adds by how many channels share it."""

_ITEMS = 6
"""Work items that a layer should have, for two threads and more to end together."""


def rank_sparse_tilings(layer: SparseLayer, count: int = 1) -> list[tuple[float, SparseTiling]]:
    """Up to ``count`` tilings with their costs, the cheapest first."""
    found = [(_cost(layer, tiling), tiling) for tiling in _tilings(layer)]
    found.sort(key=lambda item: item[0])
    return found[:count]


def _tilings(layer: SparseLayer) -> Iterator[SparseTiling]:
    for share, _ in layer.entries:
        for vectors in range(1, most_vectors(share, layer.lanes) + 1):
            tiles = -(-layer.pixels // (vectors * layer.lanes)) * layer.batch
            oc_groups = min(layer.oc_blocks, -(-_ITEMS // tiles))
            row_bytes = vectors * layer.lanes * 4
            part_groups = max(1, _PART_BYTES // (layer.lanes * row_bytes))
            yield SparseTiling(vectors, share, -(-layer.oc_blocks // oc_groups), part_groups)


def most_vectors(share: int, lanes: int) -> int:
    """Of a tile whose sums fit the registers beside a weight for each channel and a vector of the panel."""
    registers = 32 if lanes == 16 else 16
    return max(1, min(8, (registers - share - 1) // share))


def _cost(layer: SparseLayer, tiling: SparseTiling) -> float:
    entries = dict(layer.entries)[tiling.share]
    vectors, share = tiling.vectors, tiling.share
    tiles = -(-layer.pixels // (vectors * layer.lanes)) * layer.batch
    oc_groups = -(-layer.oc_blocks // tiling.oc_blocks)
    parts = -(-layer.groups // tiling.part_groups)
    rows = layer.groups * layer.lanes * vectors
    # Two workers make the panel that several items need.
    copies = min(oc_groups, 2) if tiles == 1 else 1
    lists = parts * layer.oc_blocks * layer.lanes // share
    results = layer.oc_blocks * layer.lanes * vectors
    return tiles * (
        copies * rows * _ROW_COST
        + entries * (_ENTRY_COST + vectors * share * _PRODUCT_COST[share])
        + lists * (_LIST_COST + vectors * share * _LIST_VECTOR_COST)
        + results * _RESULT_COST
    )
