"""The register tile of convolutions that read their input where it lies, borders included.

A window tap that hangs over the border of the map misses some pixels of a tile. What is left of the tile is a
rectangle, a *part*. The code of every part that occurs is compiled, so that no product with padding is computed and no
input outside of the map is read. It walks the segments of input channels (``conv_packing``), and for each the taps that
touch the map: a list of (input offset, number of the tap in the window, number of the part).

A vector of outputs may be of two groups. Then the first lanes add products with inputs of the one, and the others with
those of the other, under a mask, so that no lane meets what another group holds. Segments are then pairs of rows:
(channel block, lane, channels) and (channel block, lane, lanes of the first group).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from llvmlite import ir

from cnnc.runtime.cpu.tile import Part, Sums, Tile, TwoLevels, add_channels, add_groups, emit_results, empty_sums
from cnnc.runtime.cpu.tile_table import ENTRY_BYTES
from cnnc.runtime.cpu.vector import I1, I64, VectorBuilder

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


def emit_window_tile(b: VectorBuilder, tile: Tile, parts: Sequence[Part], two_groups: bool, *values: ir.Value) -> None:
    """Sum over segments and taps, then bias, residual, activation and store. ``values``: see ``WINDOW_TILE_ARGS``."""
    a = dict(zip(WINDOW_TILE_ARGS, values)) | {"x_lane": b.index(4)}
    sums = empty_sums(b, tile)
    levels = TwoLevels(b, tile, sums)
    segment_weights = b.variable(a["weights"])
    with b.loop(a["segment_count"]) as number:
        place = b.ir.add(a["segments"], b.ir.mul(number, b.index(ENTRY_BYTES * (2 if two_groups else 1))))
        channels = _channel_bytes(b, a, place)
        segment_x = b.ir.add(a["x"], channels)
        count = b.load_index(place, 16)
        others: _Others | None = None
        if two_groups:
            second = b.ir.add(place, b.index(ENTRY_BYTES))
            lanes = b.load_index(second, 16)
            others = _Others(lanes, b.ir.sub(_channel_bytes(b, a, second), channels))
        tap_weights = b.ir.mul(count, b.index(tile.blocks * b.target.vector_bytes))
        with b.loop(a["tap_count"]) as tap:
            entry = b.ir.add(a["taps"], b.ir.mul(tap, b.index(ENTRY_BYTES)))
            x = b.ir.add(segment_x, b.load_index(entry))
            weights = b.ir.add(b.get(segment_weights), b.ir.mul(b.load_index(entry, 8), tap_weights))
            levels.make_room(count)

            with b.switch(b.load_index(entry, 16), len(parts)) as cases:
                for part, case in zip(parts, cases):
                    with case:
                        _add(b, tile, a, sums, x, weights, count, part, others)
        b.set(segment_weights, b.ir.add(b.get(segment_weights), b.ir.mul(a["window"], tap_weights)))
    levels.join()
    emit_results(b, tile, a, sums)


@dataclass(frozen=True, slots=True)
class _Others:
    """The outputs of a vector that are of a second group: the lanes from ``first`` on.

    Their inputs lie ``x_bytes`` behind those of the first group.
    """

    first: ir.Value
    x_bytes: ir.Value


def _channel_bytes(b: VectorBuilder, a: Mapping[str, ir.Value], place: ir.Value) -> ir.Value:
    """Where the channels of a segment lie in a pixel's input, from its first block."""
    return b.ir.add(b.ir.mul(b.load_index(place), a["x_block"]), b.ir.mul(b.load_index(place, 8), b.index(4)))


def _add(
    b: VectorBuilder,
    tile: Tile,
    a: Mapping[str, ir.Value],
    sums: Sums,
    x: ir.Value,
    weights: ir.Value,
    count: ir.Value,
    part: Part,
    others: _Others | None,
) -> None:
    if tile.group is not None:
        add_groups(b, tile, tile.group, a, sums, x, weights, part)
    elif others is None:
        add_channels(b, tile, a, sums, x, weights, count, part)
    else:
        _add_two_groups(b, tile, a, sums, x, weights, count, part, others)


def _add_two_groups(
    b: VectorBuilder,
    tile: Tile,
    a: Mapping[str, ir.Value],
    sums: Sums,
    first_x: ir.Value,
    first_weights: ir.Value,
    count: ir.Value,
    part: Part,
    others: _Others,
) -> None:
    """Add the products of ``count`` input channels of each group to the sums of a part of a tile of one block.

    The groups take turns; one multiply-add on two broadcasts joined under a mask takes as long as two and a half.
    """
    rows, columns = range(*part[0]), range(*part[1])
    lanes = b.index(b.lanes)
    groups = b.ir.select(b.ir.icmp_signed("<", others.first, lanes), b.index(2), b.index(1))
    with b.loop(groups) as group:
        is_second = b.ir.trunc(group, I1)
        begin = b.ir.select(is_second, others.first, b.index(0))
        end = b.ir.select(is_second, lanes, others.first)
        mask = b.ir.and_(b.tail_mask(end), b.ir.not_(b.tail_mask(begin)))
        x = b.variable(b.ir.add(first_x, b.ir.mul(group, others.x_bytes)))
        weights = b.variable(first_weights)
        with b.loop(count):
            lane_weights = b.load(b.get(weights))
            row_base = b.ir.add(b.get(x), b.ir.mul(a["x_row"], b.index(rows.start)))
            for row in rows:
                for column in columns:
                    total = sums[(row, column), 0]
                    value = b.fma(lane_weights, b.broadcast(row_base, column * tile.pixel_bytes), b.get(total))
                    b.set(total, b.select(mask, value, b.get(total)))
                    b.clobber_memory()
                row_base = b.ir.add(row_base, a["x_row"])
            b.set(x, b.ir.add(b.get(x), a["x_lane"]))
            b.set(weights, b.ir.add(b.get(weights), b.index(b.target.vector_bytes)))


def emit_part_number(b: VectorBuilder, ranges: Sequence[tuple[int, int]], first: ir.Value, stop: ir.Value) -> ir.Value:
    """The place of (first, stop) in ``ranges``; -1 for an empty range. Any other one does not occur."""
    number = b.index(0)
    for place, (known_first, known_stop) in enumerate(ranges):
        same = b.ir.and_(
            b.ir.icmp_signed("==", first, b.index(known_first)), b.ir.icmp_signed("==", stop, b.index(known_stop))
        )
        number = b.ir.select(same, ir.Constant(I64, place), number)
    return b.ir.select(b.ir.icmp_signed("<", first, stop), number, b.index(-1))
