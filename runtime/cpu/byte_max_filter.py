"""``byte.max_filter``: max pools of bytes that keep the size of their maps, with stride 1: along columns, then rows.

x and y are [planes, H, W, L], of the type ``element``, u8 or i8; L, the parameter ``lanes``, is the target's lanes for
blocked tensors and 1 for plain ones. An output at (r, c) is the largest element of rows r - begin_h + i * dilation_h
and columns c - begin_w + j * dilation_w for i < kernel_h, j < kernel_w, as far as they lie inside. ``x_gap`` and
``y_gap`` are the bytes between images of ``image_planes`` planes, for ranges of channels of larger tensors.

Rows that lie one behind the other are one run of bytes, whatever their width: a window that reaches into the next row
is computed with the others, and then again with the columns that it has. Work item: 16 rows of a plane, and what their
windows cover.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnnc.dims import Dim, ceil_div
from cnnc.runtime.cpu import pool_window
from cnnc.runtime.kernel import Access, KernelDef, Params, Target

_ROWS = 16
SIZES = (
    "planes",
    "h",
    "w",
    "kernel_h",
    "kernel_w",
    "dilation_h",
    "dilation_w",
    "begin_h",
    "begin_w",
    "image_planes",
    "x_gap",
    "y_gap",
)


def _footprint(sizes: Mapping[str, int], params: Params) -> tuple[Access, ...]:
    count = sizes["planes"] * sizes["h"] * sizes["w"] * int(params["lanes"])
    gaps = max(sizes["planes"] // max(sizes["image_planes"], 1) - 1, 0)
    stops = {name: count + gaps * sizes[f"{name}_gap"] if count else 0 for name in ("y", "x")}
    return Access("y", 0, stops["y"], True), Access("x", 0, stops["x"], False)


def _scratch_bytes(sizes: Mapping[str, Dim], params: Params) -> Dim:
    rows = (sizes["kernel_h"] - 1) * sizes["dilation_h"] + _ROWS
    return rows * sizes["w"] * int(params["lanes"])


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from cnnc.runtime.cpu.byte_runs import byte_runs
    from cnnc.runtime.cpu.vector import constant

    runs = byte_runs(target, int(params["lanes"]), params["element"] == "i8")
    fill, largest = runs.fill_least, runs.largest_of_rows
    first_tap, tap_stop = pool_window.tap_functions()
    lanes = constant(target, int(params["lanes"]))

    def byte_max_filter(args: Any, begin: int, end: int, scratch: int) -> None:
        y, x = args[0], args[1]
        height, width, kernel_h, kernel_w, dilation_h, dilation_w = args[3], args[4], args[5], args[6], args[7], args[8]
        begin_h, begin_w, image_planes, x_gap, y_gap = args[9], args[10], args[11], args[12], args[13]
        pixel = lanes()
        line = width * pixel
        # Rows and columns that a window has behind its own.
        below, behind = (kernel_h - 1) * dilation_h - begin_h, (kernel_w - 1) * dilation_w - begin_w
        groups = (height + _ROWS - 1) // _ROWS
        for item in range(begin, end):
            plane, first = item // groups, item % groups * _ROWS
            stop = min(first + _ROWS, height)
            image = plane // image_planes
            out = y + plane * height * line + image * y_gap
            # The rows of x that the windows cover: their largest columns go to scratch.
            low, high = max(first - begin_h, 0), min(stop + below, height)
            source = x + (plane * height + low) * line + image * x_gap
            inside = (high - low) * width - begin_w - behind
            if inside > 0:
                largest(scratch + begin_w * pixel, source, dilation_w * pixel, kernel_w, inside * pixel)
            for number in range(begin_w + behind if width > begin_w + behind else width):
                column = number if number < begin_w or width <= begin_w + behind else number + width - begin_w - behind
                left = column - begin_w
                w0, w1 = first_tap(left, dilation_w), tap_stop(left, dilation_w, kernel_w, width)
                for row in range(high - low):
                    into, at = scratch + row * line + column * pixel, source + row * line
                    if w0 < w1:
                        largest(into, at + (left + w0 * dilation_w) * pixel, dilation_w * pixel, w1 - w0, pixel)
                    else:
                        fill(into, pixel)
            # Rows whose windows have all their rows are one run.
            whole = max(first, min(begin_h, stop))
            whole_stop = max(min(stop, height - below), whole)
            if whole < whole_stop:
                at = scratch + (whole - begin_h - low) * line
                largest(out + whole * line, at, dilation_h * line, kernel_h, (whole_stop - whole) * line)
            for number in range(stop - first - (whole_stop - whole)):
                row = first + number if first + number < whole else first + number + whole_stop - whole
                top = row - begin_h
                h0, h1 = first_tap(top, dilation_h), tap_stop(top, dilation_h, kernel_h, height)
                if h0 < h1:
                    at = scratch + (top + h0 * dilation_h - low) * line
                    largest(out + row * line, at, dilation_h * line, h1 - h0, line)
                else:
                    fill(out + row * line, line)

    return byte_max_filter


KERNEL = KernelDef(
    name="byte.max_filter",
    buffers=("y", "x"),
    sizes=SIZES,
    build=_build,
    items=lambda sizes, params: sizes["planes"] * ceil_div(sizes["h"], _ROWS),
    footprint=_footprint,
    scratch_bytes=_scratch_bytes,
)
