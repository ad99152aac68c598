"""Chooses register tiles and work items of the convolution kernels from their shapes. Pure functions of sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_SLAB_BYTES = 256 << 10  # input of one work item: a quarter of a usual L2 cache
_ITEMS = 16  # work items a layer should have at least, for several threads
_COPY_FMAS = 48  # multiply-adds of a tile per copied vector below which the copy would show


@dataclass(frozen=True, slots=True)
class ConvTiling:
    """Register tile (rows x columns pixels, blocks of output channels) and tiles per work item.

    For ``conv.f32.blocked.pointwise`` and products of matrices ``rows`` is 1, ``column_tiles`` is pixel_tiles.
    """

    rows: int
    columns: int
    blocks: int
    row_tiles: int
    column_tiles: int
    oc_tiles: int


def choose_tile(height: int, width: int, oc_blocks: int, lanes: int) -> tuple[int, int, int]:
    """(rows, columns, blocks) with the least work for maps of ``height`` x ``width``; ``blocks`` divides ``oc_blocks``.

    Sums must fit the registers (32 with 16 lanes, else 16) and be enough to hide the latency of a multiply-add. With 16
    lanes a multiply-add takes its broadcast operand from memory, so tiles of one block are as fast as any; with fewer
    lanes two blocks share each broadcast.
    """
    height, width = max(height, 1), max(width, 1)  # an empty map has no tiles
    best: tuple[float, tuple[int, int, int]] | None = None
    registers = 28 if lanes == 16 else 12
    for blocks in (1, 2, 3, 4):
        if oc_blocks % blocks:
            continue
        for columns in range(1, min(width, registers // blocks) + 1):
            for rows in range(1, min(height, registers // blocks // columns, 5) + 1):
                pixels = rows * columns
                tiles = -(-height // rows) * -(-width // columns)
                loads = 0.0 if lanes == 16 else (pixels + blocks) * 1.25
                step = max(pixels * blocks, 8, loads) + 1.0 + 0.25 * blocks + 0.1 * rows
                cost = tiles * step / blocks
                if best is None or cost < best[0] * 0.999:
                    best = (cost, (rows, columns, blocks))
    assert best is not None  # blocks = rows = columns = 1 is always tried
    return best[1]


def choose_conv_tiling(
    output: Sequence[int],
    window: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
    ic_blocks: int,
    oc_blocks: int,
    lanes: int,
    input_block: int = 0,
    batch: int = 1,
) -> ConvTiling:
    """Tiling of ``conv.f32.blocked.direct``; output, window, stride, dilation are (depth, height, width).

    ``ic_blocks`` counts the input blocks that one output tile reads. Sizes unknown at compile time are given as hints.
    """
    depth, height, width = (max(size, 1) for size in output)
    rows, columns, blocks = choose_tile(height, width, oc_blocks, lanes)
    all_row_tiles, all_column_tiles = -(-height // rows), -(-width // columns)

    def slab_bytes(row_tiles: int, column_tiles: int) -> int:
        slab_rows = (row_tiles * rows - 1) * stride[1] + (window[1] - 1) * dilation[1] + 1
        pitch = column_tiles * columns + (window[2] - 1) * dilation[2] // stride[2]
        used = min(slab_rows, row_tiles * rows * window[1]) * min(stride[2], window[2])
        return ic_blocks * window[0] * used * pitch * (input_block or lanes) * 4

    column_tiles = all_column_tiles
    while column_tiles > 1 and slab_bytes(1, column_tiles) > 2 * _SLAB_BYTES:
        column_tiles = -(-column_tiles // 2)
    row_tiles = 1
    while row_tiles < all_row_tiles and slab_bytes(row_tiles + 1, column_tiles) <= _SLAB_BYTES:
        row_tiles += 1
    row_tiles = -(-all_row_tiles // -(-all_row_tiles // row_tiles))  # groups of even size
    spatial = batch * depth * -(-all_row_tiles // row_tiles) * -(-all_column_tiles // column_tiles)
    oc_tiles = oc_blocks // blocks
    fmas = window[0] * window[1] * window[2] * lanes * blocks
    while oc_tiles > 1 and spatial * -(-(oc_blocks // blocks) // oc_tiles) < _ITEMS:
        fewer = -(-oc_tiles // 2)
        if fewer * fmas < _COPY_FMAS * min(stride[1], window[1]) * min(stride[2], window[2]):
            break
        oc_tiles = fewer
    return ConvTiling(rows, columns, blocks, row_tiles, column_tiles, oc_tiles)


def choose_pointwise_tiling(pixels: int, ic_blocks: int, oc_blocks: int, lanes: int, batch: int = 1) -> ConvTiling:
    """Tiling of ``conv.f32.blocked.pointwise``; ``pixels`` is the size of one image's map."""
    pixels = max(pixels, 1)
    rows, columns, blocks = choose_tile(1, pixels, oc_blocks, lanes)
    all_tiles = -(-pixels // columns)
    tile_bytes = ic_blocks * columns * lanes * 4
    pixel_tiles = max(1, min(all_tiles, _SLAB_BYTES // tile_bytes))
    pixel_tiles = -(-all_tiles // -(-all_tiles // pixel_tiles))
    spatial = batch * -(-all_tiles // pixel_tiles)
    oc_tiles = oc_blocks // blocks
    while oc_tiles > 1 and spatial * -(-(oc_blocks // blocks) // oc_tiles) < _ITEMS:
        oc_tiles = -(-oc_tiles // 2)
    return ConvTiling(rows, columns, blocks, 1, pixel_tiles, oc_tiles)
