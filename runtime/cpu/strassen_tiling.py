"""Register tiles and work items of ``conv.f32.blocked.strassen``, ranked by estimated cost. Pure functions of sizes.

Costs count vector multiply-adds, as in ``conv_tiling``. Constants were measured on one core of an AMD EPYC (Zen 4,
AVX-512).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from cnnc.runtime.cpu.machine import USUAL_MACHINE, Machine
from cnnc.runtime.cpu.pointwise_tiling import channel_cost, most_columns
from cnnc.runtime.cpu.strassen_products import HALVES, PRODUCTS
from cnnc.runtime.cpu.winograd_tiling import time_on_threads

_SLAB_BYTES = 256 << 10
"""Input of one work item at most: with as many differences and the weights of a tile it takes three quarters of a usual
second-level cache."""

_TILE_VECTOR = 12.0
"""Multiply-adds that a vector of a register tile costs beside its products: temporaries, zeroing, results."""

_PRODUCT = 40.0
"""Multiply-adds that a product of a register tile costs beside its sums: begin and end of loops, first loads."""

_DIFFERENCE = 24.0
"""Multiply-adds that the differences of four vectors of input cost."""

_COPY = 16.0
"""The same for copying them."""

_EXPOSED = 0.3
"""Share of the time of reading weights, from the third-level cache or memory, that multiply-adds do not hide. With 0.1,
which is nearer to what one thread pays, ResNet-50 takes 1.03 times as long on two."""

_MOST_PARTS = 16
"""Items that share a group of pixels."""

_MOST_ITEMS = 64


@dataclass(frozen=True, slots=True)
class StrassenTiling:
    """Pixels and blocks of output channels in either half of a register tile; tiles of a work item.

    pixel_tiles, oc_tiles: as in ``conv_strassen``.
    """

    columns: int
    blocks: int
    pixel_tiles: int
    oc_tiles: int


@dataclass(frozen=True, slots=True)
class StrassenLayer:
    """A 1x1 convolution: pixels of one image of the result, channel blocks, lanes of a block.

    ``copies``: all input is copied which other kernels would read in place, because of a stride.
    """

    batch: int
    pixels: int
    ic_blocks: int
    oc_blocks: int
    lanes: int
    machine: Machine = USUAL_MACHINE
    copies: bool = False


def rank_strassen_tilings(layer: StrassenLayer, count: int = 1) -> list[tuple[float, StrassenTiling]]:
    """Up to ``count`` tilings, those first that suit several threads best."""
    return list(_ranked(layer)[:count])


# Networks repeat their layers.
@lru_cache(maxsize=256)
def _ranked(layer: StrassenLayer) -> tuple[tuple[float, StrassenTiling], ...]:
    half_oc = layer.oc_blocks // HALVES
    scores: dict[StrassenTiling, float] = {}
    works: dict[StrassenTiling, float] = {}
    for blocks in range(1, min(4, half_oc) + 1):
        if half_oc % blocks:
            continue
        oc_tiles = half_oc // blocks
        for columns in range(1, min(-(-layer.pixels // HALVES), most_columns(blocks, layer.lanes)) + 1):
            all_tiles = -(-layer.pixels // (HALVES * columns))
            tile_bytes = HALVES * columns * layer.ic_blocks * layer.lanes * 4
            most = min(max(_SLAB_BYTES // tile_bytes, 1), all_tiles)
            # Groups of equal size: as many as each size needs, each as small as will do.
            for pixel_tiles in {-(-all_tiles // -(-all_tiles // size)) for size in range(1, most + 1)}:
                groups = layer.batch * -(-all_tiles // pixel_tiles)
                largest = groups * pixel_tiles / (layer.batch * all_tiles)
                products, differences = _work(layer, columns, blocks, pixel_tiles)
                score, item = min(
                    (time_on_threads(products, differences, (groups, largest), (oc_tiles, item)), -item)
                    for item in {-(-oc_tiles // parts) for parts in range(1, _MOST_PARTS + 1)}
                    if item == oc_tiles or groups * -(-oc_tiles // item) <= _MOST_ITEMS
                )
                tiling = StrassenTiling(columns, blocks, pixel_tiles, -item)
                scores[tiling], works[tiling] = score, products + differences
    return tuple((works[tiling], tiling) for tiling in sorted(scores, key=scores.__getitem__))


def _work(layer: StrassenLayer, columns: int, blocks: int, pixel_tiles: int) -> tuple[float, float]:
    """Multiply-adds of products, with what they wait for weights, and of the differences."""
    half_ic, half_oc = layer.ic_blocks // HALVES, layer.oc_blocks // HALVES
    image_tiles = -(-layer.pixels // (HALVES * columns))
    tiles, groups = layer.batch * image_tiles, layer.batch * -(-image_tiles // pixel_tiles)
    channels = len(PRODUCTS) * half_ic * layer.lanes
    sums = channels * channel_cost(columns, blocks, layer.lanes)
    work = tiles * (half_oc // blocks) * (sums + len(PRODUCTS) * _PRODUCT + columns * blocks * _TILE_VECTOR)
    weights = channels * half_oc * layer.lanes * 4
    work += (groups - 1) * weights / layer.machine.l3_bytes_per_fma(layer.lanes) * _EXPOSED
    # Direct convolution reads 4 blocks where this reads 7.
    more = weights * (1 - HALVES**2 / len(PRODUCTS))
    work += more / layer.machine.memory_bytes_per_fma(layer.lanes) * _EXPOSED
    return work, tiles * columns * half_ic * (_DIFFERENCE + (_COPY if layer.copies else 0.0))
