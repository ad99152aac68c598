"""``resize.bytes``: nearest resize of tensors of bytes, blocked or plain.

x is [planes, D, H, W, L], y [planes, OD, OH, OW, L]; L, the parameter ``lanes``, is the target's lanes for blocked
tensors, with N times the blocks as planes, and 1 for plain ones. Tables and taps, at most one an axis: ``resize_axes``.
Work item: a row of y.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cnnc.runtime.cpu import resize_axes
from cnnc.runtime.kernel import KernelDef, Params, Target

arguments = resize_axes.arguments


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from llvmlite import ir

    from cnnc.runtime.cpu.registers import scalar_access
    from cnnc.runtime.cpu.resize_table import ENTRY_BYTES
    from cnnc.runtime.cpu.vector import I8, constant, intrinsic

    place_of = scalar_access(target, "i32")[0]
    pixel_type = ir.VectorType(I8, int(params["lanes"]))
    pixel = constant(target, int(params["lanes"]))

    def emit_copy(b: Any, y: Any, x: Any) -> None:
        b.ir.store(b.ir.load(b.pointer(x, pixel_type), align=1), b.pointer(y, pixel_type), align=1)

    copy = intrinsic(target, emit_copy, 2)

    def resize_bytes(args: Any, begin: int, end: int, scratch: int) -> None:
        y, x, table_d, table_h, table_w = args[0], args[1], args[2], args[3], args[4]
        depth, height, width = args[6], args[7], args[8]
        out_d, out_h, out_w = args[9], args[10], args[11]
        taps_d, taps_h, taps_w = args[12], args[13], args[14]
        image_planes, x_gap, y_gap = args[15], args[16], args[17]
        for item in range(begin, end):
            rest, row = item // out_h, item % out_h
            plane, slab = rest // out_d, rest % out_d
            at_d = place_of(table_d + ENTRY_BYTES * slab) if taps_d > 0 else slab
            at_h = place_of(table_h + ENTRY_BYTES * row) if taps_h > 0 else row
            source = x + ((plane * depth + at_d) * height + at_h) * width * pixel() + plane // image_planes * x_gap
            result = y + item * out_w * pixel() + plane // image_planes * y_gap
            for column in range(out_w):
                at_w = place_of(table_w + ENTRY_BYTES * column) if taps_w > 0 else column
                copy(result + column * pixel(), source + at_w * pixel())

    return resize_bytes


KERNEL = KernelDef(
    name="resize.bytes",
    buffers=resize_axes.BUFFERS,
    sizes=resize_axes.SIZES,
    build=_build,
    items=resize_axes.items,
    footprint=lambda sizes, params: resize_axes.accesses(sizes, int(params["lanes"]), element_bytes=1),
)
