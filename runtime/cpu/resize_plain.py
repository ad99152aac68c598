"""``resize.plain``: nearest or linear resize of plain tensors with few channels.

x is [planes, D, H, W], y [planes, OD, OH, OW], both float32; planes are N * C. Tables and taps: ``resize_axes``. A row
of y first blends the rows of x that it needs into one scratch row, by vectors, and then picks and blends elements of
that row. Work item: a row of y.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cnnc.runtime.cpu import resize_axes
from cnnc.runtime.kernel import KernelDef, Params, Target

arguments = resize_axes.arguments


def _build(target: Target, params: Params) -> Callable[..., Any]:
    import numpy as np

    from cnnc.runtime.cpu.registers import registers, scalar_access
    from cnnc.runtime.cpu.resize_table import ENTRY_BYTES

    v = registers(target)
    load_part, store_part, splat, fma = v.load_part, v.store_part, v.splat, v.fma
    place_of = scalar_access(target, "i32")[0]
    read, write = scalar_access(target, "f32")
    lanes, one = target.lanes, np.float32(1.0)

    def resize_plain(args: Any, begin: int, end: int, scratch: int) -> None:
        y, x, table_d, table_h, table_w = args[0], args[1], args[2], args[3], args[4]
        depth, height, width = args[6], args[7], args[8]
        out_d, out_h, out_w = args[9], args[10], args[11]
        taps_d, taps_h, taps_w = args[12], args[13], args[14]
        for item in range(begin, end):
            rest, row = item // out_h, item % out_h
            plane, slab = rest // out_d, rest % out_d
            image = x + 4 * plane * depth * height * width
            entry_d, entry_h = table_d + ENTRY_BYTES * slab, table_h + ENTRY_BYTES * row
            line = scratch
            if taps_d <= 1 and taps_h <= 1:
                at_d = place_of(entry_d) if taps_d == 1 else slab
                at_h = place_of(entry_h) if taps_h == 1 else row
                line = image + 4 * (at_d * height + at_h) * width
            else:
                for column in range(0, width, lanes):
                    count = min(lanes, width - column)
                    total = splat(np.float32(0.0))
                    for tap_d in range(max(taps_d, 1)):
                        at_d = place_of(entry_d + 4 * tap_d) if taps_d > 0 else slab
                        weight_d = read(entry_d + 8 + 4 * tap_d) if taps_d == 2 else one
                        for tap_h in range(max(taps_h, 1)):
                            at_h = place_of(entry_h + 4 * tap_h) if taps_h > 0 else row
                            weight_h = read(entry_h + 8 + 4 * tap_h) if taps_h == 2 else one
                            value = load_part(image + 4 * ((at_d * height + at_h) * width + column), count)
                            total = fma(value, splat(weight_d * weight_h), total)
                    store_part(scratch + 4 * column, total, count)
            for column in range(out_w):
                entry = table_w + ENTRY_BYTES * column
                value = read(line + 4 * (place_of(entry) if taps_w > 0 else column))
                if taps_w == 2:
                    value = value * read(entry + 8) + read(line + 4 * place_of(entry + 4)) * read(entry + 12)
                write(y + 4 * (item * out_w + column), value)

    return resize_plain


KERNEL = KernelDef(
    name="resize.plain",
    buffers=resize_axes.BUFFERS,
    sizes=resize_axes.SIZES,
    build=_build,
    items=resize_axes.items,
    footprint=lambda sizes, params: resize_axes.accesses(sizes, 1),
    scratch_bytes=lambda sizes, params: 4 * sizes["w"],
)
