"""The register tile of depthwise convolution: neighbouring pixels of one row, one block of channels.

It sums over a table of window rows (input offset, weight offset). Within a row a column is loaded once and used by
every tap that reads it. Columns outside the input are read as zeros. Bytes are widened as they are loaded: a lane is a
quad of one channel and three zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from cnnc.runtime.cpu.byte_epilogue import PIXELS, ByteOutput
from cnnc.runtime.cpu.byte_products import add_quad_products, input_quads, weight_quads
from cnnc.runtime.cpu.epilogue import Activation, emit_output
from cnnc.runtime.cpu.requantization import Requantization
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
    element: str = "f32"

    @property
    def is_of_bytes(self) -> bool:
        return self.element != "f32"

    def pixel_bytes(self, b: VectorBuilder) -> int:
        """Bytes of a pixel in a channel block."""
        return b.lanes if self.is_of_bytes else b.target.vector_bytes


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
    bias = b.load_integers(a["bias"]) if tile.is_of_bytes else b.load(a["bias"])
    sums = [b.variable(bias) for _ in range(tile.columns)]
    with b.loop(a["rows"]) as number:
        entry = b.ir.add(a["table"], b.ir.mul(number, b.index(ROW_BYTES)))
        row = b.ir.add(a["x"], b.load_index(entry))
        weights = b.ir.add(a["weights"], b.load_index(entry, 8))
        if tile.window:
            _emit_static_row(b, tile, a, sums, row, weights)
        else:
            with b.loop(a["KW"]) as tap:
                weight = _load_weights(b, tile, weights, b.ir.mul(tap, vector_bytes))
                for pixel in range(tile.columns):
                    column = b.ir.add(b.ir.mul(a["SW"], b.index(pixel)), b.ir.mul(tap, a["DW"]))
                    value = _load_column(b, tile, a, row, column, checked=tile.edge > 0)
                    b.set(sums[pixel], _multiply_add(b, tile, weight, value, b.get(sums[pixel])))
    if tile.is_of_bytes:
        _store_bytes(b, tile, a, sums)
        return
    emit = _float_output(b, tile, a)
    for pixel, total in enumerate(sums):
        offset = pixel * tile.pixel_bytes(b)
        if not tile.partial:
            emit(b.get(total), offset)
            continue
        with b.when(b.ir.icmp_signed("<", b.index(pixel), a["columns_valid"])):
            emit(b.get(total), offset)


def _float_output(b: VectorBuilder, tile: DepthwiseTile, a: dict[str, ir.Value]) -> Callable[[ir.Value, int], None]:
    slope = b.load(a["slopes"]) if tile.activation == "prelu" else None
    activation = Activation(tile.activation, b.float_bits(a["alpha"]), b.float_bits(a["beta"]), slope)
    residual = a["residual"] if tile.residual else None
    return lambda total, offset: emit_output(b, activation, total, a["y"], residual, offset)


def _store_bytes(b: VectorBuilder, tile: DepthwiseTile, a: dict[str, ir.Value], sums: Sequence[ir.Value]) -> None:
    output = ByteOutput(b, b.load(a["slopes"]), Requantization(b, a["alpha"], a["beta"]))
    if not tile.partial:
        for first in range(0, tile.columns, PIXELS):
            totals = [b.get(total) for total in sums[first : first + PIXELS]]
            output.store_pixels(totals, a["y"], first * tile.pixel_bytes(b))
        return
    for pixel, total in enumerate(sums):
        with b.when(b.ir.icmp_signed("<", b.index(pixel), a["columns_valid"])):
            output.store(b.get(total), a["y"], pixel * tile.pixel_bytes(b))


def _load_weights(b: VectorBuilder, tile: DepthwiseTile, address: ir.Value, offset: int | ir.Value) -> Any:
    if tile.is_of_bytes:
        return weight_quads(b, b.load_integers(address, offset))
    return b.load(address, offset)


def _multiply_add(b: VectorBuilder, tile: DepthwiseTile, weights: Any, inputs: Any, total: ir.Value) -> ir.Value:
    if tile.is_of_bytes:
        return add_quad_products(b, weights, inputs, total)
    return b.fma(weights, inputs, total)


def _emit_static_row(
    b: VectorBuilder,
    tile: DepthwiseTile,
    a: dict[str, ir.Value],
    sums: list[ir.Value],
    row: ir.Value,
    weights: ir.Value,
) -> None:
    taps = [_load_weights(b, tile, weights, tap * b.target.vector_bytes) for tap in range(tile.window)]
    readers: dict[int, list[tuple[int, int]]] = {}
    for pixel in range(tile.columns):
        for tap in range(tile.window):
            readers.setdefault(pixel * tile.stride + tap * tile.dilation, []).append((pixel, tap))
    for column in sorted(readers):
        checked = column < tile.edge or column > max(readers) - tile.edge
        value = _load_column(b, tile, a, row, b.index(column), checked)
        for pixel, tap in readers[column]:
            b.set(sums[pixel], _multiply_add(b, tile, taps[tap], value, b.get(sums[pixel])))


def _load_column(
    b: VectorBuilder, tile: DepthwiseTile, a: dict[str, ir.Value], row: ir.Value, column: ir.Value, checked: bool
) -> Any:
    number = b.ir.add(a["first"], column)
    address = b.ir.add(row, b.ir.mul(number, b.index(tile.pixel_bytes(b))))
    if checked:
        # One unsigned comparison tests both ends.
        address = b.ir.select(b.ir.icmp_unsigned("<", number, a["W"]), address, a["zeros"])
    if tile.is_of_bytes:
        return input_quads(b, b.load_bytes(address, signed=False))
    return b.load(address)
