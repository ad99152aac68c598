"""``resize.table``: where each element of a resized axis comes from: two places and two weights.

An entry is 16 bytes: two int32 places along the input axis, two float32 weights. Linear interpolation blends both
places; nearest has its place first, with weight 1, and needs one *tap* only, as does an axis that keeps its size. The
table of an axis is the same for all rows, so it is made once, into a planned buffer of ``16 * size`` bytes, before
``resize.blocked`` or ``resize.plain`` runs.

``scale`` is float64 bits of the ratio output / input, or 0 for size / length. ``coordinates`` is an index into
``COORDINATES``, ``interpolation`` into ``INTERPOLATIONS``. Arithmetic is float64, as in ``cnnc.runtime.host.resize``.
tf_crop_and_resize, cubic and antialiasing stay on the host. Work item: 256 entries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnnc.dims import Dim, ceil_div
from cnnc.runtime.kernel import Access, KernelDef, Params, Target

COORDINATES = ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric")
INTERPOLATIONS = ("linear", "round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
ENTRY_BYTES = 16
_ENTRIES = 256


def arguments(length: Dim, size: Dim, scale_bits: int, coordinates: str, interpolation: str) -> dict[str, Dim]:
    """Size slots for an axis of ``length`` resized to ``size``; ``interpolation`` is linear or a nearest_mode."""
    return {
        "length": length,
        "size": size,
        "scale": scale_bits,
        "coordinates": COORDINATES.index(coordinates),
        "interpolation": INTERPOLATIONS.index(interpolation),
    }


def _build(target: Target, params: Params) -> Callable[..., Any]:
    import numpy as np

    from cnnc.runtime.cpu.registers import double_from_bits, floor_to_integer, scalar_access

    from_bits, floor = double_from_bits(target), floor_to_integer(target)
    write_place = scalar_access(target, "i32")[1]
    write_weight = scalar_access(target, "f32")[1]

    def resize_table(args: Any, begin: int, end: int, scratch: int) -> None:
        y, length, size, scale_bits, coordinates, interpolation = args[0], args[1], args[2], args[3], args[4], args[5]
        scale = from_bits(scale_bits) if scale_bits != 0 else size / length
        # May be fractional when the ratio was given.
        exact = scale * length
        for at in range(begin * _ENTRIES, min(end * _ENTRIES, size)):
            place = 0.0
            if coordinates == 0 or (coordinates == 2 and size > 1):
                place = (at + 0.5) / scale - 0.5
            elif coordinates == 1:
                place = length / 2 * (1 - size / exact) + (at + 0.5) / scale - 0.5
            elif coordinates == 3 and exact != 1:
                place = at * (length - 1) / (exact - 1)
            elif coordinates == 4:
                place = at / scale
            first, second = 0, 0
            weight = 0.0
            if interpolation == 0:
                first = floor(place)
                second = first + 1
                weight = place - first
            elif interpolation == 1:
                first = -floor(0.5 - place)
            elif interpolation == 2:
                first = floor(place + 0.5)
            elif interpolation == 3:
                first = floor(place)
            else:
                first = -floor(-place)
            entry = y + ENTRY_BYTES * at
            write_place(entry, np.int32(min(max(first, 0), length - 1)))
            write_place(entry + 4, np.int32(min(max(second, 0), length - 1)))
            write_weight(entry + 8, np.float32(1.0 - weight))
            write_weight(entry + 12, np.float32(weight))

    return resize_table


def _items(sizes: Mapping[str, Dim], params: Params) -> Dim:
    return ceil_div(sizes["size"], _ENTRIES)


KERNEL = KernelDef(
    name="resize.table",
    buffers=("y",),
    sizes=("length", "size", "scale", "coordinates", "interpolation"),
    build=_build,
    items=_items,
    footprint=lambda sizes, params: (Access("y", 0, ENTRY_BYTES * sizes["size"], True),),
)
