"""The register tile of depthwise convolution: neighbouring pixels of one row, one block of channels.

It sums over a table of window rows (input offset, weight offset). Within a row a column is loaded once and used by
every tap that reads it. Columns outside the input are read as zeros.
"""

from __future__ import annotations

from dataclasses import dataclass

from llvmlite import ir

from cnnc.runtime.cpu.epilogue import Activation, emit_output
from cnnc.runtime.cpu.vector import VectorBuilder

ROW_BYTES = 16
EVERY_COLUMN = 1 << 30


@dataclass(frozen=True, slots=True)
class DepthwiseTile:
    """``window``, ``stride``, ``dilation`` are horizontal; with window 0 all three are run-time arguments.

    The first and last ``edge`` columns that the tile reads may lie outside the input; EVERY_COLUMN: all of them. With
    ``partial`` only ``columns_valid`` pixels are stored.
    """

    columns: int
    window: int
    stride: int
    dilation: int
    edge: int
    partial: bool
    activation: str
    residual: bool


DEPTHWISE_ARGS = (
    "x",  # address of the channel block
    "first",  # input column of the tile's first tap, may be negative
    "W",  # input columns
    "weights",
    "table",
    "rows",  # entries of the table
    "KW",  # for run-time windows
    "SW",
    "DW",
    "bias",
    "slopes",
    "residual",
    "y",
    "columns_valid",
    "zeros",  # address of a vector of zeros
    "alpha",
    "beta",
)


def emit_depthwise_tile(b: VectorBuilder, tile: DepthwiseTile, *values: ir.Value) -> None:
    """Sum, then bias, residual, activation and store. ``values`` follow ``DEPTHWISE_ARGS``."""
    a = dict(zip(DEPTHWISE_ARGS, values))
    vector_bytes = b.index(b.target.vector_bytes)
    bias = b.load(a["bias"])
    sums = [b.variable(bias) for _ in range(tile.columns)]
    with b.loop(a["rows"]) as number:
        entry = b.ir.add(a["table"], b.ir.mul(number, b.index(ROW_BYTES)))
        row = b.ir.add(a["x"], b.load_index(entry))
        weights = b.ir.add(a["weights"], b.load_index(entry, 8))
        if tile.window:
            _emit_static_row(b, tile, a, sums, row, weights)
        else:
            with b.loop(a["KW"]) as tap:
                weight = b.load(weights, b.ir.mul(tap, vector_bytes))
                for pixel in range(tile.columns):
                    column = b.ir.add(b.ir.mul(a["SW"], b.index(pixel)), b.ir.mul(tap, a["DW"]))
                    value = _load_column(b, a, row, column, checked=tile.edge > 0)
                    b.set(sums[pixel], b.fma(weight, value, b.get(sums[pixel])))
    slope = b.load(a["slopes"]) if tile.activation == "prelu" else None
    activation = Activation(tile.activation, b.float_bits(a["alpha"]), b.float_bits(a["beta"]), slope)
    residual = a["residual"] if tile.residual else None
    for pixel, total in enumerate(sums):
        offset = pixel * b.target.vector_bytes
        if not tile.partial:
            emit_output(b, activation, b.get(total), a["y"], residual, offset)
            continue
        with b.when(b.ir.icmp_signed("<", b.index(pixel), a["columns_valid"])):
            emit_output(b, activation, b.get(total), a["y"], residual, offset)


def _emit_static_row(
    b: VectorBuilder,
    tile: DepthwiseTile,
    a: dict[str, ir.Value],
    sums: list[ir.Value],
    row: ir.Value,
    weights: ir.Value,
) -> None:
    taps = [b.load(weights, tap * b.target.vector_bytes) for tap in range(tile.window)]
    readers: dict[int, list[tuple[int, int]]] = {}
    for pixel in range(tile.columns):
        for tap in range(tile.window):
            readers.setdefault(pixel * tile.stride + tap * tile.dilation, []).append((pixel, tap))
    for column in sorted(readers):
        checked = column < tile.edge or column > max(readers) - tile.edge
        value = _load_column(b, a, row, b.index(column), checked)
        for pixel, tap in readers[column]:
            b.set(sums[pixel], b.fma(taps[tap], value, b.get(sums[pixel])))


def _load_column(b: VectorBuilder, a: dict[str, ir.Value], row: ir.Value, column: ir.Value, checked: bool) -> ir.Value:
    number = b.ir.add(a["first"], column)
    address = b.ir.add(row, b.ir.mul(number, b.index(b.target.vector_bytes)))
    if checked:
        # One unsigned comparison tests both ends.
        address = b.ir.select(b.ir.icmp_unsigned("<", number, a["W"]), address, a["zeros"])
    return b.load(address)
