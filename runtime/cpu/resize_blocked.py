"""``resize.blocked``: nearest or linear resize of blocked tensors, vectors along the lanes.

x is [planes, D, H, W, L], y [planes, OD, OH, OW, L], both float32; planes are N times the blocks, L is the target's
lanes and the parameter ``lanes``. Tables and taps: ``resize_axes``. A row of y first blends the rows of x that it needs
into a line in scratch, and then blends pixels of that line. Work item: a row of y.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cnnc.runtime.cpu import resize_axes
from cnnc.runtime.kernel import KernelDef, Params, Target

arguments = resize_axes.arguments


def _build(target: Target, params: Params) -> Callable[..., Any]:
    import numba
    import numpy as np

    from cnnc.runtime.cpu.registers import registers, scalar_access
    from cnnc.runtime.cpu.resize_table import ENTRY_BYTES

    v = registers(target)
    load, store, splat, fma = v.load, v.store, v.splat, v.fma
    place_of, weight_of = scalar_access(target, "i32")[0], scalar_access(target, "f32")[0]
    pixel = target.vector_bytes
    one = np.float32(1.0)

    @numba.njit(error_model="numpy", inline="always")  # type: ignore[untyped-decorator]
    def blend_row(line: int, row: int, width: int, weight: Any, is_first: bool) -> None:
        """Add ``weight`` times a row of x to the line, or begin it."""
        factor = splat(weight)
        for column in range(width):
            value, place = load(row + column * pixel), line + column * pixel
            store(place, value * factor if is_first else fma(value, factor, load(place)))

    def resize_blocked(args: Any, begin: int, end: int, scratch: int) -> None:
        y, x, table_d, table_h, table_w = args[0], args[1], args[2], args[3], args[4]
        depth, height, width = args[6], args[7], args[8]
        out_d, out_h, out_w = args[9], args[10], args[11]
        taps_d, taps_h, taps_w = args[12], args[13], args[14]
        image_planes, x_gap, y_gap = args[15], args[16] * 4, args[17] * 4
        for item in range(begin, end):
            rest, row = item // out_h, item % out_h
            plane, slab = rest // out_d, rest % out_d
            image = x + plane * depth * height * width * pixel + plane // image_planes * x_gap
            result = y + item * out_w * pixel + plane // image_planes * y_gap
            entry_d, entry_h = table_d + ENTRY_BYTES * slab, table_h + ENTRY_BYTES * row
            line = scratch
            for tap_d in range(max(taps_d, 1)):
                at_d = place_of(entry_d + 4 * tap_d) if taps_d > 0 else slab
                weight_d = weight_of(entry_d + 8 + 4 * tap_d) if taps_d == 2 else one
                for tap_h in range(max(taps_h, 1)):
                    at_h = place_of(entry_h + 4 * tap_h) if taps_h > 0 else row
                    weight_h = weight_of(entry_h + 8 + 4 * tap_h) if taps_h == 2 else one
                    source = image + (at_d * height + at_h) * width * pixel
                    if taps_d <= 1 and taps_h <= 1:
                        line = source
                    else:
                        blend_row(line, source, width, weight_d * weight_h, tap_d + tap_h == 0)
            for column in range(out_w):
                entry = table_w + ENTRY_BYTES * column
                value = load(line + (place_of(entry) if taps_w > 0 else column) * pixel)
                if taps_w == 2:
                    other = load(line + place_of(entry + 4) * pixel)
                    value = fma(other, splat(weight_of(entry + 12)), value * splat(weight_of(entry + 8)))
                store(result + column * pixel, value)

    return resize_blocked


KERNEL = KernelDef(
    name="resize.blocked",
    buffers=resize_axes.BUFFERS,
    sizes=resize_axes.SIZES,
    build=_build,
    items=resize_axes.items,
    footprint=lambda sizes, params: resize_axes.accesses(sizes, int(params["lanes"])),
    scratch_bytes=lambda sizes, params: sizes["w"] * (4 * int(params["lanes"])),
)
