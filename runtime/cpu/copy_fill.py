"""``copy.fill``: set ``count`` consecutive elements of 1, 2, 4 or 8 bytes (parameter ``size``) to one bit pattern.

Serves constant padding (fill all, then ``copy.strided`` into the middle) and constant tensors of symbolic size.
``bits`` holds the element's bits in its low ``size`` bytes. Work item: 32768 elements.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnnc.dims import Dim, ceil_div
from cnnc.runtime.kernel import Access, KernelDef, Params, Target

_BLOCK = 32768


def arguments(count: Dim, bits: int) -> dict[str, Dim]:
    """Size slots for ``count`` elements of the pattern ``bits``."""
    return {"count": count, "bits": bits}


def _items(sizes: Mapping[str, Dim], params: Params) -> Dim:
    return ceil_div(sizes["count"], _BLOCK)


def _footprint(sizes: Mapping[str, int], params: Params) -> tuple[Access, ...]:
    return (Access("y", 0, sizes["count"] * int(params["size"]), True),)


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from cnnc.runtime.cpu.element_moves import element_moves

    size = int(params["size"])
    fill_run = element_moves(target, size).fill_run

    def copy_fill(args: Any, begin: int, end: int, scratch: int) -> None:
        y, count, bits = args[0], args[1], args[2]
        for item in range(begin, end):
            first = item * _BLOCK
            fill_run(y + first * size, bits, min(_BLOCK, count - first))

    return copy_fill


KERNEL = KernelDef(
    name="copy.fill",
    buffers=("y",),
    sizes=("count", "bits"),
    build=_build,
    items=_items,
    footprint=_footprint,
)
