"""``resize.blocked``: nearest or linear resize of blocked tensors, vectors along the lanes.

x is [planes, D, H, W, L], y [planes, OD, OH, OW, L], both float32; planes are N times the blocks, L is the target's
lanes and the parameter ``lanes``. Tables and taps: ``resize_axes``. Work item: a row of y.
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
    load, store, splat, fma = v.load, v.store, v.splat, v.fma
    place_of, weight_of = scalar_access(target, "i32")[0], scalar_access(target, "f32")[0]
    pixel = target.vector_bytes
    zero, weight_one = np.float32(0.0), np.float32(1.0)

    def resize_blocked(args: Any, begin: int, end: int, scratch: int) -> None:
        y, x, table_d, table_h, table_w = args[0], args[1], args[2], args[3], args[4]
        depth, height, width = args[6], args[7], args[8]
        out_d, out_h, out_w = args[9], args[10], args[11]
        taps_d, taps_h, taps_w = args[12], args[13], args[14]
        for item in range(begin, end):
            rest, row = item // out_h, item % out_h
            plane, slab = rest // out_d, rest % out_d
            image = x + plane * depth * height * width * pixel
            entry_d, entry_h = table_d + ENTRY_BYTES * slab, table_h + ENTRY_BYTES * row
            for column in range(out_w):
                entry_w = table_w + ENTRY_BYTES * column
                result = y + (item * out_w + column) * pixel
                if taps_d <= 1 and taps_h <= 1 and taps_w <= 1:
                    at_d = place_of(entry_d) if taps_d == 1 else slab
                    at_h = place_of(entry_h) if taps_h == 1 else row
                    at_w = place_of(entry_w) if taps_w == 1 else column
                    store(result, load(image + ((at_d * height + at_h) * width + at_w) * pixel))
                    continue
                total = splat(zero)
                for tap_d in range(max(taps_d, 1)):
                    at_d = place_of(entry_d + 4 * tap_d) if taps_d > 0 else slab
                    weight_d = weight_of(entry_d + 8 + 4 * tap_d) if taps_d == 2 else weight_one
                    for tap_h in range(max(taps_h, 1)):
                        at_h = place_of(entry_h + 4 * tap_h) if taps_h > 0 else row
                        weight_h = weight_of(entry_h + 8 + 4 * tap_h) if taps_h == 2 else weight_one
                        for tap_w in range(max(taps_w, 1)):
                            at_w = place_of(entry_w + 4 * tap_w) if taps_w > 0 else column
                            weight_w = weight_of(entry_w + 8 + 4 * tap_w) if taps_w == 2 else weight_one
                            value = load(image + ((at_d * height + at_h) * width + at_w) * pixel)
                            weight = splat(weight_d * weight_h * weight_w)
                            total = fma(value, weight, total)
                store(result, total)

    return resize_blocked


KERNEL = KernelDef(
    name="resize.blocked",
    buffers=resize_axes.BUFFERS,
    sizes=resize_axes.SIZES,
    build=_build,
    items=resize_axes.items,
    footprint=lambda sizes, params: resize_axes.accesses(sizes, int(params["lanes"])),
)
