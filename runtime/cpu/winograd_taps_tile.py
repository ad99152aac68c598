"""The register tile of Winograd's products that transforms the weights itself, for maps of few tiles.

Transformed weights are (m + r - 1)^2 / r^2 times as large as the filter's taps: 4 for F(4x4, 3x3). Where a map has
only few tiles, each weight is read from memory for a handful of multiply-adds, and reading takes longer than they do.
This tile reads the taps instead. It sums a row of positions of some tiles: for every input channel it combines the
taps of each window column for the row, transforms the results along the columns, and multiplies: with 3x3 taps,
6 positions and 4 tiles 12 multiply-adds beside 24.

All rows read the same taps, so they pass over a slice of the channels, one after the other, while it lies in the
second-level cache and the next slice is on its way. Sums of slices are chains, added up in memory.
"""

from __future__ import annotations

from llvmlite import ir

from cnnc.runtime.cpu.tile import Tile, empty_sums, store_sums
from cnnc.runtime.cpu.tile_table import ENTRY_BYTES, LINE_BYTES
from cnnc.runtime.cpu.vector import VectorBuilder
from cnnc.runtime.cpu.winograd_matrices import monic_matrices
from cnnc.runtime.cpu.winograd_transform import TileShape, emit_combination, emit_product

TAPS_ARGS = (
    "row",  # of positions
    "x",  # address of the tiles' vectors at the row's first position
    "x_position",  # bytes between positions
    "weights",  # address of the packed taps
    "table",  # address of the entries, as of ``tile``; weight offsets count taps of all channels
    "entries",  # number of entries
    "y",  # address of the tiles' sums at the row's first position
    "y_position",  # bytes between positions
    "adds",  # whether the sums are added to those in memory
    "ahead",  # address of the taps that are needed next: the row asks for its part of them
    "channels",  # of which there are taps ahead
)


def emit_taps_tile(b: VectorBuilder, shape: TileShape, tiles: int, *values: ir.Value) -> None:
    """Store the sums of one row of positions; ``values`` follow ``TAPS_ARGS``."""
    a = dict(zip(TAPS_ARGS, values))
    with b.switch(a["row"], shape.input_rows) as cases:
        for row, case in enumerate(cases):
            with case:
                _emit_row(b, shape, tiles, row, a)


def _emit_row(b: VectorBuilder, shape: TileShape, tiles: int, row: int, a: dict[str, ir.Value]) -> None:
    """Sums of positions (as rows of a register tile) and tiles (as its columns)."""
    vector_bytes, (window_rows, window_columns) = b.target.vector_bytes, shape.window
    taps = window_rows * window_columns
    tile = Tile(shape.input_columns, tiles, 1, vector_bytes, "none", False, raw=True)
    combined = monic_matrices(shape.rows, window_rows).filters[row]
    columns = monic_matrices(shape.columns, window_columns).filters
    # Rows share the taps ahead: the first ones ask for one line more a channel.
    lines = taps // shape.input_rows + (row < taps % shape.input_rows)
    earlier = row * (taps // shape.input_rows) + min(row, taps % shape.input_rows)
    asked = b.ir.mul(a["channels"], b.index(earlier * LINE_BYTES))
    ahead = b.variable(b.ir.add(a["ahead"], asked))
    sums = empty_sums(b, tile)
    with b.loop(a["entries"]) as entry:
        place = b.ir.add(a["table"], b.ir.mul(entry, b.index(ENTRY_BYTES)))
        x = b.variable(b.ir.add(a["x"], b.load_index(place)))
        weights = b.variable(b.ir.add(a["weights"], b.load_index(place, 8)))
        count = b.load_index(place, 16)
        with b.loop(count):
            for line in range(lines):
                b.prefetch(b.get(ahead), line * LINE_BYTES, near=False)
            b.set(ahead, b.ir.add(b.get(ahead), b.index(lines * LINE_BYTES)))
            along = []
            for column in range(window_columns):
                read = {
                    tap: b.load(b.get(weights), (tap * window_columns + column) * vector_bytes)
                    for tap in range(window_rows)
                    if abs(combined[tap]) > 1e-12
                }
                along.append(emit_combination(b, combined, read))
            source = b.get(x)
            for position, weight in enumerate(emit_product(b, columns, along)):
                for number in range(tiles):
                    value = b.splat(b.load_scalar(source, number * vector_bytes))
                    total = sums[(position, number), 0]
                    b.set(total, b.fma(weight, value, b.get(total)))
                b.clobber_memory()
                source = b.ir.add(source, a["x_position"])
            b.set(x, b.ir.add(b.get(x), b.index(4)))
            b.set(weights, b.ir.add(b.get(weights), b.index(taps * vector_bytes)))
    with b.when(b.ir.icmp_signed("!=", a["adds"], b.index(0))):
        for ((position, number), _), total in sums.items():
            place = b.ir.add(a["y"], b.ir.mul(a["y_position"], b.index(position)))
            earlier = b.load(place, number * vector_bytes, aligned=True)
            b.set(total, b.add(earlier, b.get(total)))
    store_sums(
        b, {"y": a["y"], "y_row": a["y_position"], "y_pixel": b.index(vector_bytes), "y_block": b.index(0)}, sums
    )
