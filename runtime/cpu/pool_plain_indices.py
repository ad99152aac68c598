"""``pool.plain_indices``: max pool of plain tensors that also says where each maximum was.

x is [planes, D, H, W] float32, y [planes, OD, OH, OW] float32, indices of the same shape int64: the place in flattened
x (all planes); with ``column_major`` (ONNX storage_order 1) the part within a plane counts W slowest. Windows:
``pool_window``, every one of them meeting the input. Of equal elements the first counts; NaN wins. Work item: a row of
y.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cnnc.dims import Dim
from cnnc.runtime.cpu import pool_window
from cnnc.runtime.kernel import KernelDef, Params, Target


def arguments(window: dict[str, Dim], column_major: bool = False) -> dict[str, Dim]:
    """Size slots from those of ``pool_window.arguments``."""
    return window | {"column_major": int(column_major)}


def _build(target: Target, params: Params) -> Callable[..., Any]:
    import numpy as np

    from cnnc.runtime.cpu.registers import scalar_access

    read, write = scalar_access(target, "f32")
    write_index = scalar_access(target, "i64")[1]
    first_tap, tap_stop = pool_window.tap_functions()

    def pool_plain_indices(args: Any, begin: int, end: int, scratch: int) -> None:
        y, indices, x = args[0], args[1], args[2]
        depth, height, width = args[4], args[5], args[6]
        out_d, out_h, out_w = args[7], args[8], args[9]
        kernel_d, kernel_h, kernel_w = args[10], args[11], args[12]
        stride_d, stride_h, stride_w = args[13], args[14], args[15]
        dilation_d, dilation_h, dilation_w = args[16], args[17], args[18]
        begin_d, begin_h, begin_w = args[19], args[20], args[21]
        column_major = args[29]
        for item in range(begin, end):
            rest, row = item // out_h, item % out_h
            plane, slab = rest // out_d, rest % out_d
            top, front = row * stride_h - begin_h, slab * stride_d - begin_d
            d0, d1 = first_tap(front, dilation_d), tap_stop(front, dilation_d, kernel_d, depth)
            h0, h1 = first_tap(top, dilation_h), tap_stop(top, dilation_h, kernel_h, height)
            first = plane * depth * height * width
            for column in range(out_w):
                left = column * stride_w - begin_w
                w0, w1 = first_tap(left, dilation_w), tap_stop(left, dilation_w, kernel_w, width)
                best, place = np.float32(-np.inf), -1
                for tap_d in range(d0, d1):
                    at_d = front + tap_d * dilation_d
                    for tap_h in range(h0, h1):
                        at_h = top + tap_h * dilation_h
                        for tap_w in range(w0, w1):
                            at_w = left + tap_w * dilation_w
                            value = read(x + 4 * (first + (at_d * height + at_h) * width + at_w))
                            # The first element counts even when it is -inf; a NaN replaces any number.
                            if place < 0 or (not (value <= best) and best == best):
                                best = value
                                if column_major != 0:
                                    place = (at_w * height + at_h) * depth + at_d
                                else:
                                    place = (at_d * height + at_h) * width + at_w
                write(y + 4 * (item * out_w + column), best)
                write_index(indices + 8 * (item * out_w + column), first + place)

    return pool_plain_indices


KERNEL = KernelDef(
    name="pool.plain_indices",
    buffers=("y", "indices", "x"),
    sizes=(*pool_window.SIZES, "column_major"),
    build=_build,
    items=pool_window.items,
    footprint=lambda sizes, params: pool_window.accesses(sizes, 1, index_bytes=8),
    writes=("y", "indices"),
)
