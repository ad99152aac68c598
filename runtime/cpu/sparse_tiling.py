"""Tilings of ``conv.f32`` and ``conv.u8.blocked.sparse`` and what they cost, in vector multiply-adds.

Of bytes a multiply-add is of four of them a lane.
"""

from __future__ import annotations

from collections.abc import Iterator

from cnnc.frozen_dataclass import dataclass
from cnnc.runtime.cpu.sparse_packing import WORD_BYTES


@dataclass(frozen=True, slots=True)
class SparseTiling:
    """``vectors`` of pixels in a tile, ``share`` output channels with one list, blocks of output channels of an item,
    and groups of panel rows that a part has at most."""

    vectors: int
    share: int
    oc_blocks: int
    part_groups: int


@dataclass(frozen=True, slots=True)
class SparseCosts:
    """Vector multiply-adds in the time of other things, for one element type.

    Attributes:
        place: a pixel seen through a window tap: finding it in x.
        row: a vector of a panel row: its loads and its part of a transposition.
        result: a vector of results, transposed, behind the epilogue.
        list, list_vector: a list, and each vector of its sums.
        added: a vector of sums that is added to that of the parts before.
        entry: an entry of a list.
        products: (share, each multiply-add of an entry that so many channels share).
        narrows: as ``last_pixels`` takes it.
    """

    place: float
    row: float
    result: float
    list: float
    list_vector: float
    added: float
    entry: float
    products: tuple[tuple[int, float], ...]
    narrows: bool = True


FLOAT_COSTS = SparseCosts(
    place=2.0,
    row=5.5,
    result=7.2,
    list=1.0,
    list_vector=0.0,
    added=3.9,
    entry=0.9,
    products=((1, 1.07), (2, 0.88), (4, 0.9)),
)
BYTE_COSTS = SparseCosts(
    place=0.2,
    row=1.5,
    result=3.0,
    list=6.0,
    list_vector=0.3,
    added=6.0,
    entry=1.6,
    products=((1, 1.0), (2, 0.86), (4, 0.9)),
    narrows=False,
)


@dataclass(frozen=True, slots=True)
class SparseLayer:
    """What a tiling's cost depends on.

    Attributes:
        batch, pixels: images, and output pixels of one.
        taps: of the window.
        groups: groups of panel rows that any weight is for.
        group_rows: rows of a group.
        oc_blocks, lanes: blocks of output channels, channels of a block.
        entries: (share, entries of all lists) for every way to share lists.
        costs: of the element type.
    """

    batch: int
    pixels: int
    taps: int
    groups: int
    group_rows: int
    oc_blocks: int
    lanes: int
    entries: tuple[tuple[int, int], ...]
    costs: SparseCosts = FLOAT_COSTS


_PARTS = ((1 << 15, 0.0), (1 << 16, 0.25), (1 << 17, 0.6))
"""Bytes of the panel's rows that all output channels read before others, and what a vector of them costs beyond one
that lies in the first cache."""

_LATENCY = 4.0
"""Multiply-adds in the time that one takes until the next can use its sum."""

_NARROW_COST = {1: 0.5, 2: 0.7}
"""Of a vector of so many quarters of the lanes, against whole ones."""

_STREAM = 0.18
"""Of a byte of lists that is read for the first time: what streaming from memory adds to the work on it."""

_CAUTION = 1.05
"""Estimates of dense kernels are up to a sixth above measured times on small maps. A layer that is pruned little is
rather left dense than made slower."""

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
            group_bytes = layer.group_rows * vectors * layer.lanes * WORD_BYTES
            for part_bytes, _ in _PARTS:
                part_groups = max(1, part_bytes // group_bytes)
                yield SparseTiling(vectors, share, -(-layer.oc_blocks // oc_groups), part_groups)
                if part_groups >= layer.groups:
                    break


def most_vectors(share: int, lanes: int) -> int:
    """Of a tile whose sums fit the registers beside a weight for each channel and a vector of the panel."""
    registers = 32 if lanes == 16 else 16
    return max(1, min(8, (registers - share - 1) // share))


def last_pixels(pixels: int, vectors: int, lanes: int, narrows: bool = True) -> int:
    """Pixels that the last tile of an image computes: whole vectors, and half or a quarter of one that has 4 lanes.

    ``narrows``: whether the pixels of a vector lie in their order, so that it can be computed in part.
    """
    whole, rest = divmod(pixels % (vectors * lanes), lanes)
    least = max(4, lanes // 4) if narrows else lanes
    if rest:
        rest = next(width for width in (least, lanes // 2, lanes) if rest <= width <= lanes)
    return whole * lanes + rest or vectors * lanes


def _cost(layer: SparseLayer, tiling: SparseTiling) -> float:
    entries, costs = dict(layer.entries)[tiling.share], layer.costs
    vectors, share = tiling.vectors, tiling.share
    tiles = -(-layer.pixels // (vectors * layer.lanes))
    oc_groups = -(-layer.oc_blocks // tiling.oc_blocks)
    parts = -(-layer.groups // tiling.part_groups)
    part_bytes = min(tiling.part_groups, layer.groups) * layer.group_rows * vectors * layer.lanes * WORD_BYTES
    far = next((cost for least, cost in _PARTS if part_bytes <= least), _PARTS[-1][1])
    whole, rest = divmod(last_pixels(layer.pixels, vectors, layer.lanes, costs.narrows), layer.lanes)
    computed = (tiles - 1) * vectors + whole + (_NARROW_COST[rest * 4 // layer.lanes] if rest else 0)
    rows = layer.groups * layer.group_rows * vectors * tiles
    # Two workers make the panel that several items need.
    copies = min(oc_groups, 2) if tiles * layer.batch == 1 else 1
    lists = parts * layer.oc_blocks * layer.lanes // share
    results = layer.oc_blocks * layer.lanes * -(-layer.pixels // layer.lanes)
    vector_cost = share * dict(costs.products)[share] + far
    work = layer.batch * (
        copies * (tiles * vectors * layer.lanes * layer.taps * costs.place + rows * costs.row)
        + entries * max(tiles * costs.entry + computed * vector_cost, tiles * _LATENCY)
        + lists * (tiles * costs.list + computed * share * costs.list_vector)
        + (parts - 1) * layer.oc_blocks * layer.lanes * computed * costs.added
        + results * costs.result
    )
    return _CAUTION * (work + entries * (1 + share) * WORD_BYTES * _STREAM)
