"""The register tile of convolutions that read a plain input: pixels of one row, vectors along output channels.

The taps of one window row are unrolled. Which of a tile's pixels a tap reaches depends on where in the row the tile
lies: near the borders taps miss some (``window_parts``), and code of its own is compiled for each such place.
"""

from __future__ import annotations

from collections.abc import Sequence

from llvmlite import ir

from cnnc.runtime.cpu.tile import Sums, Tile, TwoLevels, emit_results, empty_sums
from cnnc.runtime.cpu.vector import VectorBuilder
from cnnc.runtime.cpu.window_parts import Range

ROW_BYTES = 16

PLAIN_TILE_ARGS = (
    "x",  # address of the input element that the first tap shows the tile's first pixel; may lie outside of the map
    "weights",  # address of the packed weights of the blocks
    "rows",  # address of the list of window rows: (input offset, weight offset), in bytes
    "row_count",
    "place",  # number of the tile's place
    "bias",  # this and the following are arguments of ``emit_results``
    "slopes",
    "residual",
    "y",
    "y_pixel",
    "y_block",
    "columns_valid",
    "alpha",
    "beta",
)


def emit_plain_tile(
    b: VectorBuilder, tile: Tile, places: Sequence[Sequence[Range]], dilation: int, *values: ir.Value
) -> None:
    """Sum over window rows, then bias, residual, activation and store. ``values``: see ``PLAIN_TILE_ARGS``.

    ``places`` gives for each place the pixels that every tap of a window row reaches.
    """
    a = dict(zip(PLAIN_TILE_ARGS, values)) | {"y_row": b.index(0), "rows_valid": b.index(1)}
    sums = empty_sums(b, tile)
    levels = TwoLevels(b, tile, sums)
    window = len(places[0])
    with b.loop(a["row_count"]) as number:
        entry = b.ir.add(a["rows"], b.ir.mul(number, b.index(ROW_BYTES)))
        x = b.ir.add(a["x"], b.load_index(entry))
        weights = b.ir.add(a["weights"], b.load_index(entry, 8))
        levels.make_room(b.index(window))
        with b.switch(a["place"], len(places)) as cases:
            for place, case in zip(places, cases):
                with case:
                    _add_row(b, tile, sums, x, weights, place, dilation)
    levels.join()
    emit_results(b, tile, a, sums)


def _add_row(
    b: VectorBuilder,
    tile: Tile,
    sums: Sums,
    x: ir.Value,
    weights: ir.Value,
    place: Sequence[Range],
    dilation: int,
) -> None:
    for tap, (first, stop) in enumerate(place):
        offset = tap * tile.blocks * b.target.vector_bytes
        tap_weights = [b.load(weights, offset + block * b.target.vector_bytes) for block in range(tile.blocks)]
        for column in range(first, stop):
            value = b.broadcast(x, column * tile.pixel_bytes + tap * dilation * 4)
            for block in range(tile.blocks):
                total = sums[(0, column), block]
                b.set(total, b.fma(tap_weights[block], value, b.get(total)))
            b.clobber_memory()


def emit_place_number(b: VectorBuilder, firsts: Sequence[int], tile: ir.Value) -> ir.Value:
    """The place of column tile ``tile``; ``firsts`` gives the first tile of each place."""
    number = b.index(0)
    for place, first in enumerate(firsts[1:], 1):
        number = b.ir.select(b.ir.icmp_signed(">=", tile, b.index(first)), b.index(place), number)
    return number
