"""``gather``: slices of one axis picked by int64 indices (ONNX Gather), and embedding lookups.

x is [outer, axis, inner], indices is [count] int64, y is [outer, count, inner], elements of 1, 2, 4 or 8 bytes
(parameter ``size``). A negative index counts from the end. An index out of range, which ONNX calls an error, is
clamped: a kernel raises nothing and must never read outside x. The axis has at least one element if anything is
gathered. Work item: one index of one outer position.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnnc.dims import Dim
from cnnc.runtime.kernel import Access, KernelDef, Params, Target


def arguments(outer: Dim, axis: Dim, inner: Dim, count: Dim) -> dict[str, Dim]:
    """Size slots: the product of the dims before the axis, the axis, the product behind it, number of indices."""
    return {"outer": outer, "axis": axis, "inner": inner, "count": count}


def _footprint(sizes: Mapping[str, int], params: Params) -> tuple[Access, ...]:
    size = int(params["size"]) * sizes["outer"] * sizes["inner"]
    if size * sizes["count"] == 0:
        return ()
    return (
        Access("y", 0, size * sizes["count"], True),
        Access("x", 0, size * sizes["axis"], False),
        Access("indices", 0, 8 * sizes["count"], False),
    )


def _build(target: Target, params: Params) -> Callable[..., Any]:
    from cnnc.runtime.cpu.element_moves import element_moves
    from cnnc.runtime.cpu.registers import scalar_access

    size = int(params["size"])
    copy_run = element_moves(target, size).copy_run
    read_index, _ = scalar_access(target, "i64")

    def gather(args: Any, begin: int, end: int, scratch: int) -> None:
        y, x, indices = args[0], args[1], args[2]
        axis, inner, count = args[4], args[5], args[6]
        for item in range(begin, end):
            outer, number = item // count, item % count
            index = read_index(indices + 8 * number)
            if index < 0:
                index += axis
            index = min(max(index, 0), axis - 1)
            copy_run(y + item * inner * size, x + (outer * axis + index) * inner * size, inner)

    return gather


KERNEL = KernelDef(
    name="gather",
    buffers=("y", "x", "indices"),
    sizes=("outer", "axis", "inner", "count"),
    build=_build,
    items=lambda sizes, params: sizes["outer"] * sizes["count"],
    footprint=_footprint,
)
