"""Facts shared by ``resize.blocked``, ``resize.plain`` and ``resize.bytes``: argument block, items, footprint.

x is *planes* of [D, H, W], y planes of [OD, OH, OW] (fewer spatial axes: leading sizes of 1). Each axis has a table
made by ``resize.table`` and a number of taps: 2 for linear interpolation, 1 for nearest and for an axis that keeps its
size, whose table may then be absent (address 0: every element stays in its place).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cnnc.dims import Dim
from cnnc.runtime.cpu.resize_table import ENTRY_BYTES
from cnnc.runtime.kernel import Access, Params

_AXES = ("d", "h", "w")
BUFFERS = ("y", "x", *(f"table_{axis}" for axis in _AXES))
SIZES = (
    "planes",
    *_AXES,
    *(f"out_{axis}" for axis in _AXES),
    *(f"taps_{axis}" for axis in _AXES),
    "image_planes",
    "x_gap",
    "y_gap",
)
"""x_gap, y_gap: elements between one image's planes and the next's, for ranges of channels of larger tensors;
``image_planes`` counts the planes of an image. ``resize.plain`` does not read these three."""


def arguments(planes: Dim, source: Sequence[Dim], result: Sequence[Dim], taps: Sequence[int]) -> dict[str, Dim]:
    """Size slots; one entry a spatial axis, 1 to 3 of them. ``taps`` is 0 for an axis without a table."""
    missing = 3 - len(source)
    sizes: dict[str, Dim] = {"planes": planes, "image_planes": 1, "x_gap": 0, "y_gap": 0}
    for prefix, values, fill in (("", source, 1), ("out_", result, 1), ("taps_", taps, 0)):
        whole = [*[fill] * missing, *values]
        sizes.update({f"{prefix}{axis}": value for axis, value in zip(_AXES, whole)})
    return sizes


def items(sizes: Mapping[str, Dim], params: Params) -> Dim:
    """Rows of the result."""
    return sizes["planes"] * sizes["out_d"] * sizes["out_h"]


def accesses(sizes: Mapping[str, int], lanes: int, element_bytes: int = 4) -> tuple[Access, ...]:
    """Whole tensors and the tables that are there."""
    results = sizes["planes"] * sizes["out_d"] * sizes["out_h"] * sizes["out_w"]
    sources = sizes["planes"] * sizes["d"] * sizes["h"] * sizes["w"] if results else 0
    gaps = max(sizes["planes"] // max(sizes["image_planes"], 1) - 1, 0)
    ranges = [
        Access("y", 0, element_bytes * (lanes * results + gaps * sizes["y_gap"]) if results else 0, True),
        Access("x", 0, element_bytes * (lanes * sources + gaps * sizes["x_gap"]) if sources else 0, False),
    ]
    for axis in _AXES:
        if sizes[f"taps_{axis}"]:
            ranges.append(Access(f"table_{axis}", 0, ENTRY_BYTES * sizes[f"out_{axis}"], False))
    return tuple(ranges)
