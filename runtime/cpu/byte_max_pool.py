"""``byte.max_pool``: max pool of blocked bytes, pixel by pixel.

x is [planes, D, H, W, L], y is [planes, OD, OH, OW, L], of the type ``element``, u8 or i8; planes are N times the
blocks. Windows: ``pool_window``. A window that holds only padding gives the least value of the type. Work item: a row
of y.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnnc.dims import product
from cnnc.runtime.cpu import pool_window
from cnnc.runtime.kernel import Access, KernelDef, Params, Target


def _footprint(sizes: Mapping[str, int], params: Params) -> tuple[Access, ...]:
    lanes = int(params["lanes"])
    results = product([sizes["planes"], sizes["out_d"], sizes["out_h"], sizes["out_w"]])
    sources = product([sizes["planes"], sizes["d"], sizes["h"], sizes["w"]])
    assert isinstance(results, int) and isinstance(sources, int)
    return Access("y", 0, lanes * results, True), Access("x", 0, lanes * sources if results else 0, False)


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from llvmlite import ir

    from cnnc.runtime.cpu.vector import I8, intrinsic

    lanes, signed = target.lanes, params["element"] == "i8"
    first_tap, tap_stop = pool_window.tap_functions()

    def emit(b: Any, y: Any, x: Any, planes: Any, plane_step: Any, rows: Any, row_step: Any, *run: Any) -> None:
        """The largest of the taps ``planes`` x ``rows`` x ``columns``, which lie so many bytes apart."""
        columns, column_step = run
        least = ir.Constant(I8, -128 if signed else 0)
        best = b.variable(ir.Constant(b.bytes, [least] * lanes))
        larger = b.ir.icmp_signed if signed else b.ir.icmp_unsigned
        with b.loop(planes) as plane, b.loop(rows) as row:
            start = b.ir.add(b.ir.mul(plane, plane_step), b.ir.mul(row, row_step))
            with b.loop(columns) as column:
                offset = b.ir.add(start, b.ir.mul(column, column_step))
                value = b.ir.load(b.pointer(x, b.bytes, offset), align=1)
                b.set(best, b.ir.select(larger(">", value, b.get(best)), value, b.get(best)))
        b.ir.store(b.get(best), b.pointer(y, b.bytes), align=1)

    largest = intrinsic(target, emit, 8)

    def byte_max_pool(args: Any, begin: int, end: int, scratch: int) -> None:
        y, x = args[0], args[1]
        depth, height, width, out_d, out_h, out_w = args[3], args[4], args[5], args[6], args[7], args[8]
        kernel_d, kernel_h, kernel_w = args[9], args[10], args[11]
        stride_d, stride_h, stride_w = args[12], args[13], args[14]
        dilation_d, dilation_h, dilation_w = args[15], args[16], args[17]
        begin_d, begin_h, begin_w = args[18], args[19], args[20]
        for item in range(begin, end):
            rest, row = item // out_h, item % out_h
            plane, layer = rest // out_d, rest % out_d
            front, top = layer * stride_d - begin_d, row * stride_h - begin_h
            d0, d1 = first_tap(front, dilation_d), tap_stop(front, dilation_d, kernel_d, depth)
            h0, h1 = first_tap(top, dilation_h), tap_stop(top, dilation_h, kernel_h, height)
            source = (plane * depth + front + d0 * dilation_d) * height + top + h0 * dilation_h
            for column in range(out_w):
                left = column * stride_w - begin_w
                w0, w1 = first_tap(left, dilation_w), tap_stop(left, dilation_w, kernel_w, width)
                largest(
                    y + (item * out_w + column) * lanes,
                    x + (source * width + left + w0 * dilation_w) * lanes,
                    max(d1 - d0, 0), dilation_d * height * width * lanes,
                    max(h1 - h0, 0), dilation_h * width * lanes,
                    max(w1 - w0, 0), dilation_w * lanes,
                )  # fmt: skip

    return byte_max_pool


KERNEL = KernelDef(
    name="byte.max_pool",
    buffers=("y", "x"),
    sizes=pool_window.SIZES,
    build=_build,
    items=pool_window.items,
    footprint=_footprint,
)
