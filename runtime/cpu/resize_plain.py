"""``resize.plain``: nearest or linear resize of plain tensors with few channels.

x is [planes, D, H, W], y [planes, OD, OH, OW], both float32; planes are N * C. Tables and taps: ``resize_axes``. Rows
of x are resized along W first, element by element, into scratch, where the last ones are kept: neighbouring rows of y
blend the same ones, by vectors. Work item: a row of y.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnnc.dims import Dim, round_up
from cnnc.runtime.cpu import resize_axes
from cnnc.runtime.kernel import KernelDef, Params, Target

arguments = resize_axes.arguments

_KEPT = 4
"""Rows in scratch: two along D times two along H."""


def _scratch_bytes(sizes: Mapping[str, Dim], params: Params) -> Dim:
    return 64 + _KEPT * round_up(4 * sizes["out_w"], 64)


def _build(target: Target, params: Params) -> Callable[..., Any]:
    import numba
    import numpy as np

    from cnnc.runtime.cpu.registers import registers, scalar_access
    from cnnc.runtime.cpu.resize_table import ENTRY_BYTES

    v = registers(target)
    load_part, store_part, splat, fma = v.load_part, v.store_part, v.splat, v.fma
    place_of = scalar_access(target, "i32")[0]
    read, write = scalar_access(target, "f32")
    read_number, write_number = scalar_access(target, "i64")
    lanes, one = target.lanes, np.float32(1.0)
    jit = numba.njit(error_model="numpy", inline="always")

    @jit  # type: ignore[untyped-decorator]
    def resize_row(line: int, row: int, table: int, taps: int, count: int) -> None:
        """One row of x along W."""
        for column in range(count):
            entry = table + ENTRY_BYTES * column
            value = read(row + 4 * (place_of(entry) if taps > 0 else column))
            if taps == 2:
                value = value * read(entry + 8) + read(row + 4 * place_of(entry + 4)) * read(entry + 12)
            write(line + 4 * column, value)

    @jit  # type: ignore[untyped-decorator]
    def blend_row(result: int, line: int, count: int, weight: Any, is_first: bool) -> None:
        """Add ``weight`` times a line to a row of y, or begin it."""
        factor = splat(weight)
        for column in range(0, count, lanes):
            left = min(lanes, count - column)
            value, place = load_part(line + 4 * column, left), result + 4 * column
            store_part(place, value * factor if is_first else fma(value, factor, load_part(place, left)), left)

    def resize_plain(args: Any, begin: int, end: int, scratch: int) -> None:
        y, x, table_d, table_h, table_w = args[0], args[1], args[2], args[3], args[4]
        depth, height, width = args[6], args[7], args[8]
        out_d, out_h, out_w = args[9], args[10], args[11]
        taps_d, taps_h, taps_w = args[12], args[13], args[14]
        numbers, lines, pitch = scratch, scratch + 64, (4 * out_w + 63) // 64 * 64
        for slot in range(_KEPT):
            write_number(numbers + 8 * slot, -1)
        for item in range(begin, end):
            rest, row = item // out_h, item % out_h
            plane, slab = rest // out_d, rest % out_d
            result = y + 4 * item * out_w
            entry_d, entry_h = table_d + ENTRY_BYTES * slab, table_h + ENTRY_BYTES * row
            if taps_d == 0 and taps_h == 0:
                resize_row(result, x + 4 * item * width, table_w, taps_w, out_w)
                continue
            for tap_d in range(max(taps_d, 1)):
                at_d = place_of(entry_d + 4 * tap_d) if taps_d > 0 else slab
                weight_d = read(entry_d + 8 + 4 * tap_d) if taps_d == 2 else one
                for tap_h in range(max(taps_h, 1)):
                    at_h = place_of(entry_h + 4 * tap_h) if taps_h > 0 else row
                    weight_h = read(entry_h + 8 + 4 * tap_h) if taps_h == 2 else one
                    number = (plane * depth + at_d) * height + at_h
                    line = x + 4 * number * width
                    if taps_w > 0:
                        slot = at_d % 2 * 2 + at_h % 2
                        if read_number(numbers + 8 * slot) != number:
                            write_number(numbers + 8 * slot, number)
                            resize_row(lines + slot * pitch, line, table_w, taps_w, out_w)
                        line = lines + slot * pitch
                    blend_row(result, line, out_w, weight_d * weight_h, tap_d + tap_h == 0)

    return resize_plain


KERNEL = KernelDef(
    name="resize.plain",
    buffers=resize_axes.BUFFERS,
    sizes=resize_axes.SIZES,
    build=_build,
    items=resize_axes.items,
    footprint=lambda sizes, params: resize_axes.accesses(sizes, 1),
    scratch_bytes=_scratch_bytes,
)
