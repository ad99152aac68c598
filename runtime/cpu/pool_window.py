"""Facts shared by the pools ``pool.blocked``, ``pool.plain`` and ``pool.plain_indices``: window, items, footprint.

A pool works on *planes* [D, H, W] (fewer spatial axes: leading sizes of 1): every channel of a plain tensor, every
block of lanes of a blocked one. Any window, stride, dilation and padding; the number of window positions is given, so
that ceil_mode, which adds a window reaching past the end padding, needs nothing special. Source: ONNX MaxPool,
AveragePool.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from cnnc.dims import Dim, ceil_div, product
from cnnc.runtime.kernel import Access, Params

ROWS = 8
_AXES = ("d", "h", "w")
SIZES = (
    "planes",
    *_AXES,
    *(f"out_{axis}" for axis in _AXES),
    *(f"kernel_{axis}" for axis in _AXES),
    *(f"stride_{axis}" for axis in _AXES),
    *(f"dilation_{axis}" for axis in _AXES),
    *(f"begin_{axis}" for axis in _AXES),
    *(f"end_{axis}" for axis in _AXES),
    "include_pad",
    "image_planes",
    "x_gap",
    "y_gap",
)
"""x_gap, y_gap: elements between one image's planes and the next's, for ranges of channels of larger tensors;
``image_planes`` counts the planes of an image. Only ``pool.blocked`` and the pools of bytes read these three."""


def arguments(
    planes: Dim,
    source: Sequence[Dim],
    result: Sequence[Dim],
    kernel: Sequence[Dim],
    strides: Sequence[Dim],
    dilations: Sequence[Dim],
    begins: Sequence[Dim],
    ends: Sequence[Dim],
    include_pad: bool = False,
) -> dict[str, Dim]:
    """Size slots; every sequence has one entry a spatial axis, 1 to 3 of them.

    ``include_pad`` makes an average's divisor count padding (never what ceil_mode reaches beyond it).
    """
    sizes: dict[str, Dim] = {"planes": planes, "include_pad": int(include_pad)}
    sizes |= {"image_planes": 1, "x_gap": 0, "y_gap": 0}
    for prefix, values, fill in (
        ("", source, 1),
        ("out_", result, 1),
        ("kernel_", kernel, 1),
        ("stride_", strides, 1),
        ("dilation_", dilations, 1),
        ("begin_", begins, 0),
        ("end_", ends, 0),
    ):
        whole = [*[fill] * (3 - len(values)), *values]
        sizes.update({f"{prefix}{axis}": value for axis, value in zip(_AXES, whole)})
    return sizes


def items(sizes: Mapping[str, Dim], params: Params) -> Dim:
    """Rows of the result."""
    return sizes["planes"] * sizes["out_d"] * sizes["out_h"]


def row_group_items(sizes: Mapping[str, Dim], params: Params) -> Dim:
    """Groups of ``ROWS`` rows of the result: for kernels to which finding a row is as much work as computing it."""
    return sizes["planes"] * sizes["out_d"] * ceil_div(sizes["out_h"], ROWS)


def accesses(sizes: Mapping[str, int], lanes: int, index_bytes: int = 0, element_bytes: int = 4) -> tuple[Access, ...]:
    """Whole tensors; ``index_bytes`` per element of the result go to the buffer ``indices``."""
    results = product([sizes["planes"], sizes["out_d"], sizes["out_h"], sizes["out_w"]])
    sources = product([sizes["planes"], sizes["d"], sizes["h"], sizes["w"]])
    assert isinstance(results, int) and isinstance(sources, int)
    gaps = max(sizes["planes"] // max(sizes["image_planes"], 1) - 1, 0)
    # Without a window position nothing is read.
    ranges = [
        Access("y", 0, element_bytes * (lanes * results + gaps * sizes["y_gap"]) if results else 0, True),
        Access("x", 0, element_bytes * (lanes * sources + gaps * sizes["x_gap"]) if results else 0, False),
    ]
    if index_bytes:
        ranges.append(Access("indices", 0, index_bytes * results, True))
    return tuple(ranges)


@functools.cache
def tap_functions() -> tuple[Any, Any]:
    """Jitted ``first_tap(start, dilation)`` and ``tap_stop(start, dilation, kernel, size)``; imports numba.

    For a window that starts at ``start`` (negative in the padding), the taps in [first_tap, tap_stop) lie inside
    [0, size).
    """
    import numba

    @numba.njit(error_model="numpy", inline="always")  # type: ignore[untyped-decorator]
    def first_tap(start: int, dilation: int) -> int:
        return 0 if start >= 0 else (dilation - 1 - start) // dilation

    @numba.njit(error_model="numpy", inline="always")  # type: ignore[untyped-decorator]
    def tap_stop(start: int, dilation: int, kernel: int, size: int) -> int:
        if start + (kernel - 1) * dilation < size:
            return kernel
        return max(min(kernel, (size - start + dilation - 1) // dilation), 0)

    return first_tap, tap_stop
