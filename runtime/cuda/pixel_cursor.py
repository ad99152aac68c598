"""Where a window reads its input: from an output pixel to the place of its first element, and on to every tap's.

Imported only while a kernel is compiled.
"""

from __future__ import annotations

from typing import Any

from numba.cuda import types

from cnnc.runtime.cuda.integers import divide
from cnnc.runtime.cuda.intrinsics import INT, inlined

_TRIPLE, _FOUR = types.UniTuple(INT, 3), types.UniTuple(INT, 4)


def _window_start(pixel: int, result: Any, strides: Any, begins: Any) -> Any:
    rest, column = divide(pixel, result[2])
    rest, row = divide(rest, result[1])
    image, plane = divide(rest, result[0])
    return (
        image,
        plane * strides[0] - begins[0],
        row * strides[1] - begins[1],
        column * strides[2] - begins[2],
    )


def _tap_place(start: Any, offsets: Any, source: Any) -> Any:
    z, y, x = start[1] + offsets[0], start[2] + offsets[1], start[3] + offsets[2]
    if 0 <= z < source[0] and 0 <= y < source[1] and 0 <= x < source[2]:
        return (z * source[1] + y) * source[2] + x
    return -1


window_start = inlined(_FOUR, [INT, _TRIPLE, _TRIPLE, _TRIPLE], _window_start)
"""window_start(pixel, result, strides, begins): (image, z, y, x) of the first element of an output pixel's window.
Pixels count over all images of a result of (OD, OH, OW)."""

tap_place = inlined(INT, [_FOUR, _TRIPLE, _TRIPLE], _tap_place)
"""tap_place(start, offsets, source): the pixel of the input image (D, H, W) that a tap reads; -1 beyond its border."""
