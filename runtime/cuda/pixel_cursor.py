"""Where a window reads its input: from an output pixel to the place of its first tap, and on from tap to tap.

All pixels move alike: what a tap is away from the one before is one *jump* in bytes, added to an offset that all of a
thread's addresses share, and one *move* along the three axes, added to the places that say whether a tap hangs over the
border. Both are found before the loop; in it there are additions of 32 bits. Imported only while a kernel is compiled.
"""

from __future__ import annotations

from typing import Any

from numba.cuda import types

from cnnc.runtime.cuda.integers import add, below, divide, narrow, opaque
from cnnc.runtime.cuda.intrinsics import BOOL, INT, inlined

PLACE = types.UniTuple(types.int32, 3)
"""Along depth, height and width."""

_PIXEL_BYTES = 32
_OUTSIDE = -(1 << 30)


def _corner(pixel: int, last_pixel: int, result: Any, strides: Any, begins: Any) -> Any:
    if pixel >= last_pixel:
        return 0, _OUTSIDE, 0, _OUTSIDE
    rest, x = divide(pixel, result[2])
    rest, y = divide(rest, result[1])
    image, z = divide(rest, result[0])
    return image, z * strides[0] - begins[0], y * strides[1] - begins[1], x * strides[2] - begins[2]


def _moved(place: Any, move: Any) -> Any:
    return add(place[0], move[0]), add(place[1], move[1]), add(place[2], move[2])


_TRIPLE = types.UniTuple(INT, 3)

corner = inlined(types.UniTuple(INT, 4), [INT, INT, _TRIPLE, _TRIPLE, _TRIPLE], _corner)
"""corner(pixel, last_pixel, result, strides, begins): (image, z, y, x) of the first tap of a pixel of a result of
(OD, OH, OW), counted over all images; of pixels from ``last_pixel`` on a place far outside."""

moved = inlined(PLACE, [PLACE, PLACE], _moved)


def inside_check(axes: int) -> Any:
    """``is_inside(place, bounds)`` where the last ``axes`` axes, 0, 2 or 3, have taps or padding."""
    has_window, has_depth = axes > 0, axes == 3

    def is_inside(place: Any, bounds: Any) -> Any:
        inside = below(place[2], bounds[2])
        if has_window:
            inside = inside and below(place[1], bounds[1])
        if has_depth:
            inside = inside and below(place[0], bounds[0])
        return inside

    return inlined(BOOL, [PLACE, PLACE], is_inside)


def tap_walk(axes: int, pixel_bytes: int = _PIXEL_BYTES) -> tuple[Any, Any]:
    """(steps, advance) from one tap of a window to the next, the last axis first.

    ``steps(kernel, dilations, source, blocks_back)``: the jumps to the next tap along x, y and z, and the moves, nine
    numbers of 32 bits. ``blocks_back`` bytes lie from a tap's first block of channels to where its last one has led.
    ``advance(tap, kernel, steps)``: ((y, x) of the next tap, its jump, its move); z need not be known. Blocks of a
    pixel have ``pixel_bytes``.
    """
    has_depth = axes == 3
    jumps, moves, pair = types.UniTuple(INT, 3), types.UniTuple(types.int32, 9), types.UniTuple(types.int32, 2)
    both = types.Tuple((jumps, moves))

    def find_steps(kernel: Any, dilations: Any, source: Any, blocks_back: int) -> Any:
        back_x, back_y = (1 - kernel[2]) * dilations[2], (1 - kernel[1]) * dilations[1]
        height, width, zero = source[1], source[2], narrow(0)
        jump_x = opaque(pixel_bytes * dilations[2] - blocks_back)
        jump_y = opaque(pixel_bytes * (dilations[1] * width + back_x) - blocks_back)
        jump_z = opaque(pixel_bytes * ((dilations[0] * height + back_y) * width + back_x) - blocks_back)
        move_x = zero, zero, narrow(dilations[2])
        move_y = zero, narrow(dilations[1]), narrow(back_x)
        move_z = narrow(dilations[0]), narrow(back_y), narrow(back_x)
        return (jump_x, jump_y, jump_z), (*move_x, *move_y, *move_z)

    def advance(tap: Any, kernel: Any, steps: Any) -> Any:
        found, move, zero, one = steps[0], steps[1], narrow(0), narrow(1)
        y, x = tap
        x = add(x, one)
        if x != kernel[1]:
            return (y, x), found[0], (move[0], move[1], move[2])
        if has_depth:
            y = add(y, one)
            if y == kernel[0]:
                return (zero, zero), found[2], (move[6], move[7], move[8])
        return (y, zero), found[1], (move[3], move[4], move[5])

    return (
        inlined(both, [_TRIPLE, _TRIPLE, _TRIPLE, INT], find_steps),
        inlined(types.Tuple((pair, INT, PLACE)), [pair, pair, both], advance),
    )
