"""``resize.bytes``: nearest resize of tensors of bytes, blocked or plain: the CPU kernel's contract.

A thread moves a pixel: the 8 channels of a block, or one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnnc.dims import Dim, ceil_div
from cnnc.runtime.cpu import resize_axes, resize_bytes
from cnnc.runtime.kernel import KernelDef, Params, Target

THREADS = 256


def _items(sizes: Mapping[str, Dim], params: Params) -> Dim:
    return ceil_div(sizes["planes"] * sizes["out_d"] * sizes["out_h"] * sizes["out_w"], THREADS)


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from numba import cuda

    from cnnc.runtime.cpu.resize_table import ENTRY_BYTES
    from cnnc.runtime.cuda.byte_access import as_integer, fetch_byte, store_byte, word_access
    from cnnc.runtime.cuda.integers import divide

    fetch_word = word_access(1).fetch
    lanes, pairs = int(params["lanes"]), word_access(2)
    fetch, store = (pairs.fetch, pairs.store) if lanes > 1 else (fetch_byte, store_byte)

    def resize_bytes_kernel(args: Any) -> None:
        y, x, table_d, table_h, table_w, planes, depth, height, width, out_d, out_h, out_w = args[:12]
        taps_d, taps_h, taps_w, image_planes, x_gap, y_gap = args[12:]
        number = cuda.blockIdx.x * THREADS + cuda.threadIdx.x
        if number >= planes * out_d * out_h * out_w:
            return
        rest, column = divide(number, out_w)
        rest, row = divide(rest, out_h)
        plane, slab = divide(rest, out_d)
        image, _ = divide(plane, image_planes)
        at_d = as_integer(fetch_word(table_d + ENTRY_BYTES * slab)) if taps_d > 0 else slab
        at_h = as_integer(fetch_word(table_h + ENTRY_BYTES * row)) if taps_h > 0 else row
        at_w = as_integer(fetch_word(table_w + ENTRY_BYTES * column)) if taps_w > 0 else column
        source = ((plane * depth + at_d) * height + at_h) * width + at_w
        store(y + number * lanes + image * y_gap, fetch(x + source * lanes + image * x_gap))

    return resize_bytes_kernel


KERNEL = KernelDef(
    name="resize.bytes",
    buffers=resize_axes.BUFFERS,
    sizes=resize_axes.SIZES,
    build=_build,
    items=_items,
    footprint=resize_bytes.KERNEL.footprint,
    threads=lambda params: THREADS,
)
