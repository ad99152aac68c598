"""Register code of the sparse convolutions that finds the pixels of x which a tile's pixels see through a window tap.

The pixels of a tile have their places once: three rows of int32, the column, row and depth in x that the window's first
tap sees. A tap has a table for each vector of pixels: an int64 that is not 0 if the pixels follow each other in memory,
and behind it their offsets in a channel block of x, one int64 a lane; a negative one stands for padding.

Imports numba through ``vector``; kernels import it inside ``build`` only.
"""

from __future__ import annotations

from llvmlite import ir

from cnnc.runtime.cpu.vector import I32, I64, VectorBuilder


def emit_pixels(
    b: VectorBuilder, pixel_bytes: int, table: ir.Value, places: ir.Value, pitch: ir.Value, *window: ir.Value
) -> None:
    """The table of one vector of pixels.

    ``places`` are the pixels' columns, with rows and depths ``pitch`` bytes behind each other. ``window`` are the
    tap's distance in columns, rows and depth from the first tap, and the width, height and depth of x.
    """
    distances, limits = ([b.splat(b.ir.trunc(value, I32)) for value in values] for values in (window[:3], window[3:]))
    seen, inside = [], []
    for axis in range(3):
        place = b.load_integers(places, b.ir.mul(pitch, b.index(axis)))
        seen.append(b.ir.add(place, distances[axis]))
        inside.append(b.ir.icmp_unsigned("<", seen[axis], limits[axis]))
    is_inside = b.ir.and_(b.ir.and_(inside[0], inside[1]), inside[2])
    column, row, depth = seen
    number = b.ir.add(b.ir.mul(b.ir.add(b.ir.mul(depth, limits[1]), row), limits[0]), column)
    first = b.splat(b.ir.extract_element(number, I32(0)))
    steps = ir.Constant(b.integers, list(range(b.lanes)))
    is_run = b.ir.and_(is_inside, b.ir.icmp_signed("==", b.ir.sub(number, first), steps))
    bits = ir.IntType(b.lanes)
    is_whole = b.ir.icmp_unsigned("==", b.ir.bitcast(is_run, bits), ir.Constant(bits, (1 << b.lanes) - 1))
    b.store_index(b.ir.zext(is_whole, I64), table)
    wide = ir.VectorType(I64, b.lanes)
    offsets = b.ir.mul(b.ir.sext(number, wide), ir.Constant(wide, [pixel_bytes] * b.lanes))
    offsets = b.ir.select(is_inside, offsets, ir.Constant(wide, [-1] * b.lanes))
    b.ir.store(offsets, b.pointer(table, wide, 8), align=8)
