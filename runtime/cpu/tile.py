"""The register tile that convolutions and matrix products share.

A tile holds ``rows`` x ``columns`` output pixels times ``blocks`` vectors of output channels. It sums over a *table* of
entries (input offset, weight offset, count), each standing for ``count`` consecutive input channels seen through one
window tap. Window size, stride, dilation, depth, channel groups and padding all live in the table and in the input's
arrangement; the tile knows none of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from llvmlite import ir

from cnnc.runtime.cpu.epilogue import Activation, emit_output
from cnnc.runtime.cpu.vector import VectorBuilder

ENTRY_BYTES = 24


@dataclass(frozen=True, slots=True)
class Tile:
    """``pixel_bytes`` lie between the inputs of neighbouring columns.

    ``activation`` and ``residual`` name the epilogue. With ``masked`` only ``lanes`` output lanes exist: no
    bias, slope, residual or output is touched beyond. With ``clamped`` no input row beyond ``rows_valid`` is read.
    """

    rows: int
    columns: int
    blocks: int
    pixel_bytes: int
    activation: str
    residual: bool
    masked: bool = False
    clamped: bool = False


TILE_ARGS = (
    "x",  # address of the tile's first input pixel
    "x_row",  # bytes between input rows of the tile
    "x_lane",  # bytes between the input channels of an entry
    "weights",  # address of the packed weights of the blocks
    "table",  # address of the entries
    "entries",  # number of entries
    "bias",  # address of blocks * lanes floats
    "slopes",  # address of blocks * lanes floats (prelu)
    "residual",  # address that matches y
    "y",  # address of the tile's first output pixel
    "y_pixel",  # bytes between columns
    "y_row",  # bytes between rows
    "y_block",  # bytes between blocks of output channels
    "columns_valid",  # pixels to store
    "rows_valid",
    "lanes",  # output lanes left, for masked tiles
    "alpha",  # activation parameters, float bits
    "beta",
)


def emit_tile(b: VectorBuilder, tile: Tile, *values: ir.Value) -> None:
    """Sum over the table, then bias, residual, activation and store. ``values`` follow ``TILE_ARGS``."""
    a = dict(zip(TILE_ARGS, values))
    vector_bytes = b.target.vector_bytes
    masks: list[ir.Value | None] = [None] * tile.blocks
    if tile.masked:
        masks = [b.tail_mask(b.ir.sub(a["lanes"], b.index(block * b.lanes))) for block in range(tile.blocks)]
    bias = [_load(b, a["bias"], mask, block * vector_bytes) for block, mask in enumerate(masks)]
    pixels = [(row, column) for row in range(tile.rows) for column in range(tile.columns)]
    sums = {(pixel, block): b.variable(bias[block]) for pixel in pixels for block in range(tile.blocks)}
    row_offsets = _clamped_offsets(b, tile, a) if tile.clamped else []
    with b.loop(a["entries"]) as entry:
        place = b.ir.add(a["table"], b.ir.mul(entry, b.index(ENTRY_BYTES)))
        x = b.variable(b.ir.add(a["x"], b.load_index(place)))
        weights = b.variable(b.ir.add(a["weights"], b.load_index(place, 8)))
        with b.loop(b.load_index(place, 16)):
            row_weights = [b.load(b.get(weights), block * vector_bytes) for block in range(tile.blocks)]
            row_base = b.get(x)
            for row in range(tile.rows):
                if tile.clamped:
                    row_base = b.ir.add(b.get(x), row_offsets[row])
                for column in range(tile.columns):
                    value = b.broadcast(row_base, column * tile.pixel_bytes)
                    for block in range(tile.blocks):
                        total = sums[(row, column), block]
                        b.set(total, b.fma(row_weights[block], value, b.get(total)))
                    b.clobber_memory()
                if not tile.clamped:
                    row_base = b.ir.add(row_base, a["x_row"])
            b.set(x, b.ir.add(b.get(x), a["x_lane"]))
            b.set(weights, b.ir.add(b.get(weights), b.index(tile.blocks * vector_bytes)))
    alpha, beta = b.float_bits(a["alpha"]), b.float_bits(a["beta"])
    slopes: list[ir.Value | None] = [None] * tile.blocks
    if tile.activation == "prelu":
        slopes = [_load(b, a["slopes"], mask, block * vector_bytes) for block, mask in enumerate(masks)]
    for row in range(tile.rows):
        with b.when(b.ir.icmp_signed("<", b.index(row), a["rows_valid"])):
            for column in range(tile.columns):
                with b.when(b.ir.icmp_signed("<", b.index(column), a["columns_valid"])):
                    offset = b.ir.add(b.ir.mul(a["y_row"], b.index(row)), b.ir.mul(a["y_pixel"], b.index(column)))
                    for block in range(tile.blocks):
                        place = b.ir.add(offset, b.ir.mul(a["y_block"], b.index(block)))
                        residual = a["residual"] if tile.residual else None
                        total = b.get(sums[(row, column), block])
                        activation = Activation(tile.activation, alpha, beta, slopes[block])
                        emit_output(b, activation, total, a["y"], residual, place, masks[block])


def _clamped_offsets(b: VectorBuilder, tile: Tile, a: dict[str, ir.Value]) -> list[ir.Value]:
    """Byte offset of each input row, that of the last valid row for rows beyond it."""
    last = b.ir.sub(a["rows_valid"], b.index(1))
    rows = [b.index(row) for row in range(tile.rows)]
    return [b.ir.mul(b.ir.select(b.ir.icmp_signed("<", row, last), row, last), a["x_row"]) for row in rows]


def _load(b: VectorBuilder, address: ir.Value, mask: ir.Value | None, offset: int) -> ir.Value:
    return b.load(address, offset) if mask is None else b.load_masked(address, mask, offset)
