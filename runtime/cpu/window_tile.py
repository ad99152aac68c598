"""The register tile of convolutions that read their input where it lies, borders included.

A window tap that hangs over the border of the map misses some pixels of a tile. What is left of the tile is a
rectangle, a *part*. The code of every part that occurs is compiled, so that no product with padding is computed and no
input outside of the map is read. It walks the segments of input channels (``conv_packing``), and for each the taps that
touch the map: a list of (input offset, number of the tap in the window, number of the part).
"""

from __future__ import annotations

from collections.abc import Sequence

from llvmlite import ir

from cnnc.runtime.cpu.tile import Part, Tile, TwoLevels, add_channels, add_groups, emit_results, empty_sums
from cnnc.runtime.cpu.tile_table import ENTRY_BYTES
from cnnc.runtime.cpu.vector import I64, VectorBuilder

WINDOW_TILE_ARGS = (
    "x",  # address of the input pixel that the first tap shows the tile's first pixel; may lie outside of the map
    "x_row",  # bytes between input rows of the tile
    "x_block",  # bytes between input blocks
    "weights",  # address of the packed weights of the blocks
    "segments",  # address of the segments
    "segment_count",
    "taps",  # address of the list of taps
    "tap_count",
    "window",  # taps of the whole window
    "bias",  # this and the following are arguments of ``emit_results``
    "slopes",
    "residual",
    "y",
    "y_pixel",
    "y_row",
    "y_block",
    "columns_valid",
    "rows_valid",
    "alpha",
    "beta",
)


def emit_window_tile(b: VectorBuilder, tile: Tile, parts: Sequence[Part], *values: ir.Value) -> None:
    """Sum over segments and taps, then bias, residual, activation and store. ``values``: see ``WINDOW_TILE_ARGS``."""
    a = dict(zip(WINDOW_TILE_ARGS, values)) | {"x_lane": b.index(4)}
    sums = empty_sums(b, tile)
    levels = TwoLevels(b, tile, sums)
    segment_weights = b.variable(a["weights"])
    with b.loop(a["segment_count"]) as number:
        place = b.ir.add(a["segments"], b.ir.mul(number, b.index(ENTRY_BYTES)))
        channels = b.ir.add(b.ir.mul(b.load_index(place), a["x_block"]), b.ir.mul(b.load_index(place, 8), b.index(4)))
        segment_x = b.ir.add(a["x"], channels)
        count = b.load_index(place, 16)
        tap_weights = b.ir.mul(count, b.index(tile.blocks * b.target.vector_bytes))
        with b.loop(a["tap_count"]) as tap:
            entry = b.ir.add(a["taps"], b.ir.mul(tap, b.index(ENTRY_BYTES)))
            x = b.ir.add(segment_x, b.load_index(entry))
            weights = b.ir.add(b.get(segment_weights), b.ir.mul(b.load_index(entry, 8), tap_weights))
            levels.make_room(count)

            def add(part: Part, x: ir.Value = x, weights: ir.Value = weights, count: ir.Value = count) -> None:
                if tile.group is not None:
                    add_groups(b, tile, tile.group, a, sums, x, weights, part)
                else:
                    add_channels(b, tile, a, sums, x, weights, count, part)

            with b.switch(b.load_index(entry, 16), len(parts)) as cases:
                for part, case in zip(parts, cases):
                    with case:
                        add(part)
        b.set(segment_weights, b.ir.add(b.get(segment_weights), b.ir.mul(a["window"], tap_weights)))
    levels.join()
    emit_results(b, tile, a, sums)


def emit_part_number(b: VectorBuilder, ranges: Sequence[tuple[int, int]], first: ir.Value, stop: ir.Value) -> ir.Value:
    """The place of (first, stop) in ``ranges``; -1 for an empty range. Any other one does not occur."""
    number = b.index(0)
    for place, (known_first, known_stop) in enumerate(ranges):
        same = b.ir.and_(
            b.ir.icmp_signed("==", first, b.index(known_first)), b.ir.icmp_signed("==", stop, b.index(known_stop))
        )
        number = b.ir.select(same, ir.Constant(I64, place), number)
    return b.ir.select(b.ir.icmp_signed("<", first, stop), number, b.index(-1))
